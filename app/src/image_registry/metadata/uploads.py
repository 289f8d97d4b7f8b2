"""Queries about upload sessions (design, D8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from image_registry.metadata.tables import Record, uploads

_this = (
    (uploads.c.id == bindparam("upload"))
    & (uploads.c.namespace == bindparam("in_namespace"))
    & (uploads.c.name == bindparam("in_name"))
)
_add = insert(uploads)
_find = select(uploads.c.offset, uploads.c.algorithm, uploads.c.hash_state, uploads.c.started).where(_this)
_advance = update(uploads).where(_this).values(offset=bindparam("to_offset"), hash_state=bindparam("to_state"))
_remove = delete(uploads).where(_this)
_abandoned = (
    select(uploads.c.namespace, uploads.c.name, uploads.c.id)
    .where(uploads.c.started < bindparam("before"))
    .order_by(uploads.c.started)
    .limit(bindparam("at_most"))
)


def _where(namespace: str, name: str, upload: str) -> dict[str, Any]:
    return {"upload": upload, "in_namespace": namespace, "in_name": name}


def add(connection: Connection, row: Mapping[str, Any]) -> None:
    """Insert a session."""
    connection.execute(_add, row)


def find(connection: Connection, namespace: str, name: str, upload: str) -> Record | None:
    """``offset``, ``algorithm``, ``hash_state`` and ``started`` of a session of this repository."""
    return connection.execute(_find, _where(namespace, name, upload)).first()


def advance(connection: Connection, namespace: str, name: str, upload: str, offset: int, state: bytes) -> bool:
    """Note how far the session is; false if there is none."""
    values = {**_where(namespace, name, upload), "to_offset": offset, "to_state": state}
    return bool(connection.execute(_advance, values).rowcount)


def remove(connection: Connection, namespace: str, name: str, upload: str) -> bool:
    """Forget a session; false if there is none."""
    return bool(connection.execute(_remove, _where(namespace, name, upload)).rowcount)


def abandoned(connection: Connection, before: datetime, limit: int) -> Sequence[Record]:
    """``namespace``, ``name`` and ``id`` of sessions that began before a time, the oldest first."""
    return connection.execute(_abandoned, {"before": before, "at_most": limit}).all()
