"""The condition ``PullSecretsReady`` of Config. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from image_registry.kube.own_access import Right
from image_registry.operator.conditions import Condition
from image_registry.operator.config_values import MANAGED, REMOVED, UNMANAGED
from image_registry.operator.pull_secret_settings import SERVICE

TYPE = "PullSecretsReady"
CURE = "give the operator's ServiceAccount what its chart gives it: helm upgrade cluster-image-registry-operator"
STARTING = Condition(TYPE, "Unknown", "Starting", "ServiceAccounts are being looked at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """``settled`` when everything was looked at since the last change; ``failed`` by namespace and ServiceAccount."""

    state: str
    settled: bool
    missing: Sequence[Right] = ()
    broken: str = ""
    failed: Mapping[tuple[str, str], str]


def condition(health: Health) -> Condition:
    """What people and tools read."""
    if health.state == UNMANAGED:
        message = "pull Secrets are left as they are; their tokens end within the hour"
        return Condition(TYPE, "Unknown", "Unmanaged", message)
    if health.missing:
        lacking = ", ".join(map(str, health.missing))
        return Condition(TYPE, "False", "PermissionDenied", f"the operator may not {lacking}; {CURE}")
    if health.broken:
        return Condition(TYPE, "False", "Unreadable", f"{health.broken}; it is tried again")
    if health.failed:
        namespace, name = first = min(health.failed)
        what = f"ServiceAccount {namespace}/{name}" if name else f"namespace {namespace}"
        message = f"{len(health.failed)} can not be served, first {what}: {health.failed[first]}"
        return Condition(TYPE, "False", "SomeFailed", message)
    if health.state == REMOVED:
        message = "nothing of them is left" if health.settled else "the operator takes away what it made"
        return Condition(TYPE, "False", "Removed", message)
    if health.state != MANAGED:
        return Condition(TYPE, "False", "WaitingForService", f"Service {SERVICE} does not exist yet")
    if not health.settled:
        return Condition(TYPE, "False", "Progressing", "pull Secrets are being made or renewed")
    return Condition(TYPE, "True", "AsExpected", "every ServiceAccount has a pull Secret with a valid token")
