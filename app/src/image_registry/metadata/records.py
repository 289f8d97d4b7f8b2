"""Rows of one object as plain values, and back: what is kept beside the bytes for the day on which the tables are lost.

A record is the rows as they are, by table and column, so nothing of an object can be forgotten when a column comes to a
table. A reader takes the columns that it knows; one that a record does not have yet is empty, as migrations leave it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, DateTime, LargeBinary, Table, bindparam, delete, insert, select, text, update

from image_registry.metadata.database import Database
from image_registry.metadata.tables import (
    Record,
    held_manifests,
    image_streams,
    images,
    import_attempts,
    remote_blobs,
    remote_manifests,
    revisions,
    signatures,
    tag_conditions,
    tag_events,
    tag_specs,
)

PARTS = (
    held_manifests,
    tag_events,
    tag_specs,
    tag_conditions,
    import_attempts,
    signatures,
    remote_manifests,
    remote_blobs,
)
"""Tables whose rows belong to a stream, in an order in which they can be filled."""

_KEYS = {"id", "stream_id"}
"""Columns that mean nothing outside of the database that gave them."""

_stream = select(image_streams).where(
    image_streams.c.namespace == bindparam("namespace"), image_streams.c.name == bindparam("name")
)
_image = select(images).where(images.c.digest == bindparam("at_digest"))
_known_images = select(images.c.digest).where(images.c.digest.in_(bindparam("digests", expanding=True)))
_row = select(revisions).where(revisions.c.revision == bindparam("at_revision"))
_oldest = select(revisions.c.revision).order_by(revisions.c.revision).limit(1)


class Incomplete(Exception):
    """A record lacks what a row must have, or says it in another form."""


def of_stream(connection: Connection, namespace: str, name: str) -> dict[str, list[dict[str, Any]]] | None:
    """Every row of a stream by the name of its table; ``None`` if there is no such stream."""
    row = connection.execute(_stream, {"namespace": namespace, "name": name}).first()
    if row is None:
        return None
    found = {image_streams.name: [_plain(row)]}
    for table in PARTS:
        query = select(table).where(table.c.stream_id == row.id).order_by(*table.primary_key.columns)
        if rows := connection.execute(query).all():
            found[table.name] = [_plain(each) for each in rows]
    return found


def of_image(connection: Connection, digest: str) -> dict[str, Any] | None:
    """The row of an Image."""
    row = connection.execute(_image, {"at_digest": digest}).first()
    return None if row is None else _plain(row)


def known_images(connection: Connection, digests: Sequence[str]) -> set[str]:
    """Those of ``digests`` that are Images."""
    return set(connection.execute(_known_images, {"digests": digests}).scalars())


def revision(connection: Connection, number: int) -> Record | None:
    """One row of the log, if it is still there."""
    return connection.execute(_row, {"at_revision": number}).first()


def oldest_revision(connection: Connection) -> int:
    """Where the log begins."""
    return int(connection.execute(_oldest).scalar() or 1)


def continue_after(database: Database, connection: Connection, number: int, now: datetime) -> None:
    """Let the next revisions be greater than ``number``."""
    database.lock_revisions(connection)
    row = {"kind": "Rebuild", "namespace": "", "name": "", "event": "ADDED", "created": now, "last_state": None}
    connection.execute(insert(revisions), {"revision": number, **row})
    if database.is_postgresql:
        sequence = "SELECT setval(pg_get_serial_sequence('revisions', 'revision'), :number)"
        connection.execute(text(sequence), {"number": number})


def typed(table: Table, record: Mapping[str, Any], **over: Any) -> dict[str, Any]:
    """A row of ``table`` from what a record says. Raises :class:`Incomplete`."""
    row: dict[str, Any] = {}
    for column in table.columns:
        if column.name in over:
            row[column.name] = over[column.name]
        elif column.name in _KEYS:
            continue
        elif record.get(column.name) is not None:
            row[column.name] = _value(column, record[column.name])
        elif column.nullable:
            row[column.name] = None
        else:
            raise Incomplete(f"{table.name} without {column.name}")
    return row


def write_stream(connection: Connection, stream: int, row: Mapping[str, Any]) -> None:
    """Let the row of a stream say this."""
    connection.execute(update(image_streams).where(image_streams.c.id == stream).values(**row))


def replace(connection: Connection, stream: int, table: Table, rows: Iterable[Mapping[str, Any]]) -> None:
    """Let these be the rows that a stream has in a table."""
    connection.execute(delete(table).where(table.c.stream_id == stream))
    found = [{"stream_id": stream, **row} for row in rows]
    if found:
        connection.execute(insert(table), found)


def _plain(row: Record) -> dict[str, Any]:
    return {
        name: _written(value)
        for name, value in row._mapping.items()  # noqa: SLF001 - public in SQLAlchemy; the underscore avoids names
        if name not in _KEYS and value is not None
    }


def _written(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)).isoformat()
    return base64.b64encode(value).decode("ascii") if isinstance(value, bytes | memoryview) else value


def _value(column: Any, value: Any) -> Any:
    try:
        if isinstance(column.type, DateTime):
            return datetime.fromisoformat(value)
        if isinstance(column.type, LargeBinary):
            return base64.b64decode(value, validate=True)
    except (TypeError, ValueError) as error:
        raise Incomplete(f"{column.table.name}.{column.name}: {error}") from error
    return value
