"""The outbox: repositories whose links in storage must be compared with these tables.

A row says *where* to look, never *what* to remove: what must go is decided at the time of cleaning, under the lock of
the repository, from what the tables say then. So a late cleaning cannot harm content that was pushed in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from image_registry.metadata.tables import Record, cleanups

_this = (cleanups.c.namespace == bindparam("in_namespace")) & (cleanups.c.name == bindparam("in_name"))
_renew = update(cleanups).where(_this).values(requested=bindparam("now"))
_renew_with_blobs = update(cleanups).where(_this).values(requested=bindparam("now"), blobs_before=bindparam("now"))
_add = insert(cleanups)
_find = select(cleanups).where(_this)
_remove = delete(cleanups).where(_this)
_places = select(cleanups.c.namespace, cleanups.c.name)
_pending = (
    select(cleanups).order_by(cleanups.c.requested, cleanups.c.namespace, cleanups.c.name).limit(bindparam("at_most"))
)


def request(connection: Connection, namespace: str, name: str, now: datetime, *, blobs: bool = False) -> None:
    """Ask for a cleaning, of links to blobs too if the whole stream goes; the caller holds the repository's lock."""
    statement = _renew_with_blobs if blobs else _renew
    if not connection.execute(statement, {"in_namespace": namespace, "in_name": name, "now": now}).rowcount:
        row = {"namespace": namespace, "name": name, "requested": now, "blobs_before": now if blobs else None}
        connection.execute(_add, row)


def find(connection: Connection, namespace: str, name: str) -> Record | None:
    """The row of a repository; ``None`` if there is nothing to do."""
    return connection.execute(_find, {"in_namespace": namespace, "in_name": name}).first()


def done(connection: Connection, namespace: str, name: str) -> None:
    """The repository is clean."""
    connection.execute(_remove, {"in_namespace": namespace, "in_name": name})


def pending(connection: Connection, limit: int) -> Sequence[Record]:
    """The rows, the oldest request first."""
    return connection.execute(_pending, {"at_most": limit}).all()


def places(connection: Connection) -> Sequence[Record]:
    """``namespace`` and ``name`` of every repository that waits."""
    return connection.execute(_places).all()
