"""Settings of a legacy registry as values of this one, and those that have no place here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from image_registry.migration.case import Case
from image_registry.migration.choices import Way
from image_registry.migration.facts import ExposureFact, Setting, StorageFact
from image_registry.migration.install_records import settings_of
from image_registry.migration.spelling import Said
from image_registry.migration.volume_sharing import MANY

CREDENTIALS = "image-registry-private-configuration-user"
CLAIM = "image-registry-storage"
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*")
"""What a route may be called by: a name of DNS without a ``*``."""
_INFRA = {"node-role.kubernetes.io/infra": ""}
_OWN_ANNOTATIONS = ("helm.sh/", "meta.helm.sh/", "cpaas.io/", "cert-manager.io/")


def target_values(case: Case) -> dict[str, Any]:
    """``config`` as Config, chart and role have it."""
    installation = case.installation
    settings = settings_of(list(installation.records)) if installation else {}
    values: dict[str, Any] = {
        "managementState": "Managed",
        "replicas": 1 if _single(case) else _replicas(settings),
        **({} if case.keeps_its_storage else {"storage": _storage(case)}),
    }
    driver = installation.driver if installation else None
    if "s3" in values.get("storage", {}) and driver is not None and driver.redirect_disabled:
        values["disableRedirect"] = True  # clients may not reach the bucket, or not trust it
    resources: dict[str, dict[str, str]] = {}
    for setting in installation.workload.resources if installation and installation.workload else ():
        part, _, key = setting.name.partition(".")
        resources.setdefault(part, {})[key] = setting.value
    if resources:
        values["resources"] = resources
    if _says(settings, "infra.enabled") == "true":
        values["nodeSelector"] = dict(_INFRA)
        values["tolerations"] = [{"key": next(iter(_INFRA)), "operator": "Exists"}]
    routes = list(_routes(case))
    if routes:
        values["routes"] = routes
    if _single(case) and case.way is Way.REUSE:
        values["rolloutStrategy"] = "Recreate"
    hosts = sorted({host for secret in case.inventory.pull_secrets for host in secret.hosts} | _legacy_hosts(case))
    values["imagePullSecret"] = {"managementState": "Managed", "additionalRegistryHosts": hosts}
    return values


def gaps(case: Case) -> tuple[str, ...]:
    """Settings without a place here, as sentences."""
    installation = case.installation
    settings = settings_of(list(installation.records)) if installation else {}
    found = []
    if _single(case) and (wished := _replicas(settings)) > 1:
        found.append(f"global.replicas ({wished}): one replica; {_why_single(case)}")
    if _says(settings, "global.expose") == "true" or _says(settings, "service.nodePort"):
        found.append("service.nodePort / global.expose: there are no ports of nodes; who used one needs a route")
    if _says(settings, "global.oidc.ldapID"):
        found.append("global.oidc.ldapID: people log in with tokens of the cluster; there is no login by password")
    if _says(settings, "global.isIPv6") == "true":
        found.append("global.isIPv6: follows the cluster's Services")
    if _says(settings, "ingress.insecure") == "true":
        found.append("ingress.insecure: this registry speaks TLS alone")
    if _says(settings, "access.enabled") == "true":
        found.append("access.enabled: nobody documents what it does")
    return tuple(found)


def _storage(case: Case) -> dict[str, Any]:
    storage = case.storage
    if case.way is Way.COPY or storage is None:
        choices = case.choices
        claim = {
            "size": f"{-(-choices.claim_size >> 30) or 1}Gi" if choices.claim_size else "",
            "storageClassName": choices.claim_class,
            "accessMode": choices.claim_access_mode,
        }
        return {"pvc": {name: value for name, value in claim.items() if value}}
    if storage.kind == "s3":
        endpoint = storage.endpoint
        if endpoint and "://" not in endpoint:
            endpoint = f"https://{endpoint}"
        found: dict[str, Any] = {"bucket": storage.bucket, "region": storage.region or "us-east-1"}
        if endpoint:
            found["regionEndpoint"] = endpoint
        if storage.root.strip("/"):
            found["rootDirectory"] = storage.root.strip("/")
        if storage.skip_verify:
            found["skipVerify"] = True
        return {"managementState": "Unmanaged", "pvc": None, "s3": found}
    modes = storage.access_modes or ("ReadWriteOnce",)
    mode = MANY if MANY in modes else modes[0]
    return {"managementState": "Unmanaged", "pvc": {"claim": CLAIM, "accessMode": mode}}


def _single(case: Case) -> bool:
    """Whether only one Pod can have the storage."""
    storage: StorageFact | None = case.storage
    if case.way is Way.COPY:
        return case.choices.claim_access_mode != MANY and not case.keeps_its_storage
    if storage is None or storage.kind == "s3":
        return False
    return MANY not in storage.access_modes


def _why_single(case: Case) -> str:
    if case.way is Way.REUSE:
        return "the volume is for one node"
    spelling = case.choices.spelling
    return (
        f"the claim of a copy is for one node unless you choose otherwise ({spelling(Said.CLAIM_ACCESS_MODE, MANY)}, "
        f"and a class that has it: {spelling(Said.CLAIM_CLASS)})"
    )


def _replicas(settings: Mapping[str, Setting]) -> int:
    return _number(_says(settings, "global.replicas"), 1)


def unfit_hosts(case: Case) -> tuple[str, ...]:
    """Hosts of Ingresses that no route can have, as one with a ``*``: they end with the cutover."""
    return tuple(dict.fromkeys(host for _, host in _exposed(case) if not _HOST.fullmatch(host)))


def _routes(case: Case) -> Iterator[dict[str, Any]]:
    """One for each host, however many Ingresses there are; the first that names a host says how it is served."""
    seen: set[str] = set()
    for exposed, host in _exposed(case):
        if _HOST.fullmatch(host) and host not in seen:
            yield _route(exposed, host, len(seen))
            seen.add(host)


def _exposed(case: Case) -> Iterator[tuple[ExposureFact, str]]:
    for exposed in case.installation.exposures if case.installation else ():
        if exposed.object.kind != "Service":
            for host in exposed.hosts:
                yield exposed, host


def _route(exposed: ExposureFact, host: str, number: int) -> dict[str, Any]:
    route: dict[str, Any] = {"name": f"legacy-{number}" if number else "legacy", "hostname": host}
    if exposed.tls_secret is not None:
        route["secretName"] = exposed.tls_secret.name
    if exposed.class_name:
        route["ingressClassName"] = exposed.class_name
    kept = {key: value for key, value in exposed.annotations.items() if not key.startswith(_OWN_ANNOTATIONS)}
    if kept:
        route["annotations"] = kept
    return route


def _legacy_hosts(case: Case) -> set[str]:
    """Those in the cluster under which workloads pull until they are rewritten."""
    if case.installation is None:
        return set()
    name = f"{case.installation.name}.{case.inventory.namespace}.svc"
    return {name, *case.moving_hosts}


def _says(settings: Mapping[str, Setting], name: str) -> str:
    return settings[name].value if name in settings else ""


def _number(text: str, default: int) -> int:
    return int(text) if text.isdecimal() and int(text) else default
