"""Queries about upload sessions (design, D8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from image_registry.metadata.database import Database
from image_registry.metadata.tables import Record, uploads

_this = (
    (uploads.c.id == bindparam("upload"))
    & (uploads.c.namespace == bindparam("in_namespace"))
    & (uploads.c.name == bindparam("in_name"))
)
_add_postgresql = postgresql.insert(uploads).on_conflict_do_nothing()
_add_sqlite = sqlite.insert(uploads).on_conflict_do_nothing()
_find = select(uploads.c.offset, uploads.c.algorithm, uploads.c.hash_state, uploads.c.started).where(_this)
_advance = update(uploads).where(_this).values(offset=bindparam("to_offset"), hash_state=bindparam("to_state"))
_at_offset = (
    select(uploads.c.id)
    .where(uploads.c.offset == bindparam("at"))
    .order_by(uploads.c.started.desc())
    .limit(bindparam("at_most"))
)
_remove = delete(uploads).where(_this)
_abandoned = (
    select(uploads.c.namespace, uploads.c.name, uploads.c.id)
    .where(uploads.c.started < bindparam("before"))
    .order_by(uploads.c.started)
    .limit(bindparam("at_most"))
)


def _where(namespace: str, name: str, upload: str) -> dict[str, Any]:
    return {"upload": upload, "in_namespace": namespace, "in_name": name}


def note(database: Database, connection: Connection, row: Mapping[str, Any]) -> None:
    """Write what is known of a session; the first time stays, and so does a session of another repository."""
    where = _where(row["namespace"], row["name"], row["id"])
    if not connection.execute(_advance, {**where, "to_offset": row["offset"], "to_state": row["hash_state"]}).rowcount:
        connection.execute(_add_postgresql if database.is_postgresql else _add_sqlite, row)


def find(connection: Connection, namespace: str, name: str, upload: str) -> Record | None:
    """``offset``, ``algorithm``, ``hash_state`` and ``started`` of a session of this repository."""
    return connection.execute(_find, _where(namespace, name, upload)).first()


def at_offset(connection: Connection, offset: int, limit: int) -> Sequence[str]:
    """The names of the sessions that stand there, the newest first."""
    return connection.execute(_at_offset, {"at": offset, "at_most": limit}).scalars().all()


def remove(connection: Connection, namespace: str, name: str, upload: str) -> bool:
    """Forget a session; false if there is none."""
    return bool(connection.execute(_remove, _where(namespace, name, upload)).rowcount)


def abandoned(connection: Connection, before: datetime, limit: int) -> Sequence[Record]:
    """``namespace``, ``name`` and ``id`` of sessions that began before a time, the oldest first."""
    return connection.execute(_abandoned, {"before": before, "at_most": limit}).all()
