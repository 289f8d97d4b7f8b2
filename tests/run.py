"""Runs the gates in the order that fails early, streams what they say, and ends with a table of steps and times.

``make test`` and its smaller siblings are thin calls of this file, and so is continuous integration: there is one list
of gates (:mod:`tests.gates`). It needs the standard library alone and starts every tool from the environment that runs
it.

What needs the lab and what does not runs side by side, each in its lane, whose name begins the lines.

A step that hangs is ended, with everything it started, when its time is up. A few tests that fail are run once more,
alone: the run goes on if they pass then, and the last lines name them, because each is a fault to be found — of the
product or of the test — that a busy machine brought to light.

usage: python -m tests.run GROUP [--keep-going] [--list]
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.gates import PYTEST, ROOT, Part, Step, steps

FAILED = re.compile(r"(?:FAILED|ERROR) (tests/\S+?\.py(?:::.+?)?)(?: - (.*))?$")
SECOND_TRY = 5
"""How many failed tests are run again; more than these fail together for a reason."""
NAMED = 20
"""How many failed tests of a step the last lines name."""
WIDTH = 160
"""Where a repeated line is cut."""
LAST = 12
"""How many lines of a failed command that names no test the last lines repeat."""
SUMMARY = re.compile(r"=*\s*((?:\d+ \w+,? )+in [\d.]+s.*?|no tests ran in [\d.]+s)\s*=*$")
AMBIENT = ("KUBECONFIG", "K8S_AUTH_", "HELM_KUBE", "HELM_NAMESPACE", "REGISTRY_")
"""Variables of the caller that could lead a test to somebody's cluster or registry."""


@dataclass(slots=True)
class Said:
    """What a command said that the table repeats."""

    summaries: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Why tests failed, by their identity, in order."""
    last: deque[str] = field(default_factory=lambda: deque(maxlen=LAST))
    """What was said last, empty lines left out."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended: exit status, seconds, the runner's own summary lines, tests that passed only when run again and
    those that failed, each with why it failed, and what a command that names no test said last."""

    step: Step
    status: int
    seconds: float
    summaries: tuple[str, ...]
    unsteady: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    last: tuple[str, ...] = ()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one group; the exit status is 0 only if every step passed."""
    groups = steps()
    parser = argparse.ArgumentParser(description="Run the gates of the repository.")
    parser.add_argument("group", choices=sorted(groups))
    parser.add_argument("--keep-going", action="store_true", help="run the steps after a failed one too")
    parser.add_argument("--list", action="store_true", help="print the steps and end")
    options = parser.parse_args(arguments)
    parts = groups[options.group]
    chosen = [step for part in parts for step in _steps_of(part)]
    if options.list:
        for step in chosen:
            print(step.name, *(f"    {shlex.join(command)}" for command in step.commands), sep="\n")
        return 0
    if os.geteuid() and any(step.needs_root for step in chosen):
        print(
            f"{options.group}: these steps start a real Kubernetes on this machine (namespaces, mounts, containers) "
            f"and need root: {', '.join(step.name for step in chosen if step.needs_root)}.\n"
            "Run it as root, or run what does not need it: make lint test-unit test-collection test-clients",
            file=sys.stderr,
        )
        return 1
    outcomes: list[Outcome] = []
    began = time.monotonic()
    for part in parts:
        _run_part(part, outcomes, keep_going=options.keep_going)
        if not options.keep_going and any(outcome.status for outcome in outcomes):
            break
    _report(chosen, outcomes, time.monotonic() - began)
    return int(any(outcome.status for outcome in outcomes))


def _steps_of(part: Part) -> Sequence[Step]:
    return [part] if isinstance(part, Step) else [step for lane in part.lanes.values() for step in lane]


def _run_part(part: Part, outcomes: list[Outcome], *, keep_going: bool) -> None:
    """After a failure no lane begins another step, but each ends the one that it is in."""
    if isinstance(part, Step):
        outcomes.append(_run(part))
        return

    over = threading.Event()
    running: set[int] = set()

    def drive(lane: str, of: tuple[Step, ...]) -> None:
        for step in of:
            if over.is_set() or (not keep_going and any(outcome.status for outcome in outcomes)):
                return
            outcomes.append(_run(step, f"{lane} │ ", running))

    with ThreadPoolExecutor(len(part.lanes)) as pool:
        lanes = [pool.submit(drive, name, of) for name, of in part.lanes.items()]
        try:
            for lane in lanes:
                lane.result()
        except BaseException:
            over.set()
            for group in tuple(running):
                _end(group, "interrupted")
            raise


def _run(step: Step, prefix: str = "", running: set[int] | None = None) -> Outcome:
    """``running`` holds the process groups that are not over."""
    running = set() if running is None else running
    print(f"\n{prefix}──── {step.name} ────", flush=True)
    started = time.monotonic()
    summaries: list[str] = []
    unsteady: list[str] = []
    failed: Mapping[str, str] = {}
    last: tuple[str, ...] = ()
    status = 0
    environment = _environment()
    for command in step.commands:
        said = Said()
        status = _command(step, command, environment, started, said, prefix, running)
        summaries += said.summaries
        failed = said.failed
        last = tuple(said.last) if status and not failed else ()
        if status == 1 and _again(command, said):
            print(f"{prefix}{step.name}: once more, alone: {', '.join(said.failed)}", flush=True)
            second = Said()
            status = _command(step, (*PYTEST, "-q", *said.failed), environment, started, second, prefix, running)
            summaries += [f"once more: {summary}" for summary in second.summaries]
            unsteady += [] if status else _reasons(said.failed)
            failed = second.failed or said.failed
        if status:
            print(f"{prefix}{step.name}: {command[0]} ended with status {status}", flush=True)
            break
    reasons = _reasons(failed) if status else ()
    return Outcome(step, status, time.monotonic() - started, tuple(summaries), tuple(unsteady), tuple(reasons), last)


def _reasons(failed: Mapping[str, str]) -> list[str]:
    return [f"{test}{f' - {why}' if why else ''}" for test, why in failed.items()]


def _again(command: Sequence[str], said: Said) -> bool:
    """Whether a failed command was a run of tests of which few failed, each known by its name."""
    named = all("::" in test for test in said.failed)
    return tuple(command[: len(PYTEST)]) == PYTEST and named and 0 < len(said.failed) <= SECOND_TRY


def _command(
    step: Step,
    command: Sequence[str],
    environment: dict[str, str],
    started: float,
    said: Said,
    prefix: str,
    running: set[int],
) -> int:
    print(f"{prefix}$ {shlex.join(command)}", flush=True)
    try:
        process = subprocess.Popen(
            command,
            cwd=step.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # so that all of it can be ended
        )
    except OSError as error:
        print(f"{prefix}cannot start {command[0]}: {error.strerror}")
        return 127
    assert process.stdout is not None
    running.add(process.pid)
    left = max(1.0, step.minutes * 60 - (time.monotonic() - started))
    clock = threading.Timer(left, _end, (process.pid, f"{step.name}: not done after {step.minutes:g} minutes: ended"))
    clock.daemon = True
    clock.start()
    try:
        with process.stdout as lines:
            for line in lines:
                sys.stdout.write(prefix + line)  # in one piece: lanes write at the same time
                sys.stdout.flush()
                if found := SUMMARY.fullmatch(line.strip()):
                    said.summaries.append(found[1])
                elif found := FAILED.fullmatch(line.strip()):
                    said.failed[found[1]] = found[2] or ""
                if line.strip():
                    said.last.append(line.rstrip()[:WIDTH])
        return process.wait()
    except BaseException:
        _end(process.pid, f"{step.name}: interrupted")
        raise
    finally:
        clock.cancel()
        running.discard(process.pid)


def _end(group: int, why: str) -> None:
    """End a command and what it started, as a person would: ask, wait, then insist."""
    print(why, flush=True)
    for number, patience in ((signal.SIGINT, 20), (signal.SIGTERM, 10), (signal.SIGKILL, 0)):
        try:
            os.killpg(group, number)
        except ProcessLookupError:
            return
        end = time.monotonic() + patience
        while time.monotonic() < end:
            time.sleep(0.1)
            try:
                os.killpg(group, 0)
            except ProcessLookupError:
                return


def _report(chosen: Sequence[Step], outcomes: Sequence[Outcome], total: float) -> None:
    width = max(len(step.name) for step in chosen)
    print(f"\n{'step':<{width}}  {'result':<7}  {'seconds':>7}")
    print(f"{'─' * width}  {'─' * 7}  {'─' * 7}")
    for outcome in outcomes:
        result = "FAILED" if outcome.status else "ok"
        print(f"{outcome.step.name:<{width}}  {result:<7}  {outcome.seconds:7.1f}  {'; '.join(outcome.summaries)}")
    ran = {outcome.step.name for outcome in outcomes}
    for step in chosen:
        if step.name not in ran:
            print(f"{step.name:<{width}}  not run")
    for outcome in outcomes:
        for test in outcome.unsteady:
            print(f"passed only when run again: {test}")
        for test in outcome.failed[:NAMED]:
            print(f"failed: {test}")
        if outcome.last:
            print(f"{outcome.step.name} said last:", *outcome.last, sep="\n  ")
    verdict = "FAILED" if any(outcome.status for outcome in outcomes) else "all steps passed"
    print(f"{'total':<{width}}  {'':<7}  {total:7.1f}  {verdict}", flush=True)


def _environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(AMBIENT)}
    kept["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
    kept["ANSIBLE_HOME"] = str(ROOT / ".cache/ansible")
    kept["ANSIBLE_NOCOWS"] = "1"
    kept["PYTHONUNBUFFERED"] = "1"
    return kept


if __name__ == "__main__":
    sys.exit(main())
