"""A plan that was read is the one that runs; a journal is put aside only when all of it was taken back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from image_registry.migration.execution import Refused
from image_registry.migration.journal import Journal, State
from image_registry.migration.plan import Plan, write_plan
from image_registry.migration.planning import plan
from image_registry.migration.standing import Stand, put_aside, standing, to_put_aside
from image_registry_lab.legacy.variants import VARIANTS
from tests.app.migration.test_plans import case_of


@pytest.fixture
def planned(tmp_path: Path) -> Plan:
    return plan(case_of(VARIANTS["4.2-pvc"], tmp_path))


@pytest.fixture
def files(planned: Plan, tmp_path: Path) -> tuple[Path, Path]:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(write_plan(planned)), encoding="utf-8")
    return path, tmp_path / "journal.jsonl"


def test_a_plan_stands_by_what_was_done_of_it_and_not_taken_back(files: tuple[Path, Path], planned: Plan) -> None:
    path, journal = files
    assert standing(path.with_name("none"), journal).stand is Stand.NONE
    assert standing(*files).stand is Stand.PLANNED
    kept = Journal(journal, planned)
    kept.identify()
    assert standing(*files).stand is Stand.PLANNED, "a run that was refused has done nothing"
    first, second = planned.steps[:2]
    for step in (first, second):
        kept.write(step, State.BEGUN)
    kept.write(first, State.DONE)
    assert standing(*files).stand is Stand.BEGUN
    kept.write(second, State.UNDONE)
    assert standing(*files).stand is Stand.BEGUN
    kept.write(first, State.UNDONE)
    found = standing(*files)
    assert (found.stand, found.plan) == (Stand.ENDED, planned)


def test_a_plan_that_was_changed_after_it_was_made_says_why_it_cannot_run(files: tuple[Path, Path]) -> None:
    path, _ = files
    path.write_text(path.read_text(encoding="utf-8").replace("team-a", "team-z"), encoding="utf-8")
    found = standing(*files)
    assert found.stand is Stand.UNREADABLE
    assert "was changed after it was made" in found.why


def test_an_ended_journal_is_kept_with_its_plan_and_nothing_is_written_over(
    files: tuple[Path, Path], planned: Plan, tmp_path: Path
) -> None:
    path, journal = files
    assert to_put_aside(*files) == {}
    kept = Journal(journal, planned)
    kept.write(planned.steps[0], State.BEGUN)
    with pytest.raises(Refused, match="holds the way back"):
        put_aside(*files)
    kept.write(planned.steps[0], State.UNDONE)
    beside = tmp_path / "journal.jsonl.d"
    beside.mkdir()
    (beside / "saved").write_text("saved", encoding="utf-8")
    before = journal.read_bytes(), path.read_bytes()
    names = put_aside(*files)
    assert [name.is_file() for name in names] == [True, False, True]
    assert (names[0].read_bytes(), names[2].read_bytes()) == before
    assert (names[1] / "saved").read_text(encoding="utf-8") == "saved"
    assert not journal.exists()
    assert not path.exists()
    journal.write_bytes(before[0])
    path.write_bytes(before[1])
    with pytest.raises(Refused, match="is there already"):
        put_aside(*files)
    assert journal.read_bytes() == before[0]
