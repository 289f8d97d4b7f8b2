"""The list of gates keeps its word: it fails when a step fails, early, and says what did not run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests import run
from tests.run import Step

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


def test_a_tool_that_is_not_there_fails_its_step(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    group(monkeypatch, Step("tool", (("no-such-tool-anywhere",),)))
    assert run.main(["all"]) == 1
    assert "cannot start no-such-tool-anywhere" in capsys.readouterr().out


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
