"""The registry as it runs: Services, the Deployment, and distribution's configuration, from file and variables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import yaml

from image_registry.migration.facts import DriverFact, ObjectName, ServiceFact, ServicePort, Setting, WorkloadFact
from image_registry.migration.generations import GATEWAY_SERVICE, Generation
from image_registry.migration.reading import Reader, at, name_of, objects, text, whole, words

CONTAINER = "registry"
SECRET = re.compile(r"secret|password|passwd|access_?key|account_?key|token|credential|keyfile|htpasswd", re.IGNORECASE)
"""Names of parameters and variables whose values are left where they are."""

DRIVERS = ("filesystem", "s3", "s3aws", "gcs", "azure", "swift", "oss", "inmemory", "cos", "obs")
_ASIDE = frozenset({"cache", "delete", "redirect", "maintenance", "tag"})
"""Members of ``storage`` that are no drivers."""


def read_services(reader: Reader, known: Generation, namespace: str) -> tuple[ServiceFact, ...]:
    """The registry's Services and the gateway's, as far as they are there."""
    found = []
    for name, role in ((known.name, "registry"), (known.direct_service, "direct"), (GATEWAY_SERVICE, "gateway")):
        document = reader.get("services", ObjectName("Service", name, namespace), "services")
        if document is not None:
            found.append(_service(document, role))
    return tuple(found)


def read_workload(
    reader: Reader, known: Generation, namespace: str, services: tuple[ServiceFact, ...]
) -> dict[str, Any] | None:
    """The Deployment of its name, else the one behind the Service or with the label of its Pods."""
    own = reader.get("deployment", ObjectName("Deployment", known.name, namespace, "apps/v1"), "deployments")
    if own is not None:
        return own
    wanted: list[Mapping[str, str]] = [{"app": known.name}]
    if any(service.role == "registry" for service in services):
        document = reader.get("services", ObjectName("Service", known.name, namespace), "services")
        selector = words(at(document, "spec", "selector"))
        if selector:
            wanted.insert(0, selector)
    for document in reader.list("deployment", "apps/v1", "deployments", namespace):
        labels = words(at(document, "spec", "template", "metadata", "labels"))
        if any(selector.items() <= labels.items() for selector in wanted):
            return document
    return None


def workload_fact(document: Mapping[str, Any]) -> WorkloadFact:
    """What matters of the Deployment."""
    spec = at(document, "spec", "template", "spec")
    containers = objects(at(spec, "containers"))
    main = registry_container(document)
    plain, hidden = [], {}
    name = name_of(document, "Deployment", "apps/v1")
    for entry in objects(main.get("env")):
        variable = text(entry.get("name"))
        if not variable.startswith("REGISTRY_"):
            continue
        reference = at(entry, "valueFrom", "secretKeyRef")
        if isinstance(reference, dict):
            hidden[variable] = f"{text(reference.get('name'))}/{text(reference.get('key'))}"
        elif SECRET.search(variable):
            hidden[variable] = "(value)"
        else:
            plain.append(Setting(variable, text(entry.get("value")), str(name)))
    limits = [
        Setting(f"{part}.{key}", value, str(name))
        for part in ("requests", "limits")
        for key, value in sorted(words(at(main, "resources", part)).items())
    ]
    return WorkloadFact(
        name,
        whole(at(document, "spec", "replicas")),
        whole(at(document, "status", "readyReplicas")),
        {text(container.get("name")): text(container.get("image")) for container in containers},
        tuple(plain),
        hidden,
        words(at(spec, "nodeSelector")),
        tuple(limits),
        proxied=len(containers) > 1,
    )


def registry_container(document: Mapping[str, Any]) -> dict[str, Any]:
    """The container that is distribution; the first one if none has its name."""
    containers = objects(at(document, "spec", "template", "spec", "containers"))
    return next((entry for entry in containers if entry.get("name") == CONTAINER), containers[0] if containers else {})


def read_driver(reader: Reader, known: Generation, namespace: str, deployment: Mapping[str, Any]) -> DriverFact | None:
    """What the configuration says, with the variables that win over it."""
    found: DriverFact | None = None
    for name in dict.fromkeys(_config_maps(known, deployment)):
        place = ObjectName("ConfigMap", name, namespace)
        document = reader.get("registry configuration", place, "configmaps")
        for content in words(at(document, "data")).values():
            found = found or driver_in(content, str(place))
    variables = workload_fact(deployment).environment
    return _with_variables(found, variables, str(name_of(deployment, "Deployment", "apps/v1")))


def driver_in(content: str, source: str) -> DriverFact | None:
    """Distribution's configuration; ``None`` for a text that is none."""
    try:
        document = yaml.safe_load(content)
    except yaml.YAMLError:
        return None
    storage = at(document, "storage")
    if not isinstance(storage, dict):
        return None
    driver = next((name for name in storage if name in DRIVERS), None)
    driver = driver or next((str(name) for name in storage if name not in _ASIDE), "")
    if not driver:
        return None
    own = words(storage.get(driver))
    parameters = {key: value for key, value in own.items() if not SECRET.search(key) and not isinstance(value, dict)}
    enabled, read_only = at(storage, "delete", "enabled"), at(storage, "maintenance", "readonly", "enabled")
    alone = at(storage, "redirect", "disable")
    return DriverFact(
        driver,
        source,
        parameters,
        tuple(sorted(set(own) - set(parameters))),
        enabled if isinstance(enabled, bool) else None,
        read_only if isinstance(read_only, bool) else None,
        text(at(document, "http", "addr")),
        alone if isinstance(alone, bool) else None,
    )


def _with_variables(found: DriverFact | None, variables: tuple[Setting, ...], source: str) -> DriverFact | None:
    before = "REGISTRY_STORAGE_"
    given = {entry.name.removeprefix(before): entry.value for entry in variables if entry.name.startswith(before)}
    alone = given.get("REDIRECT_DISABLE", "").lower()
    chosen = next((setting.value for setting in variables if setting.name == "REGISTRY_STORAGE"), "")
    told = (name for name in DRIVERS if any(key.startswith(f"{name.upper()}_") for key in given))
    named = chosen or next(told, "")
    if named and (found is None or found.driver != named):
        known = found or DriverFact(named, source)
        found = DriverFact(
            named, source, delete_enabled=known.delete_enabled, redirect_disabled=known.redirect_disabled
        )
    if found is not None and alone in ("true", "false"):
        found = replace(found, redirect_disabled=alone == "true")
    if found is None or not named:
        return found
    prefix = f"{named.upper()}_"
    own = {key.removeprefix(prefix).lower(): value for key, value in given.items() if key.startswith(prefix)}
    return replace(found, parameters={**found.parameters, **own})


def _config_maps(known: Generation, deployment: Mapping[str, Any]) -> Iterator[str]:
    yield known.config_map
    mounted = {text(mount.get("name")) for mount in objects(registry_container(deployment).get("volumeMounts"))}
    for volume in objects(at(deployment, "spec", "template", "spec", "volumes")):
        name = text(at(volume, "configMap", "name"))
        if name and volume.get("name") in mounted:
            yield name


def _service(document: dict[str, Any], role: str) -> ServiceFact:
    spec = document.get("spec")
    addresses = tuple(
        address
        for address in dict.fromkeys((text(at(spec, "clusterIP")), *(at(spec, "clusterIPs") or ())))
        if address and address != "None"
    )
    ports = tuple(
        ServicePort(whole(port.get("port")), text(port.get("targetPort")), whole(port.get("nodePort")))
        for port in objects(at(spec, "ports"))
    )
    return ServiceFact(name_of(document, "Service"), role, text(at(spec, "type")) or "ClusterIP", addresses, ports)
