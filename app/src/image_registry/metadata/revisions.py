"""The revision log: one counter for every kind of object, in commit order (design, D7).

A reader that sees revision 10 must also see 9, or a watch that went on from 10 would never tell about 9. A sequence
alone does not give that: a transaction can take 9, commit after 10, and slip behind a reader. So PostgreSQL writers
hold one advisory lock from taking a number until their commit. The lock comes after everything that may wait (row
locks, storage), which makes the queue one commit long and leaves nothing to deadlock with: whoever holds it waits for
nobody. SQLite has a single writer and needs no lock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from image_registry.metadata.database import Database
from image_registry.metadata.prepared import Prepared
from image_registry.metadata.tables import Record, revisions

IMAGE = "Image"
STREAM = "ImageStream"

KEPT = 100_000
"""Revisions that a watch can go back; an older one is answered with "start again" (410)."""

_TRIM_EVERY = 1_000

_newest = select(func.max(revisions.c.revision))
_append = insert(revisions).returning(revisions.c.revision, sort_by_parameter_order=True)
_append_one = Prepared(
    insert(revisions).returning(revisions.c.revision), ("kind", "namespace", "name", "event", "created", "last_state")
)
_since = select(revisions).where(revisions.c.revision > bindparam("known")).order_by(revisions.c.revision)
_trim = delete(revisions).where(revisions.c.revision <= bindparam("oldest"))


@dataclass(frozen=True, slots=True)
class Change:
    """What a transaction did to one object; ``last_state`` only where nothing else remembers it."""

    kind: str
    namespace: str
    name: str
    event: Literal["ADDED", "MODIFIED", "DELETED"]
    last_state: Mapping[str, Any] | None = None


def newest(connection: Connection) -> int:
    """The greatest revision that is certain to be visible to this connection; the first schema writes one."""
    return connection.execute(_newest).scalar() or 1


def since(connection: Connection, revision: int, *, limit: int) -> Sequence[Record]:
    """The rows behind ``revision``, in order."""
    return connection.execute(_since.limit(limit), {"known": revision}).all()


def append(database: Database, connection: Connection, changes: Sequence[Change], now: datetime) -> list[int]:
    """Log the changes of this transaction and return their revisions. Nothing that may wait must come after it."""
    if not changes:
        return []
    database.lock_revisions(connection)
    rows = [
        {
            "kind": change.kind,
            "namespace": change.namespace,
            "name": change.name,
            "event": change.event,
            "created": now,
            "last_state": change.last_state,
        }
        for change in changes
    ]
    if len(rows) == 1:
        numbers = [_append_one.first(connection, rows[0]).revision]
    else:
        numbers = list(connection.execute(_append, rows).scalars())
    if (numbers[0] - 1) // _TRIM_EVERY != numbers[-1] // _TRIM_EVERY:
        connection.execute(_trim, {"oldest": numbers[-1] - KEPT})
    return numbers
