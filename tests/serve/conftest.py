"""A real registry process, and real clients that must be installed: a missing one fails, it is not skipped."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from image_registry_lab import places

CACHE = places.cache()

HANGS = 180
"""Seconds after which something that is waited for hangs: one that has ended is noticed at once, and on a machine that
runs much else a registry takes more than half a minute to start."""


@dataclass(frozen=True)
class Served:
    """A running registry; ``host`` is HOST:PORT."""

    host: str
    root: Path
    pid: int


def free_port() -> int:
    """A port of the loopback address that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def program(name: str, cure: str) -> str:
    """The path of a client; fails with the cure."""
    found = shutil.which(name, path=f"{CACHE / 'bin'}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        pytest.fail(f"{name} is needed by this test: {cure}")
    return found


def wait_for_port(host: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until something listens; fails with the log when the process ends first."""
    address, _, port = host.rpartition(":")
    deadline = time.monotonic() + HANGS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"the server ended: {log.read_text(encoding='utf-8')[-2000:]}")
        with socket.socket() as probe:
            if probe.connect_ex((address, int(port))) == 0:
                return
        time.sleep(0.05)
    pytest.fail(f"nothing listens at {host} after {HANGS} s: {log.read_text(encoding='utf-8')[-2000:]}")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """``image-registry serve`` without authentication."""
    yield from serve(tmp_path, "--auth", "none")


def serve(folder: Path, *options: str) -> Generator[Served, None, None]:
    """Run the command as a user would, and stop it as an init system would."""
    host, root, log = f"127.0.0.1:{free_port()}", folder / "registry", folder / "serve.log"
    command = [str(Path(sys.executable).parent / "image-registry"), "serve", "--root", str(root), "--listen", host]
    with log.open("wb") as output:
        process = subprocess.Popen([*command, *options], stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_for_port(host, process, log)
        yield Served(host, root, process.pid)
    finally:
        process.terminate()
        process.wait(40)


def run(*command: str | Path, env: dict[str, str] | None = None, stdin: str | None = None) -> str:
    """Run a client; its output, or a failure that shows it."""
    done = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **(env or {})},
        input=stdin,
        text=True,
        capture_output=True,
        timeout=HANGS,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"{command[0]} ended with {done.returncode}:\n{done.stdout[-1500:]}{done.stderr[-1500:]}")
    return done.stdout
