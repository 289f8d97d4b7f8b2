"""``Config.status`` as a whole, from what was observed. Pure; the specification is never written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from image_registry.kube.release_record import Release
from image_registry.operator import config_values, route_facts
from image_registry.operator.conditions import Observed, conditions
from image_registry.operator.config_values import REMOVED, UNMANAGED
from image_registry.operator.route_facts import RouteFact

FAULTS = {
    "Degraded": "True",
    "IngressDegraded": "True",
    "CertificatesValid": "False",
    "NodeCADaemonAvailable": "False",
    "ImagesIntact": "False",
}
"""Conditions that Events tell of, with the status that is a fault whatever the reason."""

FAULTY_REASONS = {
    ("StorageExists", "ClaimDeleted"),
    ("StorageExists", "ClaimLost"),
    ("PullSecretsReady", "PermissionDenied"),
}
"""Of others, what does not pass by itself."""

WORKLOADS = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}


def status(
    config: Mapping[str, Any],
    observed: Observed,
    release: Release | None,
    workloads: list[Mapping[str, Any]],
    now: datetime,
    namespace: str,
    routes: Sequence[RouteFact] = (),
) -> dict[str, Any]:
    """What is to be written; equal to what is there if nothing has changed."""
    spec, before = config.get("spec") or {}, config.get("status") or {}
    generation = int((config.get("metadata") or {}).get("generation") or 0)
    registry = observed.deployments.get("image-registry") or {}
    found: dict[str, Any] = {
        "observedGeneration": generation,
        "conditions": conditions(spec, observed, before.get("conditions") or [], generation, now),
        "readyReplicas": int((registry.get("status") or {}).get("readyReplicas") or 0),
        "generations": generations(workloads),
    }
    if observed.goes:
        found["ownedClaims"] = list(observed.goes)
    if routes:
        found["routes"] = [fact.shown() for fact in routes]
    if release is not None:
        found["latestAvailableRevision"] = release.revision
        found["version"] = release.app_version
        applied = release.values.get("config") or {}
        if storage := {name: part for name, part in (applied.get("storage") or {}).items() if part is not None}:
            found["storage"] = storage
        if config_values.state_of(applied) != REMOVED and config_values.state_of(spec) != REMOVED:
            found["hostnames"] = hostnames(applied, namespace)
    elif config_values.state_of(spec) == UNMANAGED:
        found |= {name: before[name] for name in ("version", "storage", "hostnames") if name in before}
    return found


def warnings(found: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Reason and message of what a person has to know, for Events: the same words for as long as it lasts."""
    by_type = {str(item["type"]): item for item in found}
    for kind, item in by_type.items():
        reason, message = str(item["reason"]), str(item["message"])
        if item["status"] == FAULTS.get(kind):
            # how long it lasts is in the condition; an Event for each minute would help nobody
            yield (
                reason,
                str(by_type["Available"]["message"]) if (kind, reason) == ("Degraded", "Unavailable") else message,
            )
        elif (kind, reason) in FAULTY_REASONS and by_type["Removed"]["status"] == "False":
            yield reason, message


def instead(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch that leaves ``after`` alone of ``before``: what a patch does not name stays, at any depth."""
    found: dict[str, Any] = {name: None for name in before if name not in after}
    for name, part in after.items():
        known = before.get(name)
        both = isinstance(part, Mapping) and isinstance(known, Mapping)
        found[name] = instead(known or {}, part) if both else part
    return found


def hostnames(applied: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    """Where the registry answers."""
    external = [route.hostname for route in route_facts.routes(applied, namespace)]
    found: dict[str, Any] = {"internal": f"image-registry.{namespace}.svc:5000"}
    return found | ({"external": external} if external else {})


def generations(workloads: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The generation of every workload, in a steady order."""
    found = [
        {
            "group": "apps",
            "resource": WORKLOADS[str(item["kind"])],
            "namespace": item["metadata"]["namespace"],
            "name": item["metadata"]["name"],
            "lastGeneration": int(item["metadata"].get("generation") or 0),
        }
        for item in workloads
    ]
    return sorted(found, key=lambda item: (str(item["resource"]), str(item["name"])))
