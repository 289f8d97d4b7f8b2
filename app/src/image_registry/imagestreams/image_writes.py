"""Making Images without a push, and changing what people write on them.

What an Image says about its content comes from its manifest, which hashes to its name; nobody may say otherwise,
because garbage collection believes it. So a new Image needs the manifest, and a change touches metadata only. What
takes the last finalizer from an Image whose deletion waits for it deletes it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection

from image_registry.imagestreams import rows
from image_registry.imagestreams.errors import MODIFIED, Conflict, ImageExists, ImageUnknown
from image_registry.imagestreams.model import Image
from image_registry.imagestreams.spec_writes import Writer
from image_registry.metadata import images, revisions
from image_registry.metadata.database import Database
from image_registry.metadata.revisions import Change
from image_registry.oci.digest import Digest
from image_registry.oci.manifest import Manifest


@dataclass(frozen=True, slots=True)
class ImageDraft:
    """What somebody writes on an Image; ``manifest`` and ``config`` count for a new one only."""

    digest: Digest
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    owner_references: tuple[Mapping[str, Any], ...] = ()
    finalizers: tuple[str, ...] = ()
    managed_fields: tuple[Mapping[str, Any], ...] = ()
    generate_name: str = ""
    reference: str = ""
    manifest: Manifest | None = None
    config: bytes | None = None


def create(database: Database, draft: ImageDraft, writer: Writer) -> Image:
    """Make an Image of its manifest. Raises :class:`ImageExists`."""
    with database.write(undo=writer.dry_run) as connection:
        if not add(database, connection, draft, writer):
            raise ImageExists(f"Image {draft.digest} exists")
        log(database, connection, draft.digest, writer)
        made = images.find(connection, str(draft.digest))
        if made is None:
            raise ImageUnknown(f"no image {draft.digest}")
        return rows.image(made)


def add(database: Database, connection: Connection, draft: ImageDraft, writer: Writer) -> bool:
    """Write the Image that a manifest is; false if there is one."""
    if draft.manifest is None:
        raise ValueError("a new Image needs its manifest")
    row = rows.image_row(
        draft.manifest, draft.config, uid=str(uuid.uuid4()), created=writer.now, reference=draft.reference
    )
    return images.add(database, connection, {**row, **_columns(draft)})


def log(database: Database, connection: Connection, digest: Digest, writer: Writer) -> None:
    """Say that an Image was added, unless it is a dry run; nothing that may wait comes after it."""
    if not writer.dry_run:
        change = Change(revisions.IMAGE, "", str(digest), "ADDED")
        images.changed(connection, str(digest), revisions.append(database, connection, [change], writer.now)[0])


def update(database: Database, draft: ImageDraft, writer: Writer, *, uid: str, resource_version: int) -> Image:
    """Change what was read as ``uid`` at ``resource_version``. Raises :class:`ImageUnknown`, :class:`Conflict`."""
    digest = str(draft.digest)
    with database.write(undo=writer.dry_run) as connection:
        row = images.find(connection, digest, exclusive=True)
        if row is None:
            raise ImageUnknown(f"no image {digest}")
        old = rows.image(row)
        if (old.meta.uid, old.meta.resource_version) != (uid, resource_version):
            raise Conflict(MODIFIED)
        if old.meta.deleted is not None and not draft.finalizers and not _needed(connection, digest):
            images.remove(connection, digest)
            if not writer.dry_run:
                change = Change(revisions.IMAGE, "", digest, "DELETED", rows.last_state(old.meta))
                revisions.append(database, connection, [change], writer.now)
            return replace(old, meta=replace(old.meta, finalizers=(), managed_fields=tuple(draft.managed_fields)))
        if old.meta.deleted is not None and not draft.finalizers:
            images.end(connection, digest, None)  # pushed again while it waited: what a stream holds is not deleted
        columns = _columns(draft)
        if all((getattr(row, name) or None) == (value or None) for name, value in columns.items()):
            return old
        images.write(connection, digest, columns)
        if not writer.dry_run:
            last = {"labels": dict(old.meta.labels)} if old.meta.labels != draft.labels else None
            change = Change(revisions.IMAGE, "", digest, "MODIFIED", last)
            images.changed(connection, digest, revisions.append(database, connection, [change], writer.now)[0])
        made = images.find(connection, digest)
        return rows.image(made) if made is not None else old


def _needed(connection: Connection, digest: str) -> bool:
    """Whether a stream holds the image, or a tag means it."""
    return images.holder(connection, digest) is not None or images.meant_by(connection, digest) is not None


def _columns(draft: ImageDraft) -> dict[str, Any]:
    return {
        "labels": dict(draft.labels),
        "annotations": dict(draft.annotations),
        "owner_references": [dict(owner) for owner in draft.owner_references] or None,
        "finalizers": list(draft.finalizers) or None,
        "managed_fields": [dict(entry) for entry in draft.managed_fields] or None,
    }
