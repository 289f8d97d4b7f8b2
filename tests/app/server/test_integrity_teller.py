"""The cluster is told what was found, in few requests, and as it is; nothing waits for that."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from image_registry.kube.errors import ClusterUnreachable, KubeError
from image_registry.metadata.database import Database, DatabaseUnavailable
from image_registry.server import upkeep_keeper
from image_registry.server.integrity_teller import AGAIN, IntegrityTeller
from image_registry.server.upkeep_keeper import Keeper
from image_registry.upkeep.ledger import KEPT, Kind, Ledger, Outcome, Run

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FOUND = {"totals": {"corrupt": 2, "unreadable": 0}, "putAside": 2, "fetchedAgain": 0}
CLEAN: dict[str, Any] = {"totals": {}}


class Written:
    """A named fake of the API server: what is written to it; ``fault`` is what it answers instead."""

    def __init__(self) -> None:
        self.patches: list[dict[str, Any]] = []
        self.fault: Exception | None = None

    def merge(self, path: str, body: dict[str, Any]) -> None:
        assert path == "/api/v1/namespaces/registry/configmaps/image-registry-integrity"
        if self.fault is not None:
            raise self.fault
        self.patches.append(body["data"])

    @property
    def last(self) -> str:
        return f"{self.patches[-1]['status']} {self.patches[-1]['reason']}"


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


@pytest.fixture
def written() -> Written:
    return Written()


def teller(ledger: Ledger, written: Written, **options: Any) -> IntegrityTeller:
    client: Any = written
    return IntegrityTeller(ledger, client, "registry", **options)


def ended(ledger: Ledger, kind: Kind, hour: int, report: dict[str, Any] | None, **options: Any) -> None:
    """A run that took a minute."""
    now = NOW + timedelta(hours=hour)
    run = ledger.ask(kind, options, "ann", now)
    assert ledger.take("me", now, changing=True) is not None
    outcome = Outcome.SUCCEEDED if report is not None else Outcome.FAILED
    ledger.end(run.id, "me", outcome, now + timedelta(minutes=1), report=report)


def test_what_is_known_is_told_once_and_again_after_a_while(
    ledger: Ledger, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    telling = teller(ledger, written)
    for _ in range(10):
        telling.once()
    assert (len(written.patches), written.last) == (1, "Unknown NotLookedAt")
    ended(ledger, Kind.SCRUB, 1, FOUND, confirm=True)
    for _ in range(10):
        telling.once()
    assert (len(written.patches), written.last) == (2, "False CorruptBlobsPutAside")
    ended(ledger, Kind.VERIFY, 2, CLEAN)
    telling.once()
    assert (len(written.patches), written.last) == (3, "True AsExpected")
    now += AGAIN
    telling.once()
    telling.once()
    assert (len(written.patches), written.last) == (4, "True AsExpected")


def test_quiet_looks_read_no_report(ledger: Ledger, written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    ended(ledger, Kind.SCRUB, 1, FOUND, confirm=True)
    telling = teller(ledger, written)
    telling.once()
    monkeypatch.setattr(ledger.__class__, "looks", lambda _self: pytest.fail("nothing has ended since"))
    ended(ledger, Kind.COLLECT, 2, {})
    telling.once()


@pytest.mark.parametrize("fault", [ClusterUnreachable("no answer"), KubeError(403, "Forbidden", "may not patch")])
def test_what_can_not_be_told_is_told_later(ledger: Ledger, written: Written, fault: Exception) -> None:
    ended(ledger, Kind.SCRUB, 1, FOUND, confirm=True)
    written.fault, telling = fault, teller(ledger, written)
    telling.once()
    telling.once()
    assert written.patches == []
    written.fault = None
    telling.once()
    assert written.last == "False CorruptBlobsPutAside"


def test_while_the_database_is_away_nothing_is_told_that_is_not_known(
    ledger: Ledger, written: Written, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(ledger, Kind.SCRUB, 1, FOUND, confirm=True)
    telling = teller(ledger, written)
    telling.once()

    def away() -> Any:
        raise DatabaseUnavailable("no answer")

    monkeypatch.setattr(database, "read", away)
    telling.once()
    assert len(written.patches) == 1


def test_what_was_put_aside_is_not_forgotten_with_old_runs(ledger: Ledger, written: Written) -> None:
    ended(ledger, Kind.SCRUB, 0, FOUND, confirm=True)
    for hour in range(1, KEPT + 5):
        ended(ledger, Kind.SCRUB, hour, {"totals": {}})
    telling = teller(ledger, written)
    telling.once()
    assert written.last == "False CorruptBlobsPutAside"
    ended(ledger, Kind.VERIFY, KEPT + 6, CLEAN)
    for hour in range(KEPT + 7, 2 * KEPT + 12):
        ended(ledger, Kind.SCRUB, hour, {"totals": {}})
        ended(ledger, Kind.VERIFY, hour, CLEAN, namespace="team-a")
    telling.once()
    assert written.last == "True AsExpected", "nor is what healed it"
    assert len(ledger.looked()) <= 2 * (KEPT + 3)


def test_the_end_of_a_run_wakes_who_tells(ledger: Ledger, written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep_keeper, "AT_WORK", 0.05)
    telling = teller(ledger, written, interval=3600.0)

    def begin(run: Run, me: str) -> subprocess.Popen[bytes]:
        ledger.end(run.id, me, Outcome.SUCCEEDED, datetime.now(UTC), report=CLEAN)
        return subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.PIPE)

    def until(patches: int) -> None:
        deadline = time.monotonic() + 30
        while len(written.patches) < patches and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(written.patches) == patches

    telling.start()
    until(1)
    ledger.ask(Kind.VERIFY, {}, "ann", datetime.now(UTC))
    keeper = Keeper(ledger, begin, interval=0.05, ended=telling.wake)
    keeper.start()
    try:
        until(2)
    finally:
        keeper.stop()
    assert written.last == "Unknown PartlyLookedAt"
