"""What goes with the release of the registry before, and what of it must not be missed for a moment.

The platform's two roles are those of both registries: bindings of every namespace name them. A release that is removed
takes them along, whoever owns them by then, so each is made again as soon as it is gone, as this registry's own. Who
made it anew is seen by its UID: the same name is not the same object.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from image_registry.migration.access_facts import OURS
from image_registry.migration.actions import Context
from image_registry.migration.cluster_objects import ClusterObjects, restorable
from image_registry.migration.facts import ObjectName
from image_registry.migration.plan import Step

OFTEN = 0.25
"""Seconds between two looks: as long may a role be gone that pulls are decided by."""

_OF_A_RELEASE = ("helm.sh/", "meta.helm.sh/")


def note_what_leaves(step: Step, context: Context) -> dict[str, Any]:
    """Before the wait: which objects are meant, and the roles as they stand."""
    found = ClusterObjects(context.client)
    uids: dict[str, str] = {}
    roles: dict[str, Any] = {}
    for place in _places(step):
        document = found.find(place)
        if document is not None:
            uids[str(place)] = str(document["metadata"].get("uid", ""))
            if place.kind == "ClusterRole" and place.name in OURS:
                roles[str(place)] = _of_nobody(restorable(document))
    return {"uids": uids, "roles": roles}


def not_gone(step: Step, saved: Mapping[str, Any], context: Context) -> Iterator[str]:
    """What is still there; a role that is gone is back when this returns."""
    found = ClusterObjects(context.client)
    uids, roles = saved.get("uids", {}), saved.get("roles", {})
    for place in _places(step):
        document, name = found.find(place), str(place)
        if document is None:
            if name in roles:
                found.create(place, roles[name])
                context.settings.take_over([place])
                context.tell(f"  {place} went with its release, and is made again as this registry's own")
        elif name not in uids or uids[name] == str(document["metadata"].get("uid", "")):
            yield f"{place} is still there"


def _places(step: Step) -> list[ObjectName]:
    return [
        ObjectName(str(kind), str(name), str(namespace), str(api_version))
        for kind, name, namespace, api_version in step.parameters["gone"]
    ]


def _of_nobody(document: dict[str, Any]) -> dict[str, Any]:
    """Without the marks of the release: who removes that by its label would take this one as well."""
    metadata = document["metadata"]
    for member in ("labels", "annotations"):
        if member in metadata:
            metadata[member] = {
                key: value for key, value in metadata[member].items() if not key.startswith(_OF_A_RELEASE)
            }
    return document
