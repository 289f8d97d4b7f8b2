"""Queries about making these tables anew from storage: how far it is, who is at it, what was found and left alone.

The holder is a lease in the database, so exactly one process of one replica works, and another goes on when it dies.
Two that both believe to hold it do no harm: what they write is compared under the lock of each repository.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, or_, select, update

from image_registry.metadata.tables import Record, rebuild, rebuild_findings, rebuilt

_this = (rebuilt.c.namespace == bindparam("in_namespace")) & (rebuilt.c.name == bindparam("in_name"))
_found_here = (rebuild_findings.c.namespace == bindparam("in_namespace")) & (
    rebuild_findings.c.name == bindparam("in_name")
)
_state = select(rebuild).where(rebuild.c.id == 1)
_mine = (rebuild.c.id == 1) & (rebuild.c.holder == bindparam("me"))
_free = or_(rebuild.c.holder.in_(["", bindparam("me")]), rebuild.c.held_until < bindparam("now"))
_take = (
    update(rebuild)
    .where(rebuild.c.id == 1, rebuild.c.finished.is_(None), _free)
    .values(
        holder=bindparam("me"),
        held_until=bindparam("until"),
        started=func.coalesce(rebuild.c.started, bindparam("now")),
    )
)
_advance = (
    update(rebuild)
    .where(_mine)
    .values(
        after_namespace=bindparam("to_namespace"),
        after_name=bindparam("to_name"),
        counts=bindparam("to_counts", type_=rebuild.c.counts.type),
        held_until=bindparam("until"),
    )
)
_finish = (
    update(rebuild)
    .where(_mine)
    .values(
        finished=bindparam("now"),
        holder="",
        held_until=None,
        counts=bindparam("to_counts", type_=rebuild.c.counts.type),
    )
)
_release = update(rebuild).where(_mine).values(holder="", held_until=None)
_again = (
    update(rebuild)
    .where(rebuild.c.id == 1)
    .values(
        generation=rebuild.c.generation + 1,
        started=None,
        finished=None,
        after_namespace="",
        after_name="",
        counts={},
        holder="",
        held_until=None,
    )
)
_hold_back = update(rebuild).where(rebuild.c.id == 1).values(holder="held back", held_until=bindparam("until"))
_mark = insert(rebuilt)
_marked = select(rebuilt.c.name).where(_this)
_note = insert(rebuild_findings)
_forget = delete(rebuild_findings).where(_found_here)
_findings = (
    select(rebuild_findings)
    .where(rebuild_findings.c.id > bindparam("after"))
    .order_by(rebuild_findings.c.id)
    .limit(bindparam("at_most"))
)
_findings_here = select(rebuild_findings.c.kind, rebuild_findings.c.subject).where(_found_here)


def state(connection: Connection) -> Record:
    """The row."""
    return connection.execute(_state).one()


def covers(connection: Connection, namespace: str, name: str) -> bool:
    """Whether the tables speak for a repository."""
    row = state(connection)
    if row.finished is not None or (namespace, name) <= (row.after_namespace, row.after_name):
        return True
    return marked(connection, namespace, name)


def marked(connection: Connection, namespace: str, name: str) -> bool:
    """Whether a repository was done before its turn."""
    return connection.execute(_marked, {"in_namespace": namespace, "in_name": name}).first() is not None


def take(connection: Connection, me: str, now: datetime, until: datetime) -> bool:
    """Become the one who works, or stay it; false if another one is, or if there is nothing to do."""
    return bool(connection.execute(_take, {"me": me, "now": now, "until": until}).rowcount)


def advance(
    connection: Connection, me: str, namespace: str, name: str, counts: Mapping[str, int], until: datetime
) -> bool:
    """Everything up to this repository is done; false if another process took over."""
    values = {"me": me, "to_namespace": namespace, "to_name": name, "to_counts": dict(counts), "until": until}
    return bool(connection.execute(_advance, values).rowcount)


def finish(connection: Connection, me: str, counts: Mapping[str, int], now: datetime) -> bool:
    """Everything is done."""
    if not connection.execute(_finish, {"me": me, "to_counts": dict(counts), "now": now}).rowcount:
        return False
    connection.execute(delete(rebuilt))
    return True


def release(connection: Connection, me: str) -> None:
    """Let another process go on at once."""
    connection.execute(_release, {"me": me})


def begin_again(connection: Connection) -> None:
    """From the first repository; what was found before is forgotten."""
    connection.execute(_again)
    connection.execute(delete(rebuilt))
    connection.execute(delete(rebuild_findings))


def hold_back(connection: Connection, until: datetime) -> None:
    """As :func:`begin_again`, and nobody works before a time unless it is begun again once more."""
    begin_again(connection)
    connection.execute(_hold_back, {"until": until})


def mark(connection: Connection, namespace: str, name: str) -> None:
    """The repository is done, before its turn or in it."""
    if not marked(connection, namespace, name):
        connection.execute(_mark, {"namespace": namespace, "name": name})


def note(connection: Connection, namespace: str, name: str, found: Sequence[Mapping[str, Any]]) -> None:
    """Replace what was found in a repository by ``kind``, ``subject`` and ``detail`` of each."""
    connection.execute(_forget, {"in_namespace": namespace, "in_name": name})
    if found:
        connection.execute(_note, [{"namespace": namespace, "name": name, **entry} for entry in found])


def findings_of(connection: Connection, namespace: str, name: str) -> Sequence[Record]:
    """``kind`` and ``subject`` of what was found in a repository."""
    return connection.execute(_findings_here, {"in_namespace": namespace, "in_name": name}).all()


def findings(connection: Connection, *, after: int, limit: int) -> Sequence[Record]:
    """Everything that was found, in the order in which it was."""
    return connection.execute(_findings, {"after": after, "at_most": limit}).all()
