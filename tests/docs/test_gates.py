"""The list of gates keeps its word: it fails when a step fails, early, and says what did not run."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests import run
from tests.gates import PYTEST, Lanes, Step

PRINTS = (sys.executable, "-c")


def group(monkeypatch: pytest.MonkeyPatch, *steps: Step) -> None:
    monkeypatch.setattr(run, "steps", lambda: {"all": list(steps)})


def step(name: str, code: str) -> Step:
    return Step(name, ((*PRINTS, code),))


def test_the_first_failure_stops_the_run_and_is_in_the_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    group(monkeypatch, step("first", "pass"), step("second", "raise SystemExit(3)"), step("third", "print('reached')"))
    assert run.main(["all"]) == 1
    shown = capsys.readouterr().out
    assert "second: " in shown
    assert "ended with status 3" in shown
    table = shown[shown.index("\nstep ") :]
    assert [line.split()[:2] for line in table.strip().splitlines()[2:]] == [
        ["first", "ok"],
        ["second", "FAILED"],
        ["third", "not"],
        ["total", table.split()[-2]],
    ]
    assert "\nreached" not in shown


def test_keep_going_runs_the_rest_and_still_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    group(monkeypatch, step("first", "raise SystemExit(1)"), step("second", "print('reached')"))
    assert run.main(["all", "--keep-going"]) == 1
    assert "\nreached" in capsys.readouterr().out


def test_summaries_of_pytest_are_repeated_in_the_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    group(monkeypatch, step("tests", "print('==== 3 passed, 1 skipped in 0.12s ====')"))
    assert run.main(["all"]) == 0
    assert "3 passed, 1 skipped in 0.12s" in capsys.readouterr().out.partition("\nstep ")[2]


def test_the_end_names_what_a_failed_command_said_last(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    group(monkeypatch, step("playbook", "print('early\\n' * 30 + 'fatal: no such file'); raise SystemExit(2)"))
    assert run.main(["all"]) == 1
    end = capsys.readouterr().out.partition("\nstep ")[2]
    assert "playbook said last:\n  early" in end
    assert "  fatal: no such file\n" in end
    assert end.count("early") == run.LAST - 1


def test_a_tool_that_is_not_there_fails_its_step(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    group(monkeypatch, Step("tool", (("no-such-tool-anywhere",),)))
    assert run.main(["all"]) == 1
    assert "cannot start no-such-tool-anywhere" in capsys.readouterr().out


def test_a_step_that_hangs_is_ended_with_all_it_started(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    held = tmp_path / "held"
    code = f"""
import pathlib, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
pathlib.Path({str(held)!r}).write_text(str(child.pid))
child.wait()
"""
    group(monkeypatch, replace(step("slow", code), minutes=0.01))
    assert run.main(["all"]) == 1
    assert "slow: not done after 0.01 minutes: ended" in capsys.readouterr().out
    with pytest.raises(ProcessLookupError):
        os.kill(int(held.read_text()), 0)


def lanes(monkeypatch: pytest.MonkeyPatch, one: tuple[Step, ...], other: tuple[Step, ...]) -> None:
    monkeypatch.setattr(run, "steps", lambda: {"all": [step("before", "pass"), Lanes({"one": one, "other": other})]})


def test_lanes_run_at_once_and_their_lines_say_whose_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Each waits for what the other one writes."""
    meet = """
import pathlib, time
mine, other = (pathlib.Path({folder!r}) / name for name in {names!r})
mine.touch()
end = time.monotonic() + 30
while not other.exists():
    assert time.monotonic() < end
    time.sleep(0.05)
print("==== {count} passed in 0.10s ====")
"""
    first = meet.format(folder=str(tmp_path), names=("a", "b"), count=3)
    second = meet.format(folder=str(tmp_path), names=("b", "a"), count=4)
    lanes(monkeypatch, (step("left", first), step("then", "print('after')")), (step("right", second),))
    assert run.main(["all"]) == 0
    shown, _, table = capsys.readouterr().out.partition("\nstep ")
    for line in ("one │ ==== 3 passed in 0.10s ====", "one │ after", "other │ ==== 4 passed in 0.10s ===="):
        assert line in shown.splitlines()
    assert "3 passed in 0.10s" in table
    assert "all steps passed" in table


def test_after_a_failure_no_lane_begins_another_step(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    failed = tmp_path / "failed"
    wait = f"import pathlib, time\nwhile not pathlib.Path({str(failed)!r}).exists(): time.sleep(0.05)\ntime.sleep(0.5)"
    fail = f"import pathlib; pathlib.Path({str(failed)!r}).touch(); raise SystemExit(3)"
    lanes(
        monkeypatch,
        (step("bad", fail), step("worse", "print('reached')")),
        (step("slow", wait), step("later", "print('reached')")),
    )
    assert run.main(["all"]) == 1
    shown = capsys.readouterr().out
    assert "│ reached" not in shown
    table = shown[shown.index("\nstep ") :].splitlines()
    assert [line.split()[0] for line in table if line.endswith("not run")] == ["worse", "later"]


def a_run_of(monkeypatch: pytest.MonkeyPatch, folder: Path, body: str) -> None:
    (folder / "tests").mkdir()
    (folder / "tests/test_it.py").write_text(body)
    group(monkeypatch, Step("tests", ((*PYTEST, "-q", "-ra", "tests"),), folder=folder))


def test_a_test_that_passes_only_when_run_again_is_named_in_the_last_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    marker = tmp_path / "ran"
    body = f"""
import pathlib, pytest
@pytest.mark.parametrize("word", ["a b", "c"])
def test_unsteady(word):
    marker = pathlib.Path({str(marker)!r} + word[0])
    found = marker.exists()
    marker.touch()
    assert found or word == "c"
def test_other(): pass
"""
    a_run_of(monkeypatch, tmp_path, body)
    assert run.main(["all"]) == 0
    table = capsys.readouterr().out.partition("\nstep ")[2]
    assert "1 failed, 2 passed" in table
    assert "once more: 1 passed" in table
    assert "passed only when run again: tests/test_it.py::test_unsteady[a b] - AssertionError" in table


@pytest.mark.parametrize(("count", "again"), [(1, True), (run.SECOND_TRY + 1, False)])
def test_a_test_that_fails_again_fails_the_run_and_many_are_not_run_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, count: int, again: bool
) -> None:
    body = f"import pytest\n@pytest.mark.parametrize('n', range({count}))\ndef test_wrong(n): assert n < 0\n"
    a_run_of(monkeypatch, tmp_path, body)
    assert run.main(["all"]) == 1
    shown = capsys.readouterr().out
    table = shown.partition("\nstep ")[2].splitlines()
    assert table.count("failed: tests/test_it.py::test_wrong[0] - assert 0 < 0") == 1
    assert ("once more, alone" in shown) == again
    assert "passed only when run again" not in shown


def test_no_step_sees_a_cluster_or_a_registry_of_the_caller(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in ("KUBECONFIG", "K8S_AUTH_HOST", "HELM_KUBETOKEN", "REGISTRY_DATABASE_URL"):
        monkeypatch.setenv(name, str(tmp_path))
    seen = (
        "import os; print('SEEN', sorted(n for n in os.environ if n.startswith(('KUBE', 'K8S', 'HELM', 'REGISTRY'))))"
    )
    group(monkeypatch, step("environment", seen))
    assert run.main(["all"]) == 0
    assert "SEEN []" in capsys.readouterr().out
