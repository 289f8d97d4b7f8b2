"""``ac adm prune scheduled``: what the CronJob ``image-pruner`` runs; no shell has to hold two commands together.

First ``ac adm prune images``, then ``ac adm registry gc``. Each is a process of its own: it gives its memory back, and
one that is killed takes no account of the other with it. What happened is said three times, for whoever looks where: in
the log, by the exit code, and in the termination message of the Pod, which the operator reads.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from image_registry.cli.connection import cluster_options, connect
from image_registry.cli.failures import UNREACHABLE
from image_registry.cli.switches import switch
from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import ClusterUnreachable, KubeError
from image_registry.measures import size

PRUNE_FAILED, GARBAGE_FAILED, TOLD_TO_END = 10, 20, 143
ATTEMPTS = 6
PAUSE = 30.0
"""Seconds before the second attempt; each later pause is as much longer."""

WORTH_AGAIN = (1, UNREACHABLE)
"""Exit codes of a step that another attempt may cure; wrong options and missing rights stay what they are."""

GIVE_UP = 20.0
"""Seconds that a step gets to end when the Pod is told to."""

IMAGE_API = "/apis/image.alauda.io/v1"
CONFIG = object_path("imageregistry.operator.alauda.io/v1", "configs", "cluster")
MANAGED = "Managed"
PROGRAM = (sys.executable, "-c", "from image_registry.cli.ac import main; main()")
LONGEST = 4096
"""Bytes of a termination message that kubelet keeps."""


@dataclass(slots=True)
class Account:
    """What happened, in the order in which it did."""

    prune: str = "not run"
    garbage: str = "not run"
    said: list[str] = field(default_factory=list)
    freed_bytes: int | None = None

    def say(self, text: str) -> None:
        """Into the log, and kept."""
        self.said.append(text)
        click.echo(text)

    def exit_code(self) -> int:
        """Tells which of both failed."""
        return PRUNE_FAILED * (self.prune == "failed") + GARBAGE_FAILED * (self.garbage == "failed")

    def message(self) -> str:
        """One line of JSON that kubelet does not cut."""
        found: dict[str, Any] = {"prune": self.prune, "garbageCollection": self.garbage}
        if self.freed_bytes is not None:
            found["freedBytes"] = self.freed_bytes
        text = "; ".join(self.said)
        while len(json.dumps({**found, "message": text}).encode()) > LONGEST:
            text = text[: len(text) * 3 // 4]
        return json.dumps({**found, "message": text})


class Steps:
    """Runs commands of ``ac``, again where that may help, until it is told to end."""

    def __init__(self, program: Sequence[str], attempts: int, pause: float) -> None:
        self._program = program
        self._attempts = attempts
        self._pause = pause
        self._child: subprocess.Popen[str] | None = None
        self.over = False
        """Whether we were told to end."""

    def end(self) -> None:
        """Called by a signal: the step that runs is told, and no other begins."""
        self.over = True
        if self._child is not None:
            self._child.terminate()

    def run(self, arguments: Sequence[str], line: Callable[[str], None]) -> int:
        """The last exit code. ``line`` is given what the step writes to its standard output."""
        code = 0
        for attempt in range(1, self._attempts + 1):
            code = self._once(arguments, line)
            if self.over or code not in WORTH_AGAIN or attempt == self._attempts:
                break
            pause = self._pause * attempt
            click.echo(f"ended with {code}: attempt {attempt + 1} of {self._attempts} in {pause:g} s", err=True)
            until = time.monotonic() + pause
            while not self.over and time.monotonic() < until:
                time.sleep(min(0.2, pause))
        return code

    def _once(self, arguments: Sequence[str], line: Callable[[str], None]) -> int:
        with subprocess.Popen(  # noqa: S603 - our own program
            [*self._program, *arguments], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, errors="replace"
        ) as child:
            self._child = child
            if self.over:
                child.terminate()
            for text in child.stdout or ():
                line(text.rstrip("\n"))
            code = child.wait()
        self._child = None
        return code


@click.command("scheduled", context_settings={"allow_extra_args": True}, options_metavar="[OPTIONS] [-- OPTIONS]")
@switch("--confirm", default=False, help_="Delete. Without it both steps show what they would do.")
@switch("--collect-garbage", default=True, help_="Collect garbage after pruning, unless Config says otherwise.")
@click.option("--attempts", type=click.IntRange(1, 20), default=ATTEMPTS, show_default=True, help="Tries of each step.")
@click.option(
    "--pause", type=click.FloatRange(0), default=PAUSE, show_default=True,
    help="Seconds before the second try; each later pause is as much longer.",
)  # fmt: skip
@click.option("--grace", default="", metavar="DURATION", help="As of `ac adm registry gc`.")
@click.option("--trash", default="", metavar="DURATION", help="As of `ac adm registry gc`.")
@click.option(
    "--at-most", type=click.IntRange(0, 100), default=None, metavar="PERCENT", help="As of `ac adm registry gc`."
)
@click.option("--registry-url", default="", metavar="URL", help="Where garbage collection is asked for.")
@click.option("--certificate-authority", default="", metavar="FILE", help="CA of the registry.")
@click.option(
    "--termination-message", type=click.Path(path_type=Path, dir_okay=False), default=None,
    help="Where to write what happened, as a line of JSON.",
)  # fmt: skip
@cluster_options
@click.pass_context
def scheduled(context: click.Context, /, *, confirm: bool, attempts: int, pause: float, **options: Any) -> None:
    """Prune images, then collect garbage: what the CronJob image-pruner runs.

    What follows -- is for `ac adm prune images`. Without a registry in the cluster there is nothing to do, which is
    said and is no failure. While Config/cluster is not Managed, no garbage is collected.

    \b
    Exit codes:
      0    both are done, or were not wanted
      2    wrong options
      10   pruning failed; garbage was collected
      20   collecting garbage failed; pruning is done
      30   both failed
      143  told to end before all was done
    """
    steps = Steps(PROGRAM, attempts, pause)
    signal.signal(signal.SIGTERM, lambda *_: steps.end())
    client, account = connect(options["kubeconfig"], options["context"]), Account()
    where = [f"--{name}={options[name]}" for name in ("kubeconfig", "context") if options[name]]
    confirmed = f"--confirm={str(confirm).lower()}"
    if _absent(client):
        account.prune = account.garbage = "nothing to do"
        account.say("there is no registry in this cluster (the Image API is not installed): nothing to do")
    else:
        _prune(account, steps, ["adm", "prune", "images", confirmed, *where, *context.args])
        if options["collect_garbage"] and not steps.over and _wanted(account, client):
            named = ("registry-url", "certificate-authority", "grace", "trash", "at-most")
            given = ((name, options[name.replace("-", "_")]) for name in named)
            where += [f"--{name}={value}" for name, value in given if value not in ("", None)]
            _collect(account, steps, ["adm", "registry", "gc", confirmed, *where, "--output=json"])
    if steps.over:
        account.say("told to end before all was done")
    if options["termination_message"] is not None:
        _write(options["termination_message"], account.message())
    context.exit(TOLD_TO_END if steps.over else account.exit_code())


def _absent(client: ClusterClient) -> bool:
    """Whether there is no registry to be pruned; one that does not answer is left to the steps."""
    try:
        client.get(IMAGE_API)
    except KubeError as error:
        return error.not_found
    except ClusterUnreachable:
        return False
    return False


def _prune(account: Account, steps: Steps, arguments: list[str]) -> None:
    summary: list[str] = []

    def line(text: str) -> None:
        if text.startswith("Summary:"):
            summary.clear()
        if text.startswith("Summary:") or summary:
            summary.append(text)
        click.echo(text)

    code = steps.run(arguments, line)
    account.prune = "failed" if code else "done"
    account.said += summary
    if code:
        account.say(f"pruning failed: `ac adm prune images` ended with {code}; the log of this Pod says why")


def _wanted(account: Account, client: ClusterClient) -> bool:
    """Whether the operator, where there is one, keeps the registry; hands off is for the collector too."""
    try:
        config = client.find(CONFIG)
    except (KubeError, ClusterUnreachable) as error:
        click.echo(f"Config/cluster can not be read ({error}); garbage is collected as the option says", err=True)
        return True
    state = MANAGED if config is None else str((config.get("spec") or {}).get("managementState") or "unset")
    if state != MANAGED:
        account.say(f"no garbage is collected, because managementState of Config/cluster is {state}")
    return state == MANAGED


def _collect(account: Account, steps: Steps, arguments: list[str]) -> None:
    written: list[str] = []
    code = steps.run(arguments, written.append)
    account.garbage = "failed" if code else "done"
    try:
        report = json.loads("\n".join(written)) if written else {}
    except ValueError:
        report = {}
        click.echo("\n".join(written))
    freed = (report.get("report") or {}).get("bytesFreed") if isinstance(report, dict) else None
    if isinstance(freed, int):
        account.freed_bytes = freed
        account.say(f"garbage collection freed {size(freed)}")
    if code:
        account.say(f"collecting garbage failed: `ac adm registry gc` ended with {code}; the log of this Pod says why")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        click.echo(f"the termination message could not be written: {error}", err=True)
