"""What was found stands until a look that would have found it again has not: no earlier, and no later."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_registry.upkeep import integrity
from image_registry.upkeep.findings import LACKING, WRONG, Judgement, judge
from image_registry.upkeep.integrity import NOBODY_LOOKED, NOT_OURS, NOT_TOLD, Integrity
from image_registry.upkeep.runs import Kind, Outcome, Run
from image_registry.upkeep.verifying import FAULTS

BEGINNING = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def run(kind: Kind, hour: int, report: Mapping[str, Any] | None, *, lasts: float = 0.5, **given: Any) -> Run:
    """One that began at an hour; what is ``given`` are its options, or members of it."""
    begun = BEGINNING + timedelta(hours=hour)
    members: dict[str, Any] = {name: given.pop(name) for name in ("outcome", "notes") if name in given}
    values: dict[str, Any] = {
        "id": f"{kind}-{hour}",
        "kind": kind,
        "options": given,
        "asked": begun,
        "asked_by": "ann",
        "begun": begun,
        "ended": begun + timedelta(hours=lasts),
        "outcome": Outcome.SUCCEEDED,
        "holder": "",
        "attempts": 1,
        "stop": False,
        "stage": "",
        "done": 0,
        "cursor": "",
        "notes": {},
        "error": "",
        "report": report,
    }
    return Run(**(values | members))


def scrub(hour: int, corrupt: int = 0, unreadable: int = 0, aside: int = 0, again: int = 0, **given: Any) -> Run:
    totals = {"corrupt": corrupt, "unreadable": unreadable}
    return run(Kind.SCRUB, hour, {"totals": totals, "putAside": aside, "fetchedAgain": again}, **given)


def verify(hour: int, found: Mapping[str, int] | None = None, **given: Any) -> Run:
    return run(Kind.VERIFY, hour, {"totals": dict(found or {})}, **given)


def told(*runs: Run) -> str:
    found = judge(runs).integrity
    return f"{found.status} {found.reason}"


CONFIRMED = scrub(1, corrupt=3, aside=3, again=1, confirm=True)
SHOWN = scrub(1, corrupt=3)


def test_every_fault_of_a_verification_is_healed_by_something() -> None:
    assert {*WRONG, *LACKING} == set(FAULTS)


def test_nothing_is_known_before_anybody_looked_and_parts_say_nothing_about_the_rest() -> None:
    assert judge([]) == Judgement(NOBODY_LOOKED, frozenset())
    assert told(run(Kind.VERIFY, 1, None, outcome=Outcome.FAILED)) == "Unknown NotLookedAt"
    assert told(verify(1, namespace="team-a")) == "Unknown PartlyLookedAt"


def test_images_are_intact_if_everything_is_there_and_every_byte_was_read() -> None:
    assert told(verify(1)) == told(scrub(1)) == "Unknown PartlyLookedAt"
    assert "`ac adm registry scrub` says whether its bytes are right" in judge([verify(1)]).integrity.message
    assert "`ac adm registry verify` says whether everything is there" in judge([scrub(1)]).integrity.message
    assert told(scrub(1), verify(2, namespace="team-a", deep=True)) == "Unknown PartlyLookedAt"
    assert told(scrub(1), verify(2)) == told(verify(1), scrub(2)) == told(verify(1, deep=True)) == "True AsExpected"


def test_what_was_put_aside_is_told_with_its_numbers_and_the_next_step() -> None:
    found = judge([CONFIRMED]).integrity
    assert (found.status, found.reason) == ("False", "CorruptBlobsPutAside")
    assert found.message == (
        "the scrub that ended 2026-01-02T04:34:05Z found 3 corrupt blobs, put 3 aside and fetched 1 of them again. "
        "`ac adm registry verify` names what lacks something: push those images again, and verify again"
    )


def test_a_scrub_that_finds_nothing_any_more_does_not_heal_what_was_put_aside_but_a_verification_does() -> None:
    assert told(CONFIRMED, scrub(2)) == "False CorruptBlobsPutAside"
    assert told(CONFIRMED, scrub(2), verify(3, {"missing": 2})) == "False ContentMissing"
    assert told(CONFIRMED, verify(3, {"orphaned": 2})) == "True AsExpected"
    assert told(CONFIRMED, verify(3, namespace="team-a")) == "False CorruptBlobsPutAside"
    assert told(CONFIRMED, run(Kind.VERIFY, 3, None, outcome=Outcome.STOPPED)) == "False CorruptBlobsPutAside"


def test_what_was_all_fetched_again_is_healed_and_still_told() -> None:
    found = judge([scrub(1, corrupt=2, aside=2, again=2, confirm=True)]).integrity
    assert found.status == "Unknown", "nobody has seen that everything is there"
    assert "found 2 wrong blobs, which are healed: look at what keeps the bytes" in found.message


def test_wrong_bytes_that_are_still_there_are_healed_by_whoever_reads_them_and_no_other() -> None:
    assert told(SHOWN) == "False CorruptBlobs"
    assert told(SHOWN, verify(2)) == "False CorruptBlobs", "it read no layer"
    assert told(SHOWN, verify(2, deep=True, namespace="team-a")) == "False CorruptBlobs"
    assert told(SHOWN, verify(2, deep=True)) == "True AsExpected"
    assert told(SHOWN, scrub(2)) == "Unknown PartlyLookedAt"
    assert told(SHOWN, scrub(2), verify(3)) == "True AsExpected"
    assert told(SHOWN, scrub(2, corrupt=3, aside=3, confirm=True)) == "False CorruptBlobsPutAside"
    assert told(scrub(1, unreadable=1, confirm=True)) == "False UnreadableBlobs", "what cannot be read stays there"


def test_a_look_heals_only_what_was_found_before_it_began() -> None:
    at_once = verify(1, lasts=2)
    assert told(CONFIRMED, at_once) == "False CorruptBlobsPutAside"
    assert told(CONFIRMED, at_once, verify(4)) == "True AsExpected"


def test_a_part_that_lacks_something_is_healed_by_a_look_at_it_or_at_more() -> None:
    lacking = verify(1, {"missing": 1}, namespace="team-a", repository="app")
    assert told(lacking) == "False ContentMissing"
    assert told(lacking, verify(2, namespace="team-b")) == "False ContentMissing"
    assert told(lacking, verify(2, namespace="team")) == "False ContentMissing", "another namespace"
    assert told(lacking, verify(2, namespace="team-a", repository="app")) == "Unknown PartlyLookedAt"
    assert told(lacking, verify(2, namespace="team-a")) == "Unknown PartlyLookedAt"
    assert told(lacking, verify(2, deep=True)) == "True AsExpected"


def test_what_a_scrub_had_put_aside_before_it_was_stopped_is_told() -> None:
    notes = {"corrupt": [{"digest": "a"}], "unreadable": [], "put_aside": 1, "fetched": 0, "blobs": 7}
    stopped = run(Kind.SCRUB, 1, None, outcome=Outcome.STOPPED, notes=notes, confirm=True)
    found = judge([stopped]).integrity
    assert "was broken off 2026-01-02T04:34:05Z found 1 corrupt blob, put 1 aside" in found.message
    assert told(SHOWN, run(Kind.SCRUB, 2, None, outcome=Outcome.STOPPED, notes={"corrupt": []})) == "False CorruptBlobs"


def test_many_findings_are_counted_and_the_worst_comes_first() -> None:
    parts = [verify(hour, {"missing": 1}, namespace=f"team-{hour}") for hour in range(5)]
    found = judge([*parts, scrub(1, corrupt=1)]).integrity
    assert found.reason == "CorruptBlobs"
    assert "3 more runs have found something" in found.message
    assert found.message.count("that ended") == 3


_counts = st.integers(0, 2)
_runs = st.builds(
    lambda hour, corrupt, unreadable, again, confirm: scrub(
        hour, corrupt, unreadable, corrupt if confirm else 0, min(again, corrupt) if confirm else 0, confirm=confirm
    ),
    st.integers(0, 9), _counts, _counts, _counts, st.booleans(),
) | st.builds(
    lambda hour, corrupt, missing, deep, where: verify(
        hour, {"corrupt": corrupt, "missing": missing}, deep=deep, namespace=where
    ),
    st.integers(0, 9), _counts, _counts, st.booleans(), st.sampled_from(["", "team-a", "team-b"]),
)  # fmt: skip


@given(st.lists(_runs, max_size=8, unique_by=lambda run: run.id))
def test_what_is_needed_says_as_much_as_everything(runs: list[Run]) -> None:
    whole = judge(runs)
    rest = [run for run in runs if run.id in whole.needed]
    again = judge(rest).integrity
    assert (again.status, again.reason) == (whole.integrity.status, whole.integrity.reason)


@given(st.lists(_runs, max_size=8, unique_by=lambda run: run.id))
def test_a_clean_look_at_everything_that_reads_every_byte_heals_all(runs: list[Run]) -> None:
    assert told(*runs, verify(20, deep=True)) == "True AsExpected"


@given(st.lists(_runs, max_size=8, unique_by=lambda run: run.id))
def test_without_a_verification_after_it_nothing_that_was_put_aside_is_called_healed(runs: list[Run]) -> None:
    assert told(*runs, scrub(20, corrupt=1, aside=1, confirm=True), scrub(21), scrub(22)).startswith("False")


def test_it_is_read_as_it_was_written() -> None:
    found = judge([CONFIRMED]).integrity
    assert integrity.read({"data": found.data()}) == found
    assert integrity.read({"data": NOBODY_LOOKED.data()}) == NOBODY_LOOKED


def test_that_nobody_looked_is_only_said_by_the_registry() -> None:
    assert integrity.read(None) == integrity.read({"data": None}) == NOT_TOLD


@pytest.mark.parametrize(
    "data",
    [
        {"status": "Maybe", "reason": "A", "message": "b"},
        {"status": "True", "reason": "not one word", "message": "b"},
        {"status": "True", "reason": "A"},
        {"other": "x"},
    ],
)
def test_what_somebody_else_wrote_is_not_believed(data: dict[str, str]) -> None:
    assert integrity.read({"data": data}) == NOT_OURS


def test_a_message_is_never_longer_than_a_condition_takes() -> None:
    assert len(integrity.read({"data": Integrity("True", "A", "x" * 10_000).data()}).message) == integrity.LONGEST
