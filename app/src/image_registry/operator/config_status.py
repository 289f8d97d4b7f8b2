"""``Config.status`` as a whole, from what was observed. Pure; the specification is never written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from image_registry.operator import config_values, route_facts
from image_registry.operator.conditions import Observed, conditions
from image_registry.operator.config_values import REMOVED, UNMANAGED
from image_registry.operator.release_record import Release
from image_registry.operator.route_facts import RouteFact

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
