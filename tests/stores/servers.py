"""Real object stores on the loopback address, each from a pinned program, with generated credentials.

What they serve lies in the folder they are given. The programs are built once, outside of the repository, by
``lab/lab build stores``; a missing one fails the test and names that command.
"""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from image_registry.storage.choice import S3, Filesystem, Storage
from image_registry_lab import places
from tests.serve.conftest import free_port, wait_for_port

CURE = "run `lab/lab build stores`"
BUCKET = "images"


def program(name: str) -> str:
    """The path of a store's program; fails with the cure."""
    found = places.Places(places.cache()).programs / name
    if not found.exists():
        pytest.fail(f"{name} is needed by this test: {CURE}")
    return str(found)


@contextmanager
def running(command: list[str], host: str, log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server from when it listens until it has ended."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env={"PATH": os.environ["PATH"], **environment}
        )
    try:
        wait_for_port(host, process, log)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


@contextmanager
def filesystem(folder: Path) -> Iterator[Storage]:
    """A folder."""
    yield Filesystem(rootdirectory=folder / "registry")


@contextmanager
def s3(folder: Path, *options: str, scheme: str = "http") -> Iterator[S3]:
    """versitygw on a folder."""
    host, served = f"127.0.0.1:{free_port()}", folder / "s3"
    (served / BUCKET).mkdir(parents=True)
    access, secret = secrets.token_hex(10), secrets.token_hex(20)
    command = [program("versitygw"), "--port", host, "--keep-alive", *options, "posix", str(served)]
    keys = {"ROOT_ACCESS_KEY": access, "ROOT_SECRET_KEY": secret}
    with running(command, host, folder / "s3.log", **keys):
        yield S3(
            bucket=BUCKET,
            regionendpoint=f"{scheme}://{host}",
            rootdirectory="some/where",
            accesskey=access,
            secretkey=secret,
            chunksize=5 << 20,
        )
