"""How far the tables have been made from storage, who is at it, and what was found and left alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from image_registry.imagestreams.adoption import Finding
from image_registry.imagestreams.availability import available
from image_registry.imagestreams.rows import utc
from image_registry.metadata import rebuilds
from image_registry.metadata.database import Database
from image_registry.oci.reference import Repository

LEASE = timedelta(seconds=30)
"""Time after which another process goes on if the one at work gives no sign."""

OUTSIDE = Repository("", "")
"""Where findings are noted that belong to no repository of ours."""


@dataclass(frozen=True, slots=True)
class RebuildState:
    """``after`` is the last repository of the walk that is done; ``counts`` what was seen so far."""

    generation: int
    started: datetime | None
    finished: datetime | None
    after: Repository
    counts: Mapping[str, int]
    holder: str


class RebuildLedger:
    """Every method may raise :class:`MetadataUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def state(self) -> RebuildState:
        """What the database says now."""
        with available(), self._database.read() as connection:
            row = rebuilds.state(connection)
        return RebuildState(
            row.generation,
            utc(row.started) if row.started else None,
            utc(row.finished) if row.finished else None,
            Repository(row.after_namespace, row.after_name),
            row.counts,
            row.holder,
        )

    def begin_again(self) -> None:
        """Make the tables anew from the first repository; until they reach a repository, storage speaks for it."""
        with available(), self._database.write() as connection:
            rebuilds.begin_again(connection)

    def hold_back(self, until: datetime) -> None:
        """Let storage speak for every repository, and nobody make the tables anew before a time.

        :meth:`begin_again` ends that.
        """
        with available(), self._database.write() as connection:
            rebuilds.hold_back(connection, until)

    def take(self, me: str, now: datetime) -> bool:
        """Become the one process that works; false if another one is, or if everything is done."""
        with available(), self._database.write() as connection:
            return rebuilds.take(connection, me, now, now + LEASE)

    def advance(self, me: str, done: Repository, counts: Mapping[str, int], now: datetime) -> bool:
        """Everything up to ``done`` is done; false if another process took over."""
        with available(), self._database.write() as connection:
            return rebuilds.advance(connection, me, done.namespace, done.name, counts, now + LEASE)

    def finish(self, me: str, counts: Mapping[str, int], strange: Sequence[Finding], now: datetime) -> bool:
        """Everything is done; false if another process took over."""
        with available(), self._database.write() as connection:
            notes = [{"kind": entry.kind, "subject": entry.subject, "detail": entry.detail} for entry in strange]
            rebuilds.note(connection, OUTSIDE.namespace, OUTSIDE.name, notes)
            return rebuilds.finish(connection, me, counts, now)

    def release(self, me: str) -> None:
        """Let another process go on at once."""
        with available(), self._database.write() as connection:
            rebuilds.release(connection, me)

    def findings(self) -> Iterator[tuple[Repository, Finding]]:
        """Everything that was found and left alone."""
        after = 0
        while True:
            with available(), self._database.read() as connection:
                page = rebuilds.findings(connection, after=after, limit=1000)
            for row in page:
                after = row.id
                yield Repository(row.namespace, row.name), Finding(row.kind, row.subject, row.detail)
            if not page:
                return
