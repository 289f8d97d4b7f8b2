"""Who looks at a report sees how far a run is now, and what is wrong with a report ends no migration."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from image_registry.migration import reports
from image_registry.migration.journal import Journal, State
from image_registry.migration.plan import Plan
from image_registry.migration.planning import plan
from image_registry.migration.reports import Reports
from tests.app.migration.test_plans import changed


@pytest.fixture
def made(tmp_path: Path) -> tuple[Plan, Journal]:
    found = plan(changed("4.2-pvc", lambda _cluster: None, tmp_path))
    return found, Journal(tmp_path / "journal.jsonl", found)


def wait_for(look: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not look():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_a_report_follows_a_run_that_is_under_way(
    made: tuple[Plan, Journal], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "PAUSE", 0.01)
    monkeypatch.setattr(reports, "SHARE", 0)
    found, journal = made
    page, document = tmp_path / "progress.html", tmp_path / "progress.json"
    first, second = found.steps[:2]
    with Reports(found, journal, tmp_path, html=page, document=document).kept_up():
        journal.write(first, State.BEGUN)
        wait_for(lambda: document.exists() and '"begun"' in document.read_text("utf-8"))
        assert "under way" in page.read_text("utf-8")
        journal.write(first, State.DONE)
        journal.write(second, State.BEGUN)
        wait_for(lambda: json.loads(document.read_text("utf-8"))["done"] == 1)
        journal.write(second, State.DONE)
    assert json.loads(document.read_text("utf-8"))["done"] == 2, "what came last is in it"
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".progress")) == []


def test_a_run_that_fails_leaves_a_report_that_says_so(made: tuple[Plan, Journal], tmp_path: Path) -> None:
    found, journal = made
    document = tmp_path / "progress.json"

    def fail() -> None:
        with Reports(found, journal, tmp_path, document=document).kept_up():
            journal.write(found.steps[0], State.FAILED, detail="the cluster is gone")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert "the cluster is gone" in document.read_text("utf-8")


def test_results_that_cannot_be_read_end_nothing(
    made: tuple[Plan, Journal], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(reports, "results_of", unreadable)
    told: list[str] = []
    with Reports(*made, tmp_path, document=tmp_path / "progress.json", tell=told.append).kept_up():
        pass
    assert told == [f"the report {tmp_path} is not up to date: Input/output error"]


def test_a_link_stays_a_link(made: tuple[Plan, Journal], tmp_path: Path) -> None:
    (tmp_path / "shown").mkdir()
    link = tmp_path / "progress.json"
    link.symlink_to(tmp_path / "shown/progress.json")
    Reports(*made, tmp_path, document=link).write()
    assert link.is_symlink()
    assert (tmp_path / "shown/progress.json").exists()


def test_a_report_is_its_owners_alone_until_somebody_lets_others_read_it(
    made: tuple[Plan, Journal], tmp_path: Path
) -> None:
    page = tmp_path / "progress.html"
    Reports(*made, tmp_path, html=page).write()
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    page.chmod(0o644)
    Reports(*made, tmp_path, html=page).write()
    assert stat.S_IMODE(page.stat().st_mode) == 0o644


def test_a_report_that_cannot_be_written_is_told_once_and_ends_nothing(
    made: tuple[Plan, Journal], tmp_path: Path
) -> None:
    told: list[str] = []
    page, document = tmp_path / "nowhere/progress.html", tmp_path / "progress.json"
    written = Reports(*made, tmp_path, html=page, document=document, tell=told.append)
    assert written.write() == written.write()
    assert told == [f"the report {page} is not up to date: No such file or directory"]
    assert document.exists()
