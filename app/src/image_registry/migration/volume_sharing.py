"""Whether both registries may have a volume at a time, by two volume objects. Pure.

The old registry serves until the cutover, and the platform starts it again when somebody stops it. So a volume that
only one node or one Pod may have is not reused but copied from, unless somebody insists.
"""

from __future__ import annotations

from image_registry.migration.facts import StorageFact

BY_ATTRIBUTES = frozenset({"nfs.csi.k8s.io", "smb.csi.k8s.io"})
"""Drivers that mount by attributes, so that the handle may tell two volume objects apart on one node."""

SOURCES = ("csi", "nfs", "hostPath", "local", "cephfs", "glusterfs", "iscsi", "fc", "rbd")
"""Kinds of volumes of which a second object can be made."""

MANY, ONE_POD = "ReadWriteMany", "ReadWriteOncePod"


def why_not_both(storage: StorageFact | None) -> str:
    """Why not; empty if they may."""
    volume = storage.volume if storage and storage.kind == "pvc" else None
    if storage is None or volume is None:
        return ""
    if ONE_POD in storage.access_modes:
        return f"{volume.object} is for one Pod ({ONE_POD}), so both registries cannot have it"
    if volume.kind in ("hostPath", "local"):
        return "" if volume.nodes else f"nothing says to which node the folder of {volume.object} belongs"
    if MANY in storage.access_modes or volume.kind == "nfs" or _driver(storage) in BY_ATTRIBUTES:
        return ""
    return (
        f"{volume.object} is of one node ({', '.join(storage.access_modes) or 'no access mode'}), and a second volume "
        "object of the same place may hang there or be mounted twice"
    )


def same_handle(storage: StorageFact) -> str:
    """The driver that finds two volume objects of many nodes by one handle, which goes wrong on one; empty for none."""
    volume = storage.volume
    plain = volume is not None and volume.kind == "csi" and _driver(storage) not in BY_ATTRIBUTES
    return _driver(storage) if plain and not why_not_both(storage) else ""


def _driver(storage: StorageFact) -> str:
    return storage.volume.attributes.get("driver", "") if storage.volume else ""
