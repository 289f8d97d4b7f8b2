"""Who looks for runs goes on looking, whatever happens."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from image_registry.metadata.database import Database
from image_registry.server import upkeep_keeper
from image_registry.server.upkeep_keeper import Keeper
from image_registry.upkeep import ledger as ledgers
from image_registry.upkeep.ledger import Kind, Ledger, Run


def test_a_process_that_can_not_be_begun_does_not_end_the_looking(database: Database) -> None:
    ledger, begun, twice = Ledger(database), list[str](), threading.Event()

    def begin(run: Run, _: str) -> subprocess.Popen[bytes]:
        begun.append(run.id)
        if len(begun) == 2:
            twice.set()
        raise OSError(11, "Resource temporarily unavailable")

    keeper = Keeper(ledger, begin, interval=0.05)
    asked = [ledger.ask(kind, {}, "ann", datetime.now(UTC)).id for kind in (Kind.COLLECT, Kind.SCRUB)]
    keeper.start()
    try:
        assert twice.wait(10)
    finally:
        keeper.stop()
    assert begun == asked


def test_a_process_that_is_long_in_starting_keeps_its_run(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledgers, "LEASE", timedelta(seconds=0.5))
    monkeypatch.setattr(upkeep_keeper, "AT_WORK", 0.05)
    monkeypatch.setattr(upkeep_keeper, "SIGN", 0.05)
    ledger, begun = Ledger(database), threading.Event()

    def begin(_run: Run, _me: str) -> subprocess.Popen[bytes]:
        begun.set()
        return subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)

    ledger.ask(Kind.VERIFY, {}, "ann", datetime.now(UTC))
    keeper = Keeper(ledger, begin, interval=0.05)
    keeper.start()
    try:
        assert begun.wait(10)
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            assert ledger.take("another", datetime.now(UTC), changing=True) is None
            time.sleep(0.05)
    finally:
        keeper.stop()
