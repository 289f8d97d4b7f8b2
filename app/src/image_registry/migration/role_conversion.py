"""Rights on the images of a legacy registry as rights on image streams.

Every role gets the new rules beside the old ones, the platform's two as those that somebody made, and their bindings
stay as they are. When the move is finalized the platform's two become roles of this registry alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from image_registry.migration.facts import ObjectName, RoleFact

GROUP = "image.alauda.io"
_WRITES = frozenset({"create", "update", "patch"})


@dataclass(frozen=True, slots=True)
class RoleConversion:
    """``added`` are rules; ``problem`` says why a role is left to a person."""

    object: ObjectName
    before: tuple[str, ...] = ()
    """Verbs on images of the legacy registry."""
    added: tuple[Mapping[str, Any], ...] = ()
    problem: str = ""


def convert_roles(roles: Iterable[RoleFact]) -> tuple[RoleConversion, ...]:
    """Those that say something about images, those with names of ours too: the installation leaves what is there."""
    found = []
    for role in roles:
        verbs = {verb for rule in role.rules if not rule.wildcard for verb in rule.verbs}
        if any(rule.resource_names for rule in role.rules):
            problem = "it names single images (resourceNames), which rights on image streams cannot say"
            found.append(RoleConversion(role.object, tuple(sorted(verbs)), problem=problem))
        elif verbs:
            cluster_wide = role.object.kind == "ClusterRole"
            found.append(
                RoleConversion(role.object, tuple(sorted(verbs)), tuple(_rules(verbs, cluster_wide=cluster_wide)))
            )
    return tuple(found)


def _rules(verbs: set[str], *, cluster_wide: bool) -> Iterable[dict[str, Any]]:
    everything = "*" in verbs
    layers = [verb for verb, asked in (("get", {"get"}), ("update", set(_WRITES))) if everything or verbs & asked]
    if layers:
        yield {"apiGroups": [GROUP], "resources": ["imagestreams/layers"], "verbs": layers}
    if everything or verbs & _WRITES:
        yield {"apiGroups": [GROUP], "resources": ["imagestreams"], "verbs": ["create", "get", "list"]}
    if everything or "list" in verbs:
        yield {"apiGroups": [GROUP], "resources": ["imagestreams", "imagestreamtags"], "verbs": ["get", "list"]}
    if everything or "delete" in verbs:
        resources = ["imagestreams", "imagestreamtags", *(["images"] if cluster_wide else [])]
        yield {"apiGroups": [GROUP], "resources": resources, "verbs": ["delete"]}
