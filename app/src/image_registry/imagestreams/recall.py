"""What records add to an adoption: identity, what was wanted, the order of events, signatures, content elsewhere.

Content is never taken from a record: what an Image is made of and what a tag means now are said by manifests and
links. The tables win over a record that is older than they are; see :func:`wins`. Records were checked when they were
read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from image_registry.imagestreams import rows
from image_registry.imagestreams.model import TagEvent
from image_registry.imagestreams.records import Recalled, StreamRecord
from image_registry.metadata import images as image_rows
from image_registry.metadata import records, tables
from image_registry.metadata.database import Database
from image_registry.oci.digest import Digest

OWN = (
    "uid",
    "created",
    "labels",
    "annotations",
    "generation",
    "reference",
    "owner_references",
    "finalizers",
    "managed_fields",
    "deleted",
    "generate_name",
)
"""Columns of an Image that its manifest does not say."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered of a stream; ``stream`` is ``None`` if nothing is, or if the tables know better."""

    recalled: Recalled
    stream: StreamRecord | None
    histories: Mapping[str, tuple[TagEvent, ...]]
    pushed: Mapping[str, tuple[datetime, str]]
    """When and by whom each manifest came into the repository."""

    @property
    def elsewhere(self) -> frozenset[Digest]:
        """Manifests that are held without their content."""
        return self.recalled.elsewhere if self.stream is not None else frozenset()


def remember(recalled: Recalled, known: tables.Record | None) -> Memory:
    """What counts beside the row that the tables have of the stream."""
    record = recalled.stream
    if record is None or (known is not None and not wins(record, known)):
        return Memory(recalled, None, {}, {})
    events: dict[str, list[TagEvent]] = {}
    for entry in record.of("tag_events"):
        row = records.typed(tables.tag_events, entry)
        event = TagEvent(row["created"], rows.meaning(row["image"]), row["reference"], row["generation"])
        events.setdefault(row["tag"], []).append(event)
    held = [records.typed(tables.held_manifests, entry) for entry in record.of("held_manifests")]
    return Memory(
        recalled,
        record,
        {tag: tuple(reversed(found)) for tag, found in events.items()},
        {row["digest"]: (row["pushed"], row["pushed_by"]) for row in held},
    )


def wins(record: StreamRecord, known: tables.Record) -> bool:
    """Whether a record is newer than the row of its stream.

    A stream of another identity is what a push made before the lost one was remembered, or what a backup still has.
    """
    return bool(record.row["uid"] != known.uid or record.row["resource_version"] > known.resource_version)


def stream_row(record: StreamRecord, namespace: str, name: str) -> dict[str, Any]:
    """The row of the stream; its revision comes with the change."""
    return records.typed(tables.image_streams, record.row, namespace=namespace, name=name, resource_version=0)


def image_row(made: Mapping[str, Any], recorded: Mapping[str, Any] | None) -> dict[str, Any]:
    """The row of an Image from its manifest, with what a record knows beside."""
    if recorded is None:  # one statement inserts rows of both kinds
        return {**dict.fromkeys(OWN), **made}
    row = records.typed(tables.images, recorded, resource_version=0)
    return {**made, **{name: row[name] for name in OWN}}


def whole_image_row(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """The row of an Image whose content is not here."""
    return records.typed(tables.images, recorded, resource_version=0)


def hold_elsewhere(database: Database, connection: Connection, stream: int, memory: Memory) -> list[str]:
    """Let the stream hold what it held without content; returns the digests of new Images, sorted."""
    if memory.stream is None or not memory.elsewhere:
        return []
    wanted = {str(digest): memory.recalled.images[digest] for digest in memory.elsewhere}
    created = image_rows.add_all(database, connection, [whole_image_row(row) for row in wanted.values()])
    held = [
        records.typed(tables.held_manifests, entry, stream_id=stream)
        for entry in memory.stream.of("held_manifests")
        if entry["digest"] in wanted
    ]
    image_rows.hold_all(connection, stream, held)
    return sorted(created)


def write_parts(connection: Connection, stream: int, memory: Memory, held: Collection[str]) -> None:
    """What belongs to the stream beside manifests and tags; only of what it holds."""
    record = memory.stream
    if record is None:
        return
    for table in (tables.tag_specs, tables.tag_conditions, tables.import_attempts):
        rows = [records.typed(table, entry) for entry in record.of(table.name)]
        records.replace(connection, stream, table, rows)
    remote = [entry for entry in record.of("remote_manifests") if entry["digest"] in held]
    there = {entry["digest"] for entry in remote}
    of_these = {
        tables.signatures: [entry for entry in record.of("signatures") if entry["digest"] in held],
        tables.remote_manifests: remote,
        tables.remote_blobs: [entry for entry in record.of("remote_blobs") if entry["manifest"] in there],
    }
    for table, entries in of_these.items():
        records.replace(connection, stream, table, [records.typed(table, entry) for entry in entries])
