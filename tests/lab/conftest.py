"""What the tests of a running lab share: the lab's own command, and a namespace that is gone afterwards."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

LAB = Path(__file__).resolve().parents[2] / "lab/lab"

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def lab() -> Command:
    """Runs a command of the lab; a failure shows what it said."""

    def run(*arguments: str, text: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([LAB, *arguments], input=text, capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0 or not check, f"{' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done

    return run


@pytest.fixture(scope="session")
def running(lab: Command) -> dict[str, Any]:
    """The status of the running lab."""
    done = lab("status", "-o", "json", check=False)
    if done.returncode:
        pytest.fail(f"the lab does not run; start it with `make lab`\n{done.stdout}{done.stderr}", pytrace=False)
    status: dict[str, Any] = json.loads(done.stdout)
    return status


@pytest.fixture
def namespace(lab: Command, running: dict[str, Any]) -> Iterator[str]:
    """A namespace of one test."""
    assert running["running"]
    name = f"lab-{uuid.uuid4().hex[:8]}"
    lab("kubectl", "create", "namespace", name)
    yield name
    lab("kubectl", "delete", "namespace", name, "--wait=false")
