"""The machine that runs Ansible, on a bad day: a run is killed, with the process of its module, at a moment we choose.

What Helm does goes on, as it would: it is another program, and nobody has killed that one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.collection.controller import ROOT
from tests.migration.hasty import HastyController

LOOK = 0.005


class MortalController(HastyController):
    """Plays as its parent does, and can be killed."""

    def killed(self, when: Callable[[str], bool], *playbooks: str, options: tuple[str, ...] = (), **more: Any) -> str:
        """End a run as soon as ``when`` says so of what it has said; fails if it came to its end before."""
        said = self.folder / "said"
        command, environment = self._command(playbooks, options, more), self._environment()
        with said.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        deadline = time.monotonic() + self.longest
        try:
            while not when(said.read_text(encoding="utf-8")):
                over = process.poll() is not None or time.monotonic() > deadline
                assert not over, f"it never came to that:\n{said.read_text(encoding='utf-8')[-6000:]}"
                time.sleep(LOOK)
        finally:
            for number in (*_below(process.pid), process.pid):
                with suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
            ended = process.wait(20)
        assert ended == -signal.SIGKILL, f"it ended with {ended} before"
        return said.read_text(encoding="utf-8")


def _below(process: int) -> Iterator[int]:
    """Processes that it has started, and theirs, without Helm."""
    for found in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, rest = found.read_text(encoding="utf-8").rpartition(")")
        except (OSError, UnicodeDecodeError):
            continue
        if int(rest.split()[1]) == process and not head.endswith("(helm"):
            number = int(head.split()[0])
            yield from _below(number)
            yield number
