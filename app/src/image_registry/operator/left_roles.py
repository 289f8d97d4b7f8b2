"""Which roles the operator leaves to another release: those that it was told, until they are this registry's own.

A migration ends with both roles made over to this registry, and nobody has to tell the operator then. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from image_registry.kube.release_marks import owned_by
from image_registry.kube.release_record import RELEASE, Release
from image_registry.operator.conditions import Condition

MISSING = "ClusterRolesMissing"
"""A condition of Config that is there only where it is true."""

_CAME_UP = ("deployed", "superseded")


def left_roles(
    told: Iterable[str], roles: Mapping[str, Mapping[str, Any]], history: Sequence[Release], namespace: str
) -> list[str]:
    """Of the names that the operator was told, those that are not its own; ``roles`` are those that exist.

    What the release has once had is its own, whatever became of it: Helm would delete a role that is left from then on.
    A revision that failed may have failed because of just that role, so it counts for nothing. The newest is first.
    """
    last = next((release for release in history if release.status in _CAME_UP), None)
    made = {item["metadata"]["name"] for item in last.objects() if item["kind"] == "ClusterRole"} if last else set()
    return [
        name for name in told if name not in made and not (name in roles and owned_by(roles[name], RELEASE, namespace))
    ]


def missing_condition(left: Sequence[str], missing: Sequence[str]) -> Condition | None:
    """What to do about roles that are left to another release and that nobody has made; ``None`` if there are none.

    Who leaves them in the values of the operator when the other release is gone has a registry that nobody may pull
    from, and that is healthy otherwise.
    """
    if not missing:
        return None
    names, rest = " and ".join(missing), ",".join(name for name in left if name not in missing)
    message = (
        f"ClusterRole {names} does not exist, and is not made, because the operator was told to leave it to another "
        "release: who is bound to it may do nothing by it. Take it out of the operator's values: helm upgrade "
        "cluster-image-registry-operator … --reuse-values --set "
        f"'operand.clusterRoles.leave={{{rest}}}' (by Operator Lifecycle Manager: clusterRoles.leave in operand.yaml "
        "of ConfigMap cluster-image-registry-operator, and restart the operator)"
    )
    return Condition(MISSING, "True", "LeftToNobody", message)
