"""Processes that outlive the command that started them, known by a recorded pid and never by name.

A record holds the pid together with the moment the kernel started it and the machine's boot, so that a pid which
belongs to somebody else by now is never signalled.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from image_registry_lab.report import LabError, last_lines

STOP_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Record:
    """Which process it is: pid, start time in clock ticks since boot, boot."""

    pid: int
    started: int
    boot: str


def boot() -> str:
    """The identity of this run of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def start_time(stat: str) -> int | None:
    """Field 22 of ``/proc/<pid>/stat``; None for a process that has ended and only waits to be collected."""
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def describe(pid: int) -> Record | None:
    """The record of a running process, or None."""
    try:
        started = start_time(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace"))
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if started is None else Record(pid, started, boot())


class Processes:
    """The processes recorded in one folder, with their logs in another."""

    def __init__(self, run: Path, logs: Path) -> None:
        self._run = run
        self._logs = logs

    def log(self, name: str) -> Path:
        """Where a process writes."""
        return self._logs / f"{name}.log"

    def record(self, name: str, pid: int) -> None:
        """Remember a running process under ``name``."""
        found = describe(pid)
        if found is None:
            raise LabError(f"{name} ended at once; {last_lines(self.log(name))}")
        self._run.mkdir(parents=True, exist_ok=True)
        path = self._run / f"{name}.pid"
        temporary = path.with_suffix(".new")
        temporary.write_text(
            json.dumps({"pid": found.pid, "started": found.started, "boot": found.boot}), encoding="ascii"
        )
        temporary.replace(path)

    def forget(self, name: str) -> None:
        """Remove a record."""
        (self._run / f"{name}.pid").unlink(missing_ok=True)

    def pid(self, name: str) -> int | None:
        """The pid, if that very process still runs."""
        try:
            raw = json.loads((self._run / f"{name}.pid").read_text(encoding="ascii"))
            recorded = Record(int(raw["pid"]), int(raw["started"]), str(raw["boot"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return recorded.pid if describe(recorded.pid) == recorded else None

    def names(self) -> list[str]:
        """Everything recorded, running or not."""
        return sorted(path.stem for path in self._run.glob("*.pid")) if self._run.is_dir() else []

    def start(self, name: str, command: Sequence[str], environment: dict[str, str] | None = None) -> bool:
        """Start unless it runs; true if it was started. The log of the run before is kept as ``.log.1``."""
        if self.pid(name) is not None:
            return False
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self.log(name)
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd="/",
                env=environment if environment is not None else clean_environment(),
            )
        self.record(name, process.pid)
        # The process is meant to outlive this one; said so, or its object would warn about it.
        process.returncode = 0
        return True

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a recorded process; nothing happens if it has ended."""
        pid = self.pid(name)
        if pid is not None:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                return

    def stop(self, names: Sequence[str], seconds: float = STOP_SECONDS) -> None:
        """Ask several at once to end, insist after ``seconds``, and forget them."""
        for name in names:
            self.signal(name, signal.SIGTERM)
        if not self._ended(names, seconds):
            for name in names:
                self.signal(name, signal.SIGKILL)
            if not self._ended(names, 10):
                stuck = ", ".join(f"{name} (pid {self.pid(name)})" for name in names if self.pid(name))
                raise LabError(f"cannot end {stuck}: the kernel holds it; see its state in /proc/<pid>/stack")
        for name in names:
            self.forget(name)

    def _ended(self, names: Sequence[str], seconds: float) -> bool:
        return wait(lambda: all(self.pid(name) is None for name in names), seconds, 0.05)

    def await_ready(self, name: str, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until ``ready``; raises :class:`LabError` with the end of the log when it dies or takes too long."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self.pid(name) is None:
                raise LabError(f"{name} ended while it was starting; {last_lines(self.log(name))}")
            if time.monotonic() > deadline:
                raise LabError(f"{name} is not ready after {seconds:.0f} s; {last_lines(self.log(name))}")
            time.sleep(0.2)


def wait(condition: Callable[[], bool], seconds: float, pause: float = 0.2) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def clean_environment() -> dict[str, str]:
    """What the lab's processes get: nothing of the caller that could lead them elsewhere."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "LC_ALL", "TZ") if name in os.environ}
    return kept | {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


def run(command: Sequence[str], *, text: str | None = None, environment: dict[str, str] | None = None) -> str:
    """Run to its end; its output, or :class:`LabError` with what it said."""
    try:
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, errors="replace", check=False, env=environment
        )
    except FileNotFoundError:
        raise LabError(f"there is no program {command[0]}: `lab/lab up` names the Debian package") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()
        raise LabError(f"{' '.join(command[:6])} … ended with status {done.returncode}:\n" + "\n".join(said[-15:]))
    return done.stdout
