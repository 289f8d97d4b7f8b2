"""From ``Config.spec`` to the values of the operand chart. Pure: nothing is asked and nothing is written.

The names are the same (design, D3), so there is little to do: say which storage and which database are *not* wanted,
because values are merged with those of the chart and an object is not.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

STORAGE_KINDS = ("pvc", "emptyDir", "s3", "gcs", "azure", "swift", "ibmcos", "oss")
CLAIM = "image-registry-storage"
"""The claim that the chart makes when none is named."""

DATABASE_CLAIM = "data-image-registry-db-0"
"""The claim of the bundled database, which Kubernetes makes from the StatefulSet."""

DELETE_STORAGE = "deleteStorage"
"""The chart's value by which a Removed registry lets go of its claim and its database."""

EMPTY_DIR = "emptyDir of the Pod"
"""The place of images that are in no other."""

LOG_LEVEL = "operatorLogLevel"
"""A field for the operator itself: no object of the registry changes with it, so the chart is not asked."""

MANAGED, UNMANAGED, REMOVED = "Managed", "Unmanaged", "Removed"

Object = dict[str, Any]


def state_of(spec: Mapping[str, Any]) -> str:
    """What is wanted; unset behaves as Removed."""
    return str(spec.get("managementState") or REMOVED)


def storage_of(config: Mapping[str, Any]) -> tuple[str, Object] | None:
    """The kind of storage and its settings; ``None`` if none is chosen."""
    storage = config.get("storage") or {}
    for kind in STORAGE_KINDS:
        if isinstance(storage.get(kind), Mapping):
            return kind, dict(storage[kind])
    return None


def place_of(config: Mapping[str, Any]) -> str:
    """Where the bytes lie, in words; two configurations with the same place share their images."""
    found = storage_of(config)
    if found is None:
        return "no storage"
    kind, settings = found
    if kind == "pvc":
        return f"claim {settings.get('claim') or CLAIM}"
    if kind == "emptyDir":
        return EMPTY_DIR
    folder = settings.get("rootDirectory")
    where = {
        "s3": settings.get("regionEndpoint") or settings.get("region"),
        "azure": settings.get("accountName"),
        "swift": settings.get("authURL"),
        "ibmcos": settings.get("location"),
        "oss": settings.get("region"),
    }.get(kind)
    name = settings.get("bucket") or settings.get("container")
    return f"{kind} {name}{f' of {where}' if where else ''}{f', folder {folder}' if folder else ''}"


def left_behind(place: str) -> str:
    """What a change of the storage means for images in the place that was left."""
    if place == EMPTY_DIR:
        return f"images in {place} went with it: push them again"
    return f"images in {place} were not moved: copy them, or change spec.storage back"


def own_claims(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Claims that the operator makes for a configuration whose storage is Managed; none for what somebody else made."""
    found = storage_of(config)
    if found is None or (config.get("storage") or {}).get("managementState") != MANAGED:
        return ()
    kind, settings = found
    if kind not in ("pvc", "emptyDir") or settings.get("claim"):
        return ()  # what is adopted stays, and with it the names of its images
    bundled = not ((config.get("metadata") or {}).get("postgresql") or {}).get("secretName")
    return (*((CLAIM,) if kind == "pvc" else ()), *((DATABASE_CLAIM,) if bundled else ()))


def values(
    spec: Mapping[str, Any],
    base: Mapping[str, Any],
    applied: Mapping[str, Any] | None = None,
    *,
    delete_storage: bool = False,
) -> Object:
    """The chart's values: ``base`` is what the operator was installed with, ``applied`` the ``config`` of the release.

    While the registry is Removed a specification may say less than the release knows; then storage and database stay
    what they were, so that nothing is made or let go in passing. ``delete_storage`` counts for a Removed registry whose
    storage is Managed.
    """
    config = {name: copy.deepcopy(part) for name, part in spec.items() if name != LOG_LEVEL}
    config["managementState"] = state_of(spec)
    earlier = applied or {}
    if storage_of(config) is None and earlier.get("storage"):
        config["storage"] = copy.deepcopy(earlier["storage"])
    chosen = storage_of(config)
    if chosen is not None:
        config["storage"] |= {kind: None for kind in STORAGE_KINDS if kind != chosen[0]}
    database = (config.get("metadata") or {}).get("postgresql") or {}
    if not database and config["managementState"] == REMOVED and earlier.get("metadata"):
        config["metadata"] = copy.deepcopy(earlier["metadata"])
    elif database.get("secretName"):
        config["metadata"]["postgresql"]["managed"] = None
    found = merged(base, {"config": config})
    if delete_storage and config["managementState"] == REMOVED and own_claims(config):
        found[DELETE_STORAGE] = True
    return found


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> Object:
    """Maps are merged, anything else is replaced; ``None`` stays, because Helm takes it as *without the default*."""
    found = copy.deepcopy(dict(below))
    for name, value in above.items():
        known = found.get(name)
        both = isinstance(known, Mapping) and isinstance(value, Mapping)
        found[name] = merged(known or {}, value) if both else copy.deepcopy(value)
    return found
