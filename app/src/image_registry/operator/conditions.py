"""Conditions of Config: what people and tools read to know how the registry is. Pure.

Reasons are one word in CamelCase, as the API conventions ask; a message says what to do next where there is something.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from image_registry.operator import config_values
from image_registry.operator.config_values import MANAGED, REMOVED, UNMANAGED

Status = Literal["True", "False", "Unknown"]
UNAVAILABLE_FOR = timedelta(minutes=5)
"""How long a registry may be unavailable before it counts as degraded: restarts and moves are shorter."""

TIME = "%Y-%m-%dT%H:%M:%SZ"
SERVERS = ("image-registry", "image-api-server")


@dataclass(frozen=True, slots=True)
class Condition:
    """One line of ``status.conditions``."""

    type: str
    status: Status
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the cluster could not be made what the specification says; ``passing`` if the next try may work."""

    reason: str
    message: str
    passing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """The cluster as it is: Deployments by name, the storage claim, whether the Image API is available."""

    deployments: Mapping[str, Mapping[str, Any]]
    claim: Mapping[str, Any] | None = None
    image_api: str = ""
    """Why the Image API is not available; empty if it is."""
    applying: str = ""
    """What is being done right now; empty if nothing is."""
    problem: Problem | None = None
    moved_from: str = ""
    """The place of the images before the storage was changed."""
    pull_secrets: Condition | None = None
    """What those who make pull Secrets say of them."""
    further: tuple[Condition, ...] = ()
    """Conditions about what is looked at beside the release: certificates, routes, nodes."""
    refusing: Condition | None = None
    """Why clients refuse the servers although these answer; ``None`` if they do not."""
    goes: tuple[str, ...] = ()
    """Claims that the operator has made, and that go when a registry with Managed storage is Removed."""
    unknown: tuple[str, ...] = ()
    """Fields of the specification that this version does not know."""
    namespace: str = "image-registry-system"
    """Where the registry is: commands in messages are typed as they are."""


def conditions(
    spec: Mapping[str, Any], observed: Observed, earlier: Iterable[Mapping[str, Any]], generation: int, now: datetime
) -> list[dict[str, Any]]:
    """All conditions, with the time since when each is what it is."""
    known = {str(item.get("type")): item for item in earlier}
    available = _available(spec, observed)
    since = _since(available, known, now)
    found = [
        available,
        _progressing(spec, observed),
        _degraded(spec, observed, available, now - since),
        _removed(spec),
        _storage(spec, observed),
        *([observed.pull_secrets] if observed.pull_secrets is not None else []),
        *observed.further,
        *_unknown(observed),
    ]
    return dated(found, known.values(), generation, now)


def dated(
    found: Iterable[Condition], earlier: Iterable[Mapping[str, Any]], generation: int, now: datetime
) -> list[dict[str, Any]]:
    """Conditions as they are written, with the time since when each has its status."""
    known = {str(item.get("type")): item for item in earlier}
    return [
        {
            "type": item.type,
            "status": item.status,
            "reason": item.reason,
            "message": item.message,
            "observedGeneration": generation,
            "lastTransitionTime": _since(item, known, now).strftime(TIME),
        }
        for item in found
    ]


def _since(condition: Condition, known: Mapping[str, Mapping[str, Any]], now: datetime) -> datetime:
    before = known.get(condition.type)
    if before is None or before.get("status") != condition.status:
        return now
    try:
        return datetime.strptime(str(before.get("lastTransitionTime")), TIME).replace(tzinfo=now.tzinfo)
    except ValueError:
        return now


def _resting(kind: str, spec: Mapping[str, Any], status: Status) -> Condition | None:
    """What is said while nothing is to run, or nothing is to be touched."""
    state = config_values.state_of(spec)
    if state == UNMANAGED:
        message = (
            "the operator leaves the registry as it is: set spec.managementState to Managed to have it looked after"
        )
        return Condition(kind, status, "Unmanaged", message)
    if state == REMOVED:
        return Condition(kind, status, "Removed", _absence(spec))
    return None


def _absence(spec: Mapping[str, Any]) -> str:
    if spec.get("managementState") and config_values.own_claims(spec):
        return (
            "the registry is removed, and with it go the claims that the operator has made, because "
            "spec.storage.managementState is Managed; what was there before it is kept"
        )
    if spec.get("managementState"):
        return "the registry is removed, its images are kept: set spec.managementState to Managed to have it run"
    return (
        "spec.managementState is not set, which behaves as Removed: choose a storage in spec.storage and set "
        "spec.managementState to Managed to have a registry"
    )


def _available(spec: Mapping[str, Any], observed: Observed) -> Condition:
    if resting := _resting("Available", spec, "True"):
        return resting
    registry = observed.deployments.get("image-registry")
    if registry is None:
        if observed.problem is not None and not observed.problem.passing:
            return Condition("Available", "False", observed.problem.reason, observed.problem.message)
        return Condition("Available", "False", "DeploymentNotFound", "Deployment image-registry does not exist yet")
    if (registry.get("metadata") or {}).get("deletionTimestamp"):
        return Condition("Available", "False", "DeploymentDeleted", "Deployment image-registry is being deleted")
    if not _number(registry, "status", "availableReplicas"):
        if _number(registry, "spec", "replicas") == 0:
            message = "spec.replicas is 0, so nothing serves: set it to 1 or more"
        else:
            message = (
                f"no Pod of Deployment image-registry is ready: see kubectl -n {observed.namespace} describe pods "
                "-l app.kubernetes.io/name=image-registry"
            )
        return Condition("Available", "False", "NoReplicasAvailable", message)
    if observed.image_api:
        return Condition("Available", "False", "ImageApiUnavailable", observed.image_api)
    if observed.refusing is not None:
        return Condition("Available", "False", observed.refusing.reason, observed.refusing.message)
    if unfinished := _unfinished(observed.deployments):
        return Condition("Available", "True", "MinimumAvailability", f"the registry answers; {unfinished}")
    return Condition("Available", "True", "Ready", "the registry and the Image API answer")


def _progressing(spec: Mapping[str, Any], observed: Observed) -> Condition:
    state = config_values.state_of(spec)
    if state == REMOVED and observed.deployments:
        names = " and ".join(sorted(observed.deployments))
        return Condition("Progressing", "True", "DeletingDeployment", f"Deployment {names} is going")
    if resting := _resting("Progressing", spec, "False"):
        return resting
    if observed.problem is not None:
        passing: Status = "True" if observed.problem.passing else "False"
        return Condition("Progressing", passing, "Error", observed.problem.message)
    if observed.applying:
        return Condition("Progressing", "True", "Applying", observed.applying)
    if not all(name in observed.deployments for name in SERVERS):
        return Condition("Progressing", "True", "WaitingForDeployment", "a Deployment does not exist yet")
    if any((item.get("metadata") or {}).get("deletionTimestamp") for item in observed.deployments.values()):
        return Condition("Progressing", "True", "FinalizingDeployment", "a Deployment is being deleted")
    if unfinished := _unfinished(observed.deployments):
        return Condition("Progressing", "True", "DeploymentNotCompleted", unfinished)
    return Condition("Progressing", "False", "Ready", "the cluster is what the specification says")


def _degraded(spec: Mapping[str, Any], observed: Observed, available: Condition, lasting: timedelta) -> Condition:
    state = config_values.state_of(spec)
    if observed.problem is not None and not observed.problem.passing and state != UNMANAGED:
        return Condition("Degraded", "True", observed.problem.reason, observed.problem.message)
    if resting := _resting("Degraded", spec, "False"):
        return resting
    for name, item in sorted(observed.deployments.items()):
        for condition in (item.get("status") or {}).get("conditions") or []:
            if condition.get("type") == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
                message = f"Deployment {name}: {condition.get('message')}"
                return Condition("Degraded", "True", "ProgressDeadlineExceeded", message)
    if available.status != "True" and lasting > UNAVAILABLE_FOR:
        minutes = int(lasting.total_seconds() // 60)
        return Condition("Degraded", "True", "Unavailable", f"for {minutes} minutes: {available.message}")
    if observed.problem is not None:
        message = "the registry is as it was; what failed last is tried again, as the condition Progressing says"
        return Condition("Degraded", "False", "AsExpected", message)
    return Condition("Degraded", "False", "AsExpected", "nothing is wrong")


def _removed(spec: Mapping[str, Any]) -> Condition:
    state = config_values.state_of(spec)
    if state == REMOVED:
        return Condition("Removed", "True", "Removed", _absence(spec))
    return Condition("Removed", "False", state, f"spec.managementState is {state}")


def _unknown(observed: Observed) -> list[Condition]:
    """Only where there is something to say: a newer version wrote more than this one understands."""
    if not observed.unknown:
        return []
    message = (
        f"this version does not know {', '.join(observed.unknown)}: it works without them and leaves them where they "
        "are; upgrade the operator to have them"
    )
    return [Condition("FieldsIgnored", "True", "UnknownFields", message)]


def _storage(spec: Mapping[str, Any], observed: Observed) -> Condition:
    found = config_values.storage_of(spec)
    moved = ""
    if observed.moved_from:
        moved = f"; {config_values.left_behind(observed.moved_from)}"
    if observed.goes and config_values.state_of(spec) != REMOVED:
        names = " and ".join(observed.goes)
        moved += f"; spec.managementState Removed would delete claim {names}, and every image with it"
    place = config_values.place_of(spec)
    if found is None:
        return Condition("StorageExists", "Unknown", "StorageNotConfigured", "spec.storage names no storage")
    kind, settings = found
    changed = bool(observed.moved_from)
    reason = "StorageConfigurationChanged" if changed else "StorageConfigured"
    if kind == "emptyDir":
        lost = "images are kept in the Pod only and are lost with it: for tests"
        return Condition("StorageExists", "True", reason if changed else "EmptyDir", lost + moved)
    if kind != "pvc":
        message = f"{place}; the registry itself checks that it answers, and its Pods are not ready while it does not"
        return Condition("StorageExists", "Unknown", reason, message + moved)
    return _claim(spec, observed, settings, moved)


def _claim(spec: Mapping[str, Any], observed: Observed, settings: Mapping[str, Any], moved: str) -> Condition:
    """How the claim is; one that is deleted with its registry, or while it is used, says so."""
    name = settings.get("claim") or config_values.CLAIM
    if observed.claim is None:
        if config_values.state_of(spec) == REMOVED and config_values.own_claims(spec):
            return Condition("StorageExists", "False", "ClaimDeleted", f"claim {name} was deleted with the registry")
        if config_values.state_of(spec) != MANAGED:
            return Condition("StorageExists", "False", "ClaimNotFound", f"claim {name} does not exist")
        cure = (
            f"make claim {name}, or leave spec.storage.pvc.claim empty" if settings.get("claim") else "it is made soon"
        )
        return Condition("StorageExists", "False", "ClaimNotFound", f"claim {name} does not exist: {cure}")
    if (observed.claim.get("metadata") or {}).get("deletionTimestamp") and config_values.state_of(spec) != REMOVED:
        message = (
            f"claim {name} was deleted and goes with its images when the last Pod that uses it ends: copy the images "
            f"while they can still be pulled; then an empty claim is made in its place{moved}"
        )
        return Condition("StorageExists", "False", "ClaimDeleted", message)
    phase = (observed.claim.get("status") or {}).get("phase")
    if phase == "Bound":
        reason = "StorageConfigurationChanged" if observed.moved_from else "ClaimBound"
        return Condition("StorageExists", "True", reason, f"claim {name} is bound{moved}")
    message = f"claim {name} is {phase}: see kubectl -n {observed.namespace} describe pvc {name}"
    return Condition("StorageExists", "False", f"Claim{phase or 'Unknown'}", message + moved)


def _unfinished(deployments: Mapping[str, Mapping[str, Any]]) -> str:
    """What a rollout still waits for; empty when it is complete."""
    for name, item in sorted(deployments.items()):
        wanted = _number(item, "spec", "replicas")
        if _number(item, "status", "observedGeneration") < _number(item, "metadata", "generation"):
            return f"Deployment {name} is about to change"
        for field, word in (("updatedReplicas", "updated"), ("availableReplicas", "ready")):
            there = _number(item, "status", field)
            if there < wanted:
                return f"{there} of {wanted} Pods of Deployment {name} are {word}"
        if _number(item, "status", "replicas") > wanted:
            return f"Pods of Deployment {name} are leaving"
    return ""


def _number(item: Mapping[str, Any], part: str, field: str) -> int:
    return int((item.get(part) or {}).get(field) or 0)
