"""What happened since a revision: the log with the states it speaks of, which is what a watch tells (design, D7).

The log says which object changed and at which revision; the state is read beside it, in one snapshot. So several
changes of an object that nobody has been told of are told as one, with the state and the revision of the last, and
every change comes at its place in the order of revisions: whoever stops anywhere can go on from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Literal

from sqlalchemy import Connection

from image_registry.imagestreams import reads, rows
from image_registry.imagestreams.availability import available
from image_registry.imagestreams.model import Image, ImageStream, ObjectMeta
from image_registry.metadata import images, revisions, streams
from image_registry.metadata.database import Database
from image_registry.metadata.tables import Record
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository

MOST = 2_000
"""Rows of the log that are read at once."""

Event = Literal["ADDED", "MODIFIED", "DELETED"]


class TooOld(Exception):
    """The log does not go back that far: list again."""


@dataclass(frozen=True, slots=True)
class Changed:
    """One object became this at ``revision``; one that is gone is shown as far as it is remembered."""

    revision: int
    event: Event
    value: ImageStream | Image
    labels_before: Mapping[str, str] | None = None
    """Of something modified, where they were others; a watch by labels has to say that it left."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Changes in order, and the revision up to which they are all there are."""

    changes: tuple[Changed, ...]
    revision: int


class Changes:
    """Every method may raise :class:`MetadataUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest(self) -> int:
        """The newest revision."""
        with available():
            return reads.revision(self._database)

    def since(self, revision: int) -> Batch:
        """What came after ``revision``, perhaps only the first part of it. Raises :class:`TooOld`."""
        with available(), self._database.snapshot() as connection:
            newest = revisions.newest(connection)
            if newest - revision >= revisions.KEPT:
                raise TooOld(f"{revision} is more than {revisions.KEPT} changes ago")
            found = revisions.since(connection, revision, limit=MOST) if newest > revision else ()
            told = found[-1].revision if len(found) == MOST else newest
            return Batch(tuple(_changes(connection, found, told)), told)


def _changes(connection: Connection, found: Sequence[Record], told: int) -> list[Changed]:
    def key(row: Record) -> tuple[str, str, str]:
        return row.kind, row.namespace, row.name

    # sorting is stable, so the rows of an object stay in their order
    each = [_of_one(connection, list(group), told) for _, group in groupby(sorted(found, key=key), key)]
    return sorted((change for changes in each for change in changes), key=lambda change: change.revision)


def _of_one(connection: Connection, group: Sequence[Record], told: int) -> list[Changed]:
    gone = [Changed(row.revision, "DELETED", _remembered(row)) for row in group if row.event == "DELETED"]
    last = group[-1]
    if last.event == "DELETED":
        return gone
    value = _now(connection, last)
    # an object that changed again behind the end of this part is told there, at its place
    if value is None or value.meta.resource_version > told:
        return gone
    after = [row for row in group if not gone or row.revision > gone[-1].revision]
    if any(row.event == "ADDED" for row in after):
        return [*gone, Changed(value.meta.resource_version, "ADDED", value)]
    before = next((row.last_state["labels"] for row in after if row.last_state), None)
    return [*gone, Changed(value.meta.resource_version, "MODIFIED", value, before)]


def _now(connection: Connection, row: Record) -> ImageStream | Image | None:
    if row.kind == revisions.STREAM:
        stream = streams.find(connection, row.namespace, row.name)
        return reads.whole(connection, stream) if stream else None
    image = images.find(connection, row.name)
    return rows.image(image) if image else None


def _remembered(row: Record) -> ImageStream | Image:
    state: dict[str, Any] = row.last_state or {}
    meta = ObjectMeta(
        uid=state.get("uid", ""),
        created=datetime.fromisoformat(state["created"]) if "created" in state else rows.utc(row.created),
        resource_version=row.revision,
        generation=state.get("generation", 1),
        labels=state.get("labels", {}),
        annotations=state.get("annotations", {}),
    )
    if row.kind == revisions.STREAM:
        return ImageStream(Repository(row.namespace, row.name), meta)
    return Image(Digest.parse(row.name), meta, "", "", manifest_size=0, config=None, content_size=0)
