"""Making one run: signs of life while it goes on, and one word about its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

import structlog

from image_registry.garbage import report as garbage_reports
from image_registry.garbage.collection import CollectionRefused
from image_registry.imagestreams.errors import MetadataUnavailable
from image_registry.metadata.database import DatabaseUnavailable
from image_registry.server import adopting
from image_registry.server.settings import Settings
from image_registry.server.tools import fetching_tools, garbage_tools, integrity_tools
from image_registry.server.upkeep_options import SCRUBBED, collection_rules, rate, scope
from image_registry.storage.blob_store import StorageFault
from image_registry.upkeep import scrubbing, verifying
from image_registry.upkeep.asking import Refused
from image_registry.upkeep.hashing import Hashing
from image_registry.upkeep.ledger import Kind, Ledger, Outcome, Run
from image_registry.upkeep.scrubbing import Scrubbed
from image_registry.upkeep.verifying import Verifier

SIGN = 3.0
"""Seconds between two signs of life."""

AGAIN = timedelta(seconds=30)
"""How long a run waits when the storage or the database failed it."""

LISTED = 1000
"""Entries of each list in a report; totals count all."""


class Stopped(Exception):
    """Somebody asked for an end, or another process is at the run now."""


class Making:
    """A run that this process makes: to be entered, and told how far it is from time to time."""

    def __init__(self, ledger: Ledger, run: Run, me: str, interval: float = SIGN) -> None:
        self.run = run
        self._ledger, self._me, self._interval = ledger, me, interval
        self._stage, self._done = run.stage, run.done
        self._over, self._left = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._signs, name="signs", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        self._thread.join()

    def progress(self, stage: str, count: int) -> None:
        """So many of this have been done. Raises :class:`Stopped`."""
        self._stage, self._done = stage, count
        self.still()

    def still(self) -> None:
        """Raises :class:`Stopped` when it is not to go on."""
        if self._over.is_set():
            raise Stopped

    def advance(self, cursor: str, notes: Mapping[str, Any]) -> None:
        """From here the next process goes on. Raises :class:`Stopped`, but not before it is noted what was done."""
        if not self._ledger.advance(self.run.id, self._me, cursor, notes) or self._over.is_set():
            raise Stopped

    def end(self, outcome: Outcome, *, error: str = "", report: Mapping[str, Any] | None = None) -> None:
        """It is over."""
        self._ledger.end(self.run.id, self._me, outcome, _now(), error=error, report=report)

    def give_back(self, why: str) -> None:
        """Another process is to try it in a while."""
        self._ledger.give_back(self.run.id, self._me, why, _now() + AGAIN)

    def _signs(self) -> None:
        while not self._left.wait(self._interval):
            try:
                now = self._ledger.note(self.run.id, self._me, self._stage, self._done, _now())
            except MetadataUnavailable:
                continue  # the run itself notices, if it needs the database
            if now is None or now.stop:
                self._over.set()


Maker = Callable[[Settings, Making], Mapping[str, Any]]


def make(settings: Settings, ledger: Ledger, run: Run, me: str, interval: float = SIGN) -> Outcome | None:
    """Make a run and write down how it ended; ``None`` if it is to be tried again.

    May raise :class:`MetadataUnavailable` when not even that can be written.
    """
    log = structlog.get_logger().bind(run=run.id, kind=str(run.kind))
    log.info("a run begins", by=run.asked_by, attempt=run.attempts, confirm=run.changes)
    started = time.monotonic()
    with Making(ledger, run, me, interval) as making:
        try:
            report = MAKERS[run.kind](settings, making)
        except Stopped:
            making.end(Outcome.STOPPED)
            log.info("the run was stopped")
            return Outcome.STOPPED
        except (CollectionRefused, Refused) as refusal:
            making.end(Outcome.FAILED, error=str(refusal))
            log.warning("the run was refused", reason=str(refusal))
            return Outcome.FAILED
        except (StorageFault, DatabaseUnavailable, MetadataUnavailable) as fault:
            log.warning("the run will be tried again", reason=str(fault))
            making.give_back(str(fault))
            return None
        except Exception:
            log.exception("the run failed")
            making.end(Outcome.FAILED, error="an unexpected failure: the log of the registry has it, by the id")
            return Outcome.FAILED
        making.end(Outcome.SUCCEEDED, report=report)
    log.info("the run has ended", seconds=round(time.monotonic() - started, 1))
    return Outcome.SUCCEEDED


def _collect(settings: Settings, making: Making) -> Mapping[str, Any]:
    rules, started = collection_rules(making.run.options, settings.blob_promise), time.monotonic()
    with garbage_tools(settings, rules, making.progress) as collector:
        report = collector.run(dry_run=not making.run.changes)
    return garbage_reports.document(report, rules, time.monotonic() - started, at_most=LISTED)


def _verify(settings: Settings, making: Making) -> Mapping[str, Any]:
    wanted, started = scope(making.run.options), time.monotonic()
    with integrity_tools(settings) as (store, inventory):
        hashing = Hashing(store, wanted.rate, making.still) if wanted.deep else None
        verifier = Verifier(store, inventory, deep=hashing, progress=making.progress)
        found = verifier.run(wanted.namespace, wanted.repository)
    read = hashing.read if hashing is not None else None
    return verifying.document(found, str(wanted), time.monotonic() - started, read, at_most=LISTED)


def _scrub(settings: Settings, making: Making) -> Mapping[str, Any]:
    run, started = making.run, time.monotonic()
    pace = rate(run.options, {"confirm", "rate"}, SCRUBBED)
    with fetching_tools(settings) as (store, fetch):
        found = scrubbing.scrub(
            store,
            Hashing(store, pace, making.still),
            confirm=run.changes,
            fetch=fetch,
            after=run.cursor,
            found=Scrubbed.of(run.notes),
            progress=making.progress,
            advance=making.advance,
        )
        aside = sum(1 for _ in store.quarantined())
    for each in found.corrupt:
        structlog.get_logger().error("a blob is corrupt", put_aside=run.changes, **each)
    spent = time.monotonic() - started
    return scrubbing.document(found, spent, confirm=run.changes, quarantined=aside, at_most=LISTED)


MAKERS: Mapping[Kind, Maker] = {
    Kind.COLLECT: _collect,
    Kind.VERIFY: _verify,
    Kind.SCRUB: _scrub,
    Kind.RENAME: adopting.rename,
    Kind.REBUILD: adopting.rebuild,
    Kind.FORGET: adopting.forget,
}


def _now() -> datetime:
    return datetime.now(UTC)
