"""The registries that are measured: ours, Debian's docker-registry, and any that already run on this machine.

The two that are started get the same conditions: no authentication, plain HTTP, an empty folder on the same disk, an
access log written to a file. Debian 12 carries an old distribution (2.8); for newer ones pass ``--peer NAME=URL``.
"""

from __future__ import annotations

import http.client
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.connection import Address

START_TIMEOUT = 30.0
LOOPBACK = ("127.0.0.1", "localhost")

_DISTRIBUTION = """\
version: 0.1
log: {{level: info, accesslog: {{disabled: false}}}}
storage:
  filesystem: {{rootdirectory: {root}}}
  cache: {{blobdescriptor: inmemory}}
  delete: {{enabled: true}}
http: {{addr: {address}}}
"""


class Unavailable(Exception):
    """A registry cannot be measured; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Server:
    """A registry that answers."""

    name: str
    address: Address


@contextmanager
def ours(folder: Path, *, program: Path | None = None) -> Iterator[Server]:
    """``image-registry serve`` with an empty folder."""
    command = program or Path(sys.executable).with_name("image-registry")
    address = _free()
    arguments = ["serve", "--root", str(folder / "data"), "--listen", f"{address.host}:{address.port}"]
    with _running("image-registry", [str(command), *arguments], folder, address) as server:
        yield server


@contextmanager
def debian(folder: Path) -> Iterator[Server]:
    """The ``docker-registry`` of Debian's package of that name."""
    program = shutil.which("docker-registry")
    if program is None:
        raise Unavailable("there is no docker-registry: apt-get install docker-registry, or measure with --no-debian")
    address = _free()
    config = folder / "config.yml"
    config.write_text(_DISTRIBUTION.format(root=folder / "data", address=f"{address.host}:{address.port}"))
    with _running("docker-registry", [program, "serve", str(config)], folder, address) as server:
        yield server


def peer(text: str) -> Server:
    """A registry that runs already, written ``NAME=URL``."""
    name, _, url = text.partition("=")
    parts = urlsplit(url)
    if not name or parts.scheme != "http" or parts.hostname not in LOOPBACK:
        raise Unavailable(f"--peer {text!r}: write NAME=http://127.0.0.1:PORT (plain HTTP, on this machine)")
    server = Server(name, Address(parts.hostname, parts.port or 80))
    if not _answers(server.address):
        raise Unavailable(
            f"--peer {name}: nothing answers http://{server.address.host}:{server.address.port}/v2/ with 200"
        )
    return server


@contextmanager
def _running(name: str, command: Sequence[str], folder: Path, address: Address) -> Iterator[Server]:
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder)
    try:
        deadline = time.monotonic() + START_TIMEOUT
        while not _answers(address):
            if process.poll() is not None or time.monotonic() > deadline:
                last = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
                raise Unavailable(f"{name} did not start ({' '.join(command)}); its last words:\n{last}")
            time.sleep(0.05)
        yield Server(name, address)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(address: Address) -> bool:
    connection = http.client.HTTPConnection(address.host, address.port, timeout=2)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def _free() -> Address:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return Address("127.0.0.1", int(probe.getsockname()[1]))
