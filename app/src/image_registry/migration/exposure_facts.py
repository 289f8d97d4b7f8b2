"""How clients outside of the cluster reach a legacy registry: Ingresses to its Services, and ports of nodes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from image_registry.migration.facts import ExposureFact, ObjectName, ServiceFact, Setting
from image_registry.migration.reading import Reader, at, name_of, objects, text, words

INGRESS_API = "networking.k8s.io/v1"
_HOST = re.compile(r"ingress\.hosts\[(\d+)\]\.name")


def read_exposures(
    reader: Reader, namespace: str, services: Iterable[ServiceFact], settings: Mapping[str, Setting]
) -> tuple[ExposureFact, ...]:
    """What there is; and what the installation says of hosts for which there is no Ingress to be seen."""
    known = {service.object.name: service for service in services}
    found = []
    for document in reader.list("ingresses", INGRESS_API, "ingresses", namespace):
        backends = _backends(document) & set(known)
        if backends:
            found.append(replace(_ingress(reader, document, min(backends)), roots=_roots(document, backends)))
    for service in known.values():
        ports = [port.node_port for port in service.ports if port.node_port]
        if ports:
            hosts = tuple(f"{address}:{port}" for address in _node_addresses(reader) for port in ports)
            found.append(ExposureFact(service.object, hosts, backend=service.object.name))
    seen = {host for exposure in found for host in exposure.hosts}
    found += [
        _announced(settings, match[1], setting)
        for name, setting in settings.items()
        if (match := _HOST.fullmatch(name))
        and setting.value
        and setting.value not in seen
        and settings.get("ingress.enabled", setting).value != "false"
    ]
    return tuple(found)


def _ingress(reader: Reader, document: dict[str, Any], backend: str) -> ExposureFact:
    name = name_of(document, "Ingress", INGRESS_API)
    spec = document.get("spec")
    hosts = dict.fromkeys(text(rule.get("host")) for rule in objects(at(spec, "rules")))
    secret = next((text(entry.get("secretName")) for entry in objects(at(spec, "tls")) if entry.get("secretName")), "")
    place = ObjectName("Secret", secret, name.namespace) if secret else None
    annotations = words(at(document, "metadata", "annotations"))
    annotations.pop("kubectl.kubernetes.io/last-applied-configuration", None)
    class_name = text(at(spec, "ingressClassName")) or annotations.pop("kubernetes.io/ingress.class", "")
    return ExposureFact(
        name,
        tuple(host for host in hosts if host),
        place,
        _exists(reader, place) if place else None,
        class_name,
        annotations,
        backend,
        tls=bool(objects(at(spec, "tls"))),
    )


def _announced(settings: Mapping[str, Setting], index: str, setting: Setting) -> ExposureFact:
    certificate = settings.get(f"ingress.hosts[{index}].tlsCert")
    where, _, name = certificate.value.partition("/") if certificate else ("", "", "")
    prefix = "ingress.annotations."
    return ExposureFact(
        ObjectName("Setting", setting.source.replace(" ", ":")),
        (setting.value,),
        ObjectName("Secret", name, where) if name else None,
        None,
        settings["ingress.ingressClassName"].value if "ingress.ingressClassName" in settings else "",
        {key.removeprefix(prefix): entry.value for key, entry in settings.items() if key.startswith(prefix)},
    )


def _backends(document: Mapping[str, Any]) -> set[str]:
    spec = document.get("spec")
    found = {text(at(spec, "defaultBackend", "service", "name"))}
    for rule in objects(at(spec, "rules")):
        found |= {text(at(path, "backend", "service", "name")) for path in objects(at(rule, "http", "paths"))}
    return found


def _roots(document: Mapping[str, Any], backends: set[str]) -> dict[str, str]:
    found = {}
    for number, rule in enumerate(objects(at(document, "spec", "rules"))):
        for place, path in enumerate(objects(at(rule, "http", "paths"))):
            everything = text(path.get("path")) in ("", "/") and path.get("pathType") != "Exact"
            if everything and rule.get("host") and text(at(path, "backend", "service", "name")) in backends:
                found[f"/spec/rules/{number}/http/paths/{place}/path"] = text(path.get("path"))
    return found


def _exists(reader: Reader, place: ObjectName) -> bool | None:
    """Asked without its values, where that is possible: the certificate's key is of no interest."""
    before = len(reader.unread)
    document = reader.get("TLS secrets", place, "secrets")
    return document is not None if len(reader.unread) == before else None


def _node_addresses(reader: Reader) -> list[str]:
    return [
        text(address.get("address"))
        for node in reader.list("nodes", "v1", "nodes")
        for address in objects(at(node, "status", "addresses"))
        if address.get("type") in ("InternalIP", "ExternalIP", "Hostname")
    ]
