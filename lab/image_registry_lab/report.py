"""How the lab speaks: one line for each thing done, with the seconds since it was asked, and one kind of error."""

from __future__ import annotations

import sys
import time
from pathlib import Path


class LabError(Exception):
    """Something a person can act on: what happened, where, and what to do next."""


class Report:
    """Prints progress to standard error, so that what a command answers on standard output stays clean."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def say(self, text: str) -> None:
        """One line, with the seconds since this command began."""
        sys.stderr.write(f"[{time.monotonic() - self._started:5.1f} s] {text}\n")
        sys.stderr.flush()


def last_lines(log: Path, count: int = 15) -> str:
    """The end of a log for an error message; says so when there is nothing."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return f"(there is no log {log})"
    tail = "\n".join(f"    {line[:400]}" for line in lines[-count:])
    return f"the last lines of {log}:\n{tail}" if tail else f"({log} is empty)"
