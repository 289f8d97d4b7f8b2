"""One run of a kind at a time, held by a process that gives signs of life, gone on with by another when it does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from image_registry.metadata.database import Database
from image_registry.upkeep.ledger import ATTEMPTS, KEPT, LEASE, AtWork, Kind, Ledger, Outcome
from tests.at_once import at_once

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CONFIRM = {"confirm": True}


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


def test_a_run_goes_from_waiting_over_running_to_its_end(ledger: Ledger) -> None:
    asked = ledger.ask(Kind.COLLECT, CONFIRM, "ann", NOW)
    assert (asked.state, asked.asked_by, asked.asked) == ("waiting", "ann", NOW)
    taken = ledger.take("me", NOW, changing=True)
    assert taken is not None
    assert (taken.id, taken.state, taken.attempts, taken.begun) == (asked.id, "running", 1, NOW)
    noted = ledger.note(asked.id, "me", "reading links", 7, NOW)
    assert noted is not None
    assert (noted.stage, noted.done, noted.stop) == ("reading links", 7, False)
    assert ledger.end(asked.id, "me", Outcome.SUCCEEDED, NOW + LEASE, report={"blobs": 3})
    ended = ledger.find(asked.id)
    assert ended is not None
    assert (ended.state, ended.report, ended.ended) == ("succeeded", {"blobs": 3}, NOW + LEASE)
    assert ledger.take("other", NOW + LEASE, changing=True) is None


def test_who_asks_for_what_is_at_work_is_told_which_run_that_is(ledger: Ledger) -> None:
    asked = ledger.ask(Kind.COLLECT, {}, "ann", NOW)
    with pytest.raises(AtWork) as told:
        ledger.ask(Kind.COLLECT, CONFIRM, "ben", NOW)
    assert told.value.run.id == asked.id
    ledger.ask(Kind.VERIFY, {}, "ben", NOW)  # another kind does not wait


def test_of_all_who_ask_at_once_one_gets_a_run(ledger: Ledger) -> None:
    def ask() -> str:
        try:
            return ledger.ask(Kind.COLLECT, {}, "ann", NOW).id
        except AtWork as error:
            return error.run.id

    assert len(set(at_once([ask] * 6))) == 1


def test_of_all_processes_one_gets_the_run(ledger: Ledger) -> None:
    ledger.ask(Kind.COLLECT, {}, "ann", NOW)
    takers = [lambda me=f"p{number}": ledger.take(me, NOW, changing=True) for number in range(6)]
    assert sum(run is not None for run in at_once(takers)) == 1


def test_another_process_goes_on_when_the_first_gives_no_sign(ledger: Ledger) -> None:
    asked = ledger.ask(Kind.SCRUB, {}, "ann", NOW)
    ledger.take("first", NOW, changing=True)
    assert ledger.advance(asked.id, "first", "sha256:aa", {"seen": 4})
    assert ledger.take("second", NOW + LEASE - timedelta(seconds=1), changing=True) is None
    run = ledger.take("second", NOW + LEASE + timedelta(seconds=1), changing=True)
    assert run is not None
    assert (run.cursor, run.notes, run.attempts) == ("sha256:aa", {"seen": 4}, 2)
    assert ledger.note(asked.id, "first", "", 0, NOW) is None
    assert not ledger.advance(asked.id, "first", "sha256:bb", {})
    assert not ledger.end(asked.id, "first", Outcome.SUCCEEDED, NOW)


def test_a_run_whose_processes_all_die_is_given_up_with_what_the_last_said(ledger: Ledger) -> None:
    asked, now = ledger.ask(Kind.COLLECT, {}, "ann", NOW), NOW
    for number in range(ATTEMPTS):
        assert ledger.take(str(number), now, changing=True) is not None
        ledger.give_back(asked.id, str(number), "its process ended with status -9", now)
        now += timedelta(seconds=1)
    assert ledger.take("last", now, changing=True) is None
    ended = ledger.find(asked.id)
    assert ended is not None
    assert ended.outcome is Outcome.FAILED
    assert "its process ended with status -9" in ended.error


def test_a_run_that_gets_on_is_not_given_up(ledger: Ledger) -> None:
    asked, now = ledger.ask(Kind.SCRUB, {}, "ann", NOW), NOW
    for number in range(ATTEMPTS * 2):
        assert ledger.take(str(number), now, changing=True) is not None
        ledger.advance(asked.id, str(number), str(number), {})
        now += 2 * LEASE


def test_a_run_that_is_stopped_before_anybody_took_it_ends(ledger: Ledger) -> None:
    asked = ledger.ask(Kind.COLLECT, CONFIRM, "ann", NOW)
    assert ledger.stop(asked.id)
    assert ledger.take("me", NOW, changing=False) is None
    ended = ledger.find(asked.id)
    assert ended is not None
    assert ended.outcome is Outcome.STOPPED
    assert not ledger.stop(asked.id)


def test_what_changes_the_storage_waits_while_that_is_not_wanted(ledger: Ledger) -> None:
    ledger.ask(Kind.COLLECT, CONFIRM, "ann", NOW)
    ledger.ask(Kind.VERIFY, {}, "ann", NOW)
    run = ledger.take("me", NOW, changing=False)
    assert run is not None
    assert run.kind is Kind.VERIFY
    assert ledger.take("me too", NOW, changing=False) is None
    assert ledger.take("me too", NOW, changing=True) is not None


def test_old_runs_are_forgotten_but_not_the_last_that_ended_well(ledger: Ledger) -> None:
    good = ledger.ask(Kind.COLLECT, CONFIRM, "ann", NOW)
    ledger.take("me", NOW, changing=True)
    ledger.end(good.id, "me", Outcome.SUCCEEDED, NOW)
    for number in range(1, KEPT + 5):
        now = NOW + timedelta(minutes=number)
        run = ledger.ask(Kind.COLLECT, {}, "ann", now)
        ledger.take("me", now, changing=True)
        ledger.end(run.id, "me", Outcome.FAILED, now)
    assert len(ledger.recent(1000)) <= KEPT + 2
    last = ledger.last_success(Kind.COLLECT, changing=True)
    assert last is not None
    assert last.id == good.id
