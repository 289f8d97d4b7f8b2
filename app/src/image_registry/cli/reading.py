"""How far a long reading has come: one line that changes on a terminal, a line for each kind of thing elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.status import Status

OFTEN = 0.2
"""Seconds between two changes of the line."""


class Reading:
    """Writes to the stream of errors, so that the report can be piped."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, highlight=False)
        self._status: Status | None = None
        self._what, self._number, self._shown = "", 0, 0.0

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._status = self._console.status("Asking the cluster …")
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()
        elif kind is None:
            self._tell()

    def read(self, what: str, number: int) -> None:
        """So many of these have been read."""
        if what != self._what:
            if self._status is None:
                self._tell()
            self._what = what
        self._number = number
        now = time.monotonic()
        if self._status is not None and now - self._shown >= OFTEN:
            self._shown = now
            self._status.update(f"Reading {what}: {number:,}")

    def _tell(self) -> None:
        if self._what:
            self._console.print(f"Read {self._number} {self._what}", soft_wrap=True)
