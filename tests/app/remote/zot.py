"""zot as a place to copy images from and to: a registry of OCI media types alone, that lists referrers itself.

It takes minutes to compile, and a gigabyte of modules, so it is not built here: whoever has one names it by ``$ZOT``,
and everybody else runs the same tests without it.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bcrypt
import pytest

from tests.serve.conftest import free_port, wait_for_port

PROGRAM = os.environ.get("ZOT", "")
needed = pytest.mark.skipif(not PROGRAM, reason="$ZOT names no zot")


@contextmanager
def zot(folder: Path, *, user: str = "", password: str = "") -> Iterator[str]:
    """``host:port`` of an empty one, open to all or to one user."""
    host = f"127.0.0.1:{free_port()}"
    address, _, port = host.rpartition(":")
    http: dict[str, object] = {"address": address, "port": port}
    if user:
        users = folder / "users"
        users.write_text(f"{user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(5)).decode()}\n", encoding="utf-8")
        http["auth"] = {"htpasswd": {"path": str(users)}, "failDelay": 0}
    document = {
        "distSpecVersion": "1.1.1",
        "storage": {"rootDirectory": str(folder / "data"), "dedupe": True, "gc": False},
        "http": http,
        "log": {"level": "error", "output": str(folder / "zot.log")},
    }
    config, log = folder / "zot.json", folder / "output"
    config.write_text(json.dumps(document), encoding="ascii")
    with log.open("wb") as output:
        process = subprocess.Popen([PROGRAM, "serve", str(config)], stdout=output, stderr=output)
    try:
        wait_for_port(host, process, log)
        yield host
    finally:
        process.terminate()
        process.wait(20)
