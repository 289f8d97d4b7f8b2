"""Running the ``helm`` program: one upgrade at a time, which can be asked how it is and told to end.

No shell, no values in arguments, nothing of the caller's environment but what Helm needs (design, D10; ADR 54).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from image_registry.kube.release_record import RELEASE

TIMEOUT = 420
"""Seconds that Helm waits for its hook Jobs: the first start has images to pull."""

HISTORY = 10
"""Revisions that Helm keeps."""

POLITE = 15.0
"""Seconds that Helm gets to record that it was told to end."""


TOLD_BY_CHART = re.compile(r"execution error at \([^)]*\): (.*)")
"""A sentence of the chart itself, after the place of its template."""

FROM_THE_POD = ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "PATH", "SSL_CERT_FILE")
"""What Helm may read of our own environment."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an upgrade ended: ``error`` is empty or what Helm ended with, ``by_chart`` if the chart itself refused."""

    error: str = ""
    by_chart: bool = False


class Running(Protocol):
    """An upgrade under way."""

    def outcome(self) -> Outcome | None:
        """How it ended; ``None`` while it runs."""

    def end(self) -> None:
        """Ask it to end, then insist."""


class HelmRunner(Protocol):
    """What the operator wants of Helm."""

    def upgrade(self, values: Mapping[str, Any]) -> Running:
        """Begin to install or upgrade the release."""


@dataclass(frozen=True, slots=True)
class Helm:
    """The real one; ``kubeconfig`` is for a process outside of the cluster."""

    program: str
    chart: Path
    namespace: str
    home: Path
    kubeconfig: Path | None = None
    timeout: int = TIMEOUT

    def upgrade(self, values: Mapping[str, Any]) -> Process:
        """Begin; raises OSError if the program cannot be started."""
        command = [
            self.program,
            "upgrade",
            "--install",
            RELEASE,
            str(self.chart),
            f"--namespace={self.namespace}",
            "--values=-",
            "--reset-values",
            f"--history-max={HISTORY}",
            f"--timeout={self.timeout}s",
        ]
        return Process(command, json.dumps(values).encode(), self._environment())

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in FROM_THE_POD if name in os.environ}
        kept |= {"HOME": str(self.home), "HELM_CACHE_HOME": str(self.home), "HELM_CONFIG_HOME": str(self.home)}
        kept |= {"HELM_DATA_HOME": str(self.home)}
        return kept | ({"KUBECONFIG": str(self.kubeconfig)} if self.kubeconfig else {})


class Process:
    """Helm as a child. Its output goes to files without names, so that it never waits for a reader."""

    def __init__(self, command: Sequence[str], given: bytes, environment: Mapping[str, str]) -> None:
        self._ended: Outcome | None = None
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        with tempfile.TemporaryFile() as values:
            values.write(given)
            values.seek(0)
            self._child = subprocess.Popen(  # noqa: S603
                list(command), stdin=values, stdout=subprocess.DEVNULL, stderr=self._said, env=dict(environment)
            )

    def outcome(self) -> Outcome | None:
        """How it ended; ``None`` while it runs."""
        status = self._child.poll()
        if status is None:
            return None
        if self._ended is None:
            self._said.seek(0)
            text = self._said.read().decode(errors="replace")
            self._said.close()
            self._ended = failure(text, status) if status else Outcome()
        return self._ended

    def end(self) -> None:
        """Ask it to end, then insist."""
        self._child.terminate()
        try:
            self._child.wait(POLITE)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._said.close()


def failure(text: str, status: int) -> Outcome:
    """What Helm says in the end, without its warnings and the words that every error begins with."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    start = next((at for at, line in enumerate(lines) if line.startswith("Error:")), None)
    found = " ".join(lines[start:]) if start is not None else " ".join(lines[-3:])
    for words in ("Error: ", "UPGRADE FAILED: ", "INSTALLATION FAILED: "):
        found = found.removeprefix(words)
    if told := TOLD_BY_CHART.search(found):
        return Outcome(told[1][:2000], by_chart=True)
    return Outcome(found[:2000] or f"helm ended with status {status}")
