"""The thread of a worker that lets runs be made which somebody asked for, one process for each.

Every worker of every replica looks; the database lets one of them have a run. What the last runs came to is read here
for the metrics, so that it outlives every process.
"""

from __future__ import annotations

import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from image_registry.imagestreams.errors import MetadataUnavailable
from image_registry.server.metrics import (
    GARBAGE_BLOBS,
    GARBAGE_BYTES,
    QUARANTINED,
    SCRUB_CORRUPT,
    UPKEEP_SECONDS,
    UPKEEP_SUCCESS,
    VERIFY_FAULTS,
)
from image_registry.server.numbers import Family, Numbers
from image_registry.upkeep.ledger import Kind, Ledger, Run
from image_registry.upkeep.verifying import FAULTS

INTERVAL, AT_WORK = 10.0, 1.0
"""Seconds between two looks, and while a process is at work."""

MEASURED = 30.0
"""Seconds between two looks at what the last runs came to."""

AGAIN = timedelta(seconds=5)
"""How long a run waits whose process died."""

STARTING, SIGN = 300.0, 5.0
"""Seconds for which a process is believed to be on its way to its first sign of life, and between two that it is given
meanwhile: it reads all its code with little of a processor that others want, and that has taken longer than a lease."""

Begin = Callable[[Run, str], "subprocess.Popen[bytes]"]


@dataclass(frozen=True, slots=True)
class _Process:
    run: Run
    me: str
    process: subprocess.Popen[bytes]
    begun: float
    """By the clock that only goes forward."""


class Keeper:
    """A daemon thread. While ``paused`` no run is made that may change the storage, and those under way are broken off,
    to be gone on with afterwards. ``begin`` starts the process for a run under the name of its holder; ``ended`` is
    called when one is over."""

    def __init__(
        self,
        ledger: Ledger,
        begin: Begin,
        paused: Callable[[], bool] = lambda: False,
        numbers: Numbers | None = None,
        interval: float = INTERVAL,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        self._ledger, self._begin, self._paused, self._interval = ledger, begin, paused, interval
        self._tell_ended = ended
        self._at_work: list[_Process] = []
        self._look_now, self._stopping = threading.Event(), False
        self._last: dict[Kind, Run | None] = {}
        self._measured = self._signed = 0.0
        self._said = ""
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)
        if numbers is not None:
            self._watch(numbers)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; runs under way are broken off, and gone on with by whoever looks next."""
        self._stopping = True
        self._look_now.set()
        self._thread.join()
        for one in self._at_work:
            one.process.kill()
            one.process.wait()
            _close(one.process)
            self._give_back(one, "the registry was stopped")

    def wake(self) -> None:
        """Look at once."""
        self._look_now.set()

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._look()
            except MetadataUnavailable as error:
                if str(error) != self._said:
                    structlog.get_logger().warning("runs will be looked for later", reason=str(error))
                self._said = str(error)
            except Exception:  # noqa: BLE001 - a process that cannot be begun must not be the last that was
                structlog.get_logger().exception("looking for runs failed; it is tried again")
            else:
                self._said = ""
            self._look_now.wait(AT_WORK if self._at_work else self._interval)
            self._look_now.clear()

    def _look(self) -> None:
        paused = self._paused()
        for one in self._at_work:
            if paused and one.run.pauses:
                one.process.kill()
                one.process.wait()
        ended = [one for one in self._at_work if one.process.poll() is not None]
        self._at_work = [one for one in self._at_work if one.process.returncode is None]
        for one in ended:
            _close(one.process)
            if one.process.returncode:
                self._give_back(one, f"its process ended with status {one.process.returncode}")
        if ended:
            self._tell_ended()
        while not self._stopping:
            me = uuid.uuid4().hex
            run = self._ledger.take(me, datetime.now(UTC), changing=not paused)
            if run is None:
                break
            self._at_work.append(_Process(run, me, self._begin(run, me), time.monotonic()))
        self._sign(time.monotonic())
        if ended or time.monotonic() - self._measured >= MEASURED:
            self._measured = time.monotonic()
            for kind in Kind:
                self._last[kind] = self._ledger.last_success(kind, changing=kind is Kind.COLLECT)

    def _sign(self, now: float) -> None:
        if now - self._signed < SIGN:
            return
        self._signed = now
        for one in self._at_work:
            if now - one.begun < STARTING:
                self._ledger.hold(one.run.id, one.me, datetime.now(UTC))

    def _give_back(self, one: _Process, why: str) -> None:
        structlog.get_logger().warning("a run was broken off", run=one.run.id, kind=str(one.run.kind), reason=why)
        self._ledger.give_back(one.run.id, one.me, why, datetime.now(UTC) + AGAIN)

    def _watch(self, numbers: Numbers) -> None:
        def watch(family: Family, kind: Kind, value: Callable[[Run], float], labels: tuple[str, ...] = ()) -> None:
            def ask() -> float:
                run = self._last.get(kind)
                return value(run) if run is not None else 0.0

            numbers.watch(family, labels, ask)

        for kind in Kind:
            watch(UPKEEP_SUCCESS, kind, _when, (str(kind),))
            watch(UPKEEP_SECONDS, kind, _seconds, (str(kind),))
        watch(GARBAGE_BYTES, Kind.COLLECT, lambda run: _removed(run, "bytes"))
        watch(GARBAGE_BLOBS, Kind.COLLECT, lambda run: _removed(run, "blobs"))
        watch(SCRUB_CORRUPT, Kind.SCRUB, lambda run: sum(_totals(run).values()))
        watch(QUARANTINED, Kind.SCRUB, lambda run: (run.report or {}).get("quarantined", 0))
        watch(VERIFY_FAULTS, Kind.VERIFY, lambda run: sum(_totals(run).get(kind, 0) for kind in FAULTS))


def _close(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()


def _when(run: Run) -> float:
    return run.ended.timestamp() if run.ended else 0.0


def _seconds(run: Run) -> float:
    return (run.ended - run.begun).total_seconds() if run.ended and run.begun else 0.0


def _removed(run: Run, what: str) -> float:
    return float(_totals(run).get("removed", {}).get(what, 0))


def _totals(run: Run) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (run.report or {}).get("totals", {})
    return found
