"""Queries about runs that somebody asked the registry for. At most one of each kind has no end yet."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, case, delete, insert, or_, select, update

from image_registry.metadata.tables import Record, upkeep

_open = upkeep.c.ended.is_(None)
_add = insert(upkeep)
_find = select(upkeep).where(upkeep.c.id == bindparam("this"))
_at_work = select(upkeep).where(_open, upkeep.c.kind == bindparam("of_kind"))
_waiting = (
    select(upkeep)
    .where(_open, or_(upkeep.c.held_until.is_(None), upkeep.c.held_until < bindparam("now")))
    .order_by(upkeep.c.asked)
)
_recent = select(upkeep).order_by(upkeep.c.asked.desc(), upkeep.c.id).limit(bindparam("at_most"))
_succeeded = (
    select(upkeep)
    .where(upkeep.c.kind == bindparam("of_kind"), upkeep.c.outcome == "succeeded")
    .order_by(upkeep.c.ended.desc())
)
_ended = upkeep.c.ended.is_not(None) & upkeep.c.kind.in_(bindparam("of_kinds", expanding=True))
_ended_ids = select(upkeep.c.id).where(_ended)
_all_ended = select(upkeep).where(_ended)
_mine = (upkeep.c.id == bindparam("this")) & (upkeep.c.holder == bindparam("me")) & _open
_take = (
    update(upkeep)
    .where(
        upkeep.c.id == bindparam("this"),
        _open,
        or_(upkeep.c.held_until.is_(None), upkeep.c.held_until < bindparam("now")),
    )
    .values(
        holder=bindparam("me"),
        held_until=bindparam("until"),
        attempts=upkeep.c.attempts + 1,
        begun=case((upkeep.c.begun.is_(None), bindparam("now")), else_=upkeep.c.begun),
    )
)
_note = update(upkeep).where(_mine).values(
    held_until=bindparam("until"), stage=bindparam("at_stage"), done=bindparam("so_far")
)  # fmt: skip
_hold = update(upkeep).where(_mine).values(held_until=bindparam("until"))
_advance = update(upkeep).where(_mine).values(
    cursor=bindparam("to_cursor"), notes=bindparam("to_notes", type_=upkeep.c.notes.type), attempts=1
)  # fmt: skip
_give_back = update(upkeep).where(_mine).values(
    holder="", held_until=bindparam("until"), error=bindparam("why")
)  # fmt: skip
_end = (
    update(upkeep)
    .where(_mine)
    .values(
        ended=bindparam("now"),
        outcome=bindparam("how"),
        holder="",
        held_until=None,
        error=bindparam("why"),
        report=bindparam("found", type_=upkeep.c.report.type),
    )
)
_stop = update(upkeep).where(upkeep.c.id == bindparam("this"), _open).values(stop=True)


def add(connection: Connection, row: Mapping[str, Any]) -> None:
    """A run that waits for a process."""
    connection.execute(_add, dict(row))


def find(connection: Connection, this: str) -> Record | None:
    """One run."""
    return connection.execute(_find, {"this": this}).first()


def at_work(connection: Connection, kind: str) -> Record | None:
    """The one of this kind that has no end yet."""
    return connection.execute(_at_work, {"of_kind": kind}).first()


def waiting(connection: Connection, now: datetime) -> Sequence[Record]:
    """Those that nobody is at, or nobody who gives a sign."""
    return connection.execute(_waiting, {"now": now}).all()


def recent(connection: Connection, limit: int) -> Sequence[Record]:
    """The newest first."""
    return connection.execute(_recent, {"at_most": limit}).all()


def succeeded(connection: Connection, kind: str) -> Sequence[Record]:
    """Those of a kind that are remembered and that ended well, the newest first."""
    return connection.execute(_succeeded, {"of_kind": kind}).all()


def ended_ids(connection: Connection, kinds: Collection[str]) -> frozenset[str]:
    """Ids of those of these kinds that have an end."""
    return frozenset(connection.execute(_ended_ids, {"of_kinds": list(kinds)}).scalars())


def ended(connection: Connection, kinds: Collection[str]) -> Sequence[Record]:
    """Those of these kinds that have an end, in any order."""
    return connection.execute(_all_ended, {"of_kinds": list(kinds)}).all()


def take(connection: Connection, this: str, me: str, now: datetime, until: datetime) -> bool:
    """Become the one who is at it; false if somebody was faster."""
    return bool(connection.execute(_take, {"this": this, "me": me, "now": now, "until": until}).rowcount)


def note(connection: Connection, this: str, me: str, stage: str, done: int, until: datetime) -> bool:
    """A sign of life; false for who is not at it any more."""
    values = {"this": this, "me": me, "at_stage": stage, "so_far": done, "until": until}
    return bool(connection.execute(_note, values).rowcount)


def hold(connection: Connection, this: str, me: str, until: datetime) -> bool:
    """Somebody is at it, who has nothing to say yet; false for who is not at it any more."""
    return bool(connection.execute(_hold, {"this": this, "me": me, "until": until}).rowcount)


def advance(connection: Connection, this: str, me: str, cursor: str, notes: Mapping[str, Any]) -> bool:
    """What the next process goes on from; false for who is not at it any more."""
    values = {"this": this, "me": me, "to_cursor": cursor, "to_notes": dict(notes)}
    return bool(connection.execute(_advance, values).rowcount)


def give_back(connection: Connection, this: str, me: str, why: str, until: datetime) -> None:
    """Let another process go on, after a while."""
    connection.execute(_give_back, {"this": this, "me": me, "why": why, "until": until})


def end(
    connection: Connection,
    this: str,
    me: str,
    now: datetime,
    *,
    outcome: str,
    error: str,
    report: Mapping[str, Any] | None,
) -> bool:
    """It is over; false for who is not at it any more."""
    found = None if report is None else dict(report)
    values = {"this": this, "me": me, "now": now, "how": outcome, "why": error, "found": found}
    return bool(connection.execute(_end, values).rowcount)


def stop(connection: Connection, this: str) -> bool:
    """Ask for an end; false if it has one."""
    return bool(connection.execute(_stop, {"this": this}).rowcount)


def forget(connection: Connection, kind: str, keep: int, needed: Collection[str] = ()) -> None:
    """Remove all but the newest of a kind that have an end, the newest that ended well, and those that are needed."""
    ended = (
        select(upkeep.c.id, upkeep.c.outcome)
        .where(upkeep.c.kind == kind, upkeep.c.ended.is_not(None))
        .order_by(upkeep.c.asked.desc())
    )
    rows = connection.execute(ended).all()
    good = next((row.id for row in rows if row.outcome == "succeeded"), None)
    old = [row.id for row in rows[keep:] if row.id != good and row.id not in needed]
    if old:
        connection.execute(delete(upkeep).where(upkeep.c.id.in_(old)))
