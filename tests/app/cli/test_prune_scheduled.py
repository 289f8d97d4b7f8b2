"""What the CronJob runs: both steps in order, again where it helps, and told so that nothing hides."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from image_registry.cli import ac, prune_scheduled
from image_registry.kube.errors import ClusterUnreachable, KubeError

FREED = 3 * 1024**3
STEPS = f"""
import json, sys
from pathlib import Path
log, codes = Path(sys.argv[1]), json.loads(sys.argv[2])
step = "prune" if "prune" in sys.argv else "gc"
before = log.read_text().splitlines() if log.exists() else []
log.write_text("\\n".join([*before, " ".join([step, *sys.argv[3:]])]))
if step == "prune":
    print("deleted image x\\nSummary: deleted 2 image object(s)\\n2 of 5 image(s) in the plan")
else:
    print(json.dumps({{"state": "succeeded", "report": {{"bytesFreed": {FREED}}}}}))
tried = sum(line.startswith(step) for line in before)
sys.exit(codes[step][min(tried, len(codes[step]) - 1)])
"""


class Cluster:
    """What the command itself asks: discovery of the Image API and Config."""

    def __init__(self) -> None:
        self.api: Exception | None = None
        self.config: dict[str, Any] | Exception | None = None

    def get(self, path: str) -> dict[str, Any]:
        assert path == "/apis/image.alauda.io/v1"
        if self.api is not None:
            raise self.api
        return {}

    def find(self, _path: str) -> dict[str, Any] | None:
        if isinstance(self.config, Exception):
            raise self.config
        return self.config


class Ran:
    """Exit code, what was written, what the steps were called with, the termination message."""

    def __init__(self, code: int, output: str, calls: list[str], message: dict[str, Any]) -> None:
        self.code, self.output, self.calls, self.message = code, output, calls, message


Run = Callable[..., Ran]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    found = Cluster()
    monkeypatch.setattr(prune_scheduled, "connect", lambda *_: found)
    return found


@pytest.fixture
def run(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    del cluster
    script, log, message = tmp_path / "steps.py", tmp_path / "log", tmp_path / "message"
    script.write_text(STEPS)
    before = signal.getsignal(signal.SIGTERM)

    def call(*arguments: str, prune: tuple[int, ...] = (0,), gc: tuple[int, ...] = (0,)) -> Ran:
        codes = json.dumps({"prune": prune, "gc": gc})
        monkeypatch.setattr(prune_scheduled, "PROGRAM", (sys.executable, "-SE", str(script), str(log), codes))
        command = ["adm", "prune", "scheduled", "--pause=0", f"--termination-message={message}", *arguments]
        done = CliRunner().invoke(ac.cli, command)
        calls = log.read_text().splitlines() if log.exists() else []
        return Ran(done.exit_code, done.output, calls, json.loads(message.read_text()))

    yield call
    signal.signal(signal.SIGTERM, before)


def test_both_steps_run_in_their_order(run: Run) -> None:
    url = "--registry-url=https://image-registry.x.svc:5000"
    done = run(
        "--grace=1h",
        "--confirm",
        url,
        "--certificate-authority=/ca.crt",
        "--",
        "--keep-tag-revisions=5",
        "--whitelist=^base/",
    )
    assert done.code == 0, done.output
    assert done.calls == [
        "prune adm prune images --confirm=true --keep-tag-revisions=5 --whitelist=^base/",
        f"gc adm registry gc --confirm=true {url} --certificate-authority=/ca.crt --grace=1h --output=json",
    ]
    assert done.message == {
        "prune": "done",
        "garbageCollection": "done",
        "freedBytes": FREED,
        "message": "Summary: deleted 2 image object(s); 2 of 5 image(s) in the plan; garbage collection freed 3.0 GiB",
    }
    assert "deleted image x" in done.output


def test_nothing_is_deleted_that_was_not_confirmed(run: Run) -> None:
    assert all("--confirm=false" in call for call in run().calls)


@pytest.mark.parametrize(
    ("prune", "gc", "code", "said"),
    [
        ((3,), (0,), 10, "pruning failed: `ac adm prune images` ended with 3"),
        ((0,), (2,), 20, "collecting garbage failed: `ac adm registry gc` ended with 2"),
        ((2,), (3,), 30, "pruning failed"),
    ],
)
def test_a_step_that_fails_does_not_hide_and_the_other_runs(
    run: Run, prune: tuple[int, ...], gc: tuple[int, ...], code: int, said: str
) -> None:
    done = run("--confirm", prune=prune, gc=gc)
    assert done.code == code
    assert said in done.message["message"]
    assert [call.split()[0] for call in done.calls] == ["prune", "gc"]
    assert done.message["prune"] == ("failed" if prune[0] else "done")
    assert done.message["garbageCollection"] == ("failed" if gc[0] else "done")


def test_what_may_pass_is_tried_again_and_what_does_not_is_not(run: Run) -> None:
    done = run("--confirm", prune=(4, 1, 0), gc=(4,))
    assert done.code == 20
    assert [call.split()[0] for call in done.calls] == ["prune"] * 3 + ["gc"] * 6


def test_a_missing_registry_is_told_and_is_no_failure(run: Run, cluster: Cluster) -> None:
    cluster.api = KubeError(404, "NotFound", "the server could not find the requested resource")
    done = run("--confirm")
    assert (done.code, done.calls) == (0, [])
    assert done.message["prune"] == "nothing to do"
    assert "there is no registry in this cluster" in done.message["message"]


@pytest.mark.parametrize("error", [KubeError(503, "ServiceUnavailable", "away"), ClusterUnreachable("away")])
def test_a_registry_that_does_not_answer_is_not_a_missing_one(run: Run, cluster: Cluster, error: Exception) -> None:
    cluster.api = error
    assert run("--confirm", prune=(4,)).code == 10


@pytest.mark.parametrize(
    ("config", "collected"),
    [
        (None, True),
        ({"spec": {"managementState": "Managed"}}, True),
        ({"spec": {"managementState": "Unmanaged"}}, False),
        ({"spec": {}}, False),
        (KubeError(403, "Forbidden", "no"), True),
    ],
    ids=str,
)
def test_garbage_is_collected_while_the_registry_is_managed(
    run: Run, cluster: Cluster, config: Any, *, collected: bool
) -> None:
    cluster.config = config
    done = run("--confirm")
    assert done.code == 0
    assert ([call.split()[0] for call in done.calls] == ["prune", "gc"]) is collected


def test_garbage_is_left_alone_where_it_is_not_wanted(run: Run) -> None:
    done = run("--confirm", "--collect-garbage=false")
    assert [call.split()[0] for call in done.calls] == ["prune"]
    assert done.message["garbageCollection"] == "not run"


def test_a_long_message_is_cut_before_kubelet_does_it(run: Run) -> None:
    account = prune_scheduled.Account(said=["é" * 9000])
    assert len(account.message().encode()) <= 4096
    assert json.loads(account.message())["message"]
    del run


def test_told_to_end_the_step_is_ended_and_no_other_begins(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        "import sys\n"
        "from image_registry.cli import ac, prune_scheduled\n"
        "class C:\n"
        "    def get(self, path): return {}\n"
        "prune_scheduled.connect = lambda *_: C()\n"
        "prune_scheduled.PROGRAM = (sys.executable, '-SE', '-c', 'print(1, flush=True); import time; time.sleep(60)')\n"
        "sys.argv = ['ac', 'adm', 'prune', 'scheduled', '--termination-message', sys.argv[1]]\n"
        "ac.main()\n"
    )
    with subprocess.Popen(
        [sys.executable, script, tmp_path / "message"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "1\n"
        began = time.monotonic()
        child.send_signal(signal.SIGTERM)
        assert child.wait(20) == 143
        assert time.monotonic() - began < 10
    assert "told to end" in json.loads((tmp_path / "message").read_text())["message"]


def test_what_a_command_ends_with_is_what_ac_ends_with(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command("seven")
    @click.pass_context
    def seven(context: click.Context) -> None:
        context.exit(7)

    monkeypatch.setitem(ac.adm.commands, "seven", seven)
    monkeypatch.setattr(sys, "argv", ["ac", "adm", "seven"])
    with pytest.raises(SystemExit) as caught:
        ac.main()
    assert caught.value.code == 7
