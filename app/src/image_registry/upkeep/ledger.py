"""Which runs there are, how far each is and who is at it.

At most one run of each kind is at work in a registry, however many replicas it has: who asks for one that is at work is
told so. The process that makes a run holds it by a lease that it renews; one that dies is followed by another.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from image_registry.imagestreams.availability import available
from image_registry.imagestreams.errors import MetadataUnavailable
from image_registry.imagestreams.rows import utc
from image_registry.metadata import upkeep
from image_registry.metadata.database import Database
from image_registry.metadata.tables import Record
from image_registry.upkeep.findings import INTEGRITY, judge
from image_registry.upkeep.runs import WHILE_READ_ONLY, Kind, Outcome, Run

__all__ = ["WHILE_READ_ONLY", "AtWork", "Kind", "Ledger", "Outcome", "Run"]

LEASE = timedelta(seconds=30)
"""Time after which another process goes on if the one at work gives no sign."""

ATTEMPTS = 5
"""Processes in a row that may die at the same place before a run is given up."""

KEPT = 20
"""Runs of each kind that are remembered after their end."""


class AtWork(Exception):
    """A run of this kind has no end yet."""

    def __init__(self, run: Run) -> None:
        super().__init__(f"a run of {run.kind} is at work already: {run.id}")
        self.run = run


class Ledger:
    """Every method may raise :class:`MetadataUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ask(self, kind: Kind, options: Mapping[str, Any], by: str, now: datetime) -> Run:
        """A new run that waits for a process. Raises :class:`AtWork`."""
        this = str(uuid.uuid4())
        with available(), self._database.write() as connection:
            self._database.lock(connection, f"upkeep:{kind}")
            found = upkeep.at_work(connection, kind)
            if found is not None:
                raise AtWork(_run(found))
            needed = judge(_looks(connection)).needed if kind in INTEGRITY else frozenset[str]()
            upkeep.forget(connection, kind, KEPT, needed)
            upkeep.add(connection, _row(this, kind, options, by, now))
            return _run(_there(upkeep.find(connection, this)))

    def find(self, this: str) -> Run | None:
        """One of those that are remembered."""
        with available(), self._database.read() as connection:
            found = upkeep.find(connection, this)
        return None if found is None else _run(found)

    def recent(self, limit: int = KEPT * len(Kind)) -> Sequence[Run]:
        """The newest first."""
        with available(), self._database.read() as connection:
            return [_run(row) for row in upkeep.recent(connection, limit)]

    def last_success(self, kind: Kind, *, changing: bool) -> Run | None:
        """The newest that ended well; ``changing`` counts no dry runs."""
        with available(), self._database.read() as connection:
            found = (_run(row) for row in upkeep.succeeded(connection, kind))
            return next((run for run in found if run.changes or not changing), None)

    def looked(self) -> frozenset[str]:
        """The ids of all verifications and scrubs that have an end: whether there are others costs little to ask."""
        with available(), self._database.read() as connection:
            return upkeep.ended_ids(connection, INTEGRITY)

    def looks(self) -> Sequence[Run]:
        """All of those, as the database has them now."""
        with available(), self._database.read() as connection:
            return _looks(connection)

    def stop(self, this: str) -> bool:
        """Ask for an end of a run; false if it has one, or is not known."""
        with available(), self._database.write() as connection:
            return upkeep.stop(connection, this)

    def take(self, me: str, now: datetime, *, changing: bool) -> Run | None:
        """Become the process that makes a run which nobody is at; ``None`` if there is none.

        Without ``changing`` runs that may change the storage wait. One whose processes died too often is given up.
        """
        with available(), self._database.read() as connection:
            waiting = [_run(row) for row in upkeep.waiting(connection, now)]
        for run in waiting:
            if run.pauses and not changing and not run.stop:
                continue
            with available(), self._database.write() as connection:
                if not upkeep.take(connection, run.id, me, now, now + LEASE):
                    continue
                if run.stop:
                    upkeep.end(connection, run.id, me, now, outcome=Outcome.STOPPED, error="", report=None)
                    continue
                if run.attempts >= ATTEMPTS:
                    why = f"given up: {run.attempts} processes that were at it ended without a result"
                    why += f"; the last said: {run.error}" if run.error else "; the log of the registry may say why"
                    upkeep.end(connection, run.id, me, now, outcome=Outcome.FAILED, error=why, report=None)
                    continue
                return _run(_there(upkeep.find(connection, run.id)))
        return None

    def note(self, this: str, me: str, stage: str, done: int, now: datetime) -> Run | None:
        """A sign of life; the run as it is now, or ``None`` for who is not at it any more."""
        with available(), self._database.write() as connection:
            if not upkeep.note(connection, this, me, stage, done, now + LEASE):
                return None
            return _run(_there(upkeep.find(connection, this)))

    def hold(self, this: str, me: str, now: datetime) -> bool:
        """A sign of life for a process that has not come to give its own; false for who is not at it any more."""
        with available(), self._database.write() as connection:
            return upkeep.hold(connection, this, me, now + LEASE)

    def advance(self, this: str, me: str, cursor: str, notes: Mapping[str, Any]) -> bool:
        """What the next process goes on from; false for who is not at it any more."""
        with available(), self._database.write() as connection:
            return upkeep.advance(connection, this, me, cursor, notes)

    def give_back(self, this: str, me: str, why: str, until: datetime) -> None:
        """Let any process go on with it, but not before a time."""
        with available(), self._database.write() as connection:
            upkeep.give_back(connection, this, me, why, until)

    def end(
        self,
        this: str,
        me: str,
        outcome: Outcome,
        now: datetime,
        *,
        error: str = "",
        report: Mapping[str, Any] | None = None,
    ) -> bool:
        """It is over; false for who is not at it any more."""
        with available(), self._database.write() as connection:
            return upkeep.end(connection, this, me, now, outcome=outcome, error=error, report=report)


def _looks(connection: Connection) -> Sequence[Run]:
    return [_run(row) for row in upkeep.ended(connection, INTEGRITY)]


def _row(this: str, kind: Kind, options: Mapping[str, Any], by: str, now: datetime) -> dict[str, Any]:
    return {
        "id": this,
        "kind": str(kind),
        "options": dict(options),
        "asked": now,
        "asked_by": by,
        "begun": None,
        "ended": None,
        "outcome": "",
        "holder": "",
        "held_until": None,
        "attempts": 0,
        "stop": False,
        "stage": "",
        "done": 0,
        "cursor": "",
        "notes": {},
        "error": "",
        "report": None,
    }


def _run(row: Record) -> Run:
    return Run(
        id=row.id,
        kind=Kind(row.kind),
        options=row.options,
        asked=utc(row.asked),
        asked_by=row.asked_by,
        begun=utc(row.begun) if row.begun else None,
        ended=utc(row.ended) if row.ended else None,
        outcome=Outcome(row.outcome) if row.outcome else None,
        holder=row.holder,
        attempts=row.attempts,
        stop=row.stop,
        stage=row.stage,
        done=row.done,
        cursor=row.cursor,
        notes=row.notes,
        error=row.error,
        report=row.report,
    )


def _there(row: Record | None) -> Record:
    if row is None:
        raise MetadataUnavailable("a run that was just written is not there: is the database being restored?")
    return row
