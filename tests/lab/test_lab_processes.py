from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_registry_lab import process
from image_registry_lab.process import Processes
from image_registry_lab.report import LabError


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    made = Processes(tmp_path / "run", tmp_path / "log")
    yield made
    made.stop(made.names(), 1)


def test_a_process_is_started_once_and_ended_for_good(processes: Processes) -> None:
    assert processes.start("sleeper", ["sleep", "60"])
    pid = processes.pid("sleeper")
    assert not processes.start("sleeper", ["sleep", "60"])
    assert processes.pid("sleeper") == pid
    processes.stop(["sleeper"])
    assert processes.pid("sleeper") is None
    assert processes.names() == []


def test_one_that_ignores_the_request_is_made_to_end(processes: Processes) -> None:
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"
    )
    processes.start("stubborn", [sys.executable, "-c", stubborn])
    processes.await_ready("stubborn", lambda: "on" in processes.log("stubborn").read_text(), 10)
    processes.stop(["stubborn"], 0.2)
    assert processes.pid("stubborn") is None


def test_a_pid_that_belongs_to_somebody_else_by_now_is_never_signalled(processes: Processes, tmp_path: Path) -> None:
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        processes.record("mine", stranger.pid)
        file = tmp_path / "run/mine.pid"
        record = json.loads(file.read_text())
        file.write_text(json.dumps(record | {"started": record["started"] - 1}))
        assert processes.pid("mine") is None
        processes.signal("mine", signal.SIGKILL)
        processes.stop(["mine"], 0.1)
        time.sleep(0.05)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_record_of_the_machines_last_run_means_nothing(processes: Processes, tmp_path: Path) -> None:
    processes.record("self", os.getpid())
    file = tmp_path / "run/self.pid"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"boot": "another"}))
    assert processes.pid("self") is None
    processes.forget("self")


def test_a_process_that_dies_while_it_starts_is_reported_with_the_end_of_its_log(processes: Processes) -> None:
    processes.start("broken", ["sh", "-c", "sleep 0.2; echo the disk is full; exit 3"])
    with pytest.raises(LabError, match=r"broken ended while it was starting(.|\n)*the disk is full"):
        processes.await_ready("broken", lambda: False, 10)


def test_what_the_caller_points_to_does_not_reach_the_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/somebody/else")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    assert not {"KUBECONFIG", "HTTPS_PROXY"} & set(process.clean_environment())


def test_a_failed_command_says_what_it_said() -> None:
    with pytest.raises(LabError, match=r"status 4(.|\n)*no such thing"):
        process.run(["sh", "-c", "echo no such thing >&2; exit 4"])
    with pytest.raises(LabError, match="no program /nowhere/tool"):
        process.run(["/nowhere/tool"])


def test_the_name_of_a_program_may_hold_a_parenthesis() -> None:
    fields = " ".join(["S", *map(str, range(1, 30))])
    assert process.start_time(f"12 (a) b) {fields}") == 19
    assert process.start_time("12 (gone) Z " + " ".join(map(str, range(30)))) is None
