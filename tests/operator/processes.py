"""``image-registry operator`` as a process beside a real kube-apiserver."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

import pytest
import urllib3

from tests.operator.conftest import NAMESPACE, ROOT, ApiServer, free_port, program

PATIENCE = 40.0


class Process:
    """One replica of the operator."""

    def __init__(
        self,
        operator: ApiServer,
        folder: Path,
        name: str,
        more: Sequence[str] = (),
        told: Mapping[str, str] | None = None,
    ) -> None:
        self.port = free_port()
        self.log = folder / f"{name}.log"
        command = [Path(sys.executable).with_name("image-registry"), "operator", f"--namespace={NAMESPACE}"]
        command += [f"--kubeconfig={operator.kubeconfig}", f"--chart={ROOT / 'charts/image-registry'}"]
        command += [f"--helm={program('helm')}", f"--home={folder / name}", f"--listen=127.0.0.1:{self.port}", *more]
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **(told or {})})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait(10)

    def asked(self, path: str) -> tuple[int, str]:
        answer = urllib3.request("GET", f"http://127.0.0.1:{self.port}{path}", retries=False, timeout=5)
        return answer.status, answer.data.decode()

    def answers(self) -> bool:
        try:
            return self.asked("/readyz") == (200, "ok\n")
        except urllib3.exceptions.HTTPError:
            return False

    def leads(self) -> bool:
        try:
            return "image_registry_operator_leader 1.0" in self.asked("/metrics")[1]
        except urllib3.exceptions.HTTPError:
            return False


def until(true: Callable[[], bool], what: str, *processes: Process) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            pytest.fail(f"not {what}: " + "\n".join(one.log.read_text()[-2000:] for one in processes))
        time.sleep(0.1)
