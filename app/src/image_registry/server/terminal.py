"""How far a command has come: a line that changes on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time

import click

OFTEN, SELDOM = 0.2, 10.0
"""Seconds between two changes on a terminal, and between two lines where nobody can see one change."""


class Progress:
    """Beside the result: on the standard error."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._pause = OFTEN if self._terminal else SELDOM
        self._next = time.monotonic() + self._pause

    def __call__(self, stage: str, count: int) -> None:
        """So many of this have been done."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self._pause
        if self._terminal:
            click.echo(f"\r{stage}: {count}\033[K", err=True, nl=False)
        else:
            click.echo(f"{stage}: {count}", err=True)

    def end(self) -> None:
        """Take the line away."""
        if self._terminal:
            click.echo("\r\033[K", err=True, nl=False)
