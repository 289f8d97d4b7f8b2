"""The registries that are measured: ours, CNCF distribution, any that already run on this machine; and nginx.

Ours gets the harder conditions: users, tokens, a permission question for every request. The others are open to
everybody. All keep an access log in a file, speak plain HTTP and write to an empty folder on the same disk. nginx
serves the same bytes as files from the same paths: it is what could be had at best, and no registry.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import bcrypt

from benchmarks import usage
from benchmarks.connection import Address

ROOT = Path(__file__).resolve().parents[1]
START_TIMEOUT = 30.0
LOOPBACK = ("127.0.0.1", "localhost")
RENEW = 120.0
"""Seconds after which a token is asked for anew; it lives for 300."""

_DISTRIBUTION = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: false}}}}
storage:
  filesystem: {{rootdirectory: {root}}}
  cache: {{blobdescriptor: inmemory}}
  delete: {{enabled: true}}
http: {{addr: {address}}}
"""

_NGINX = """\
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 2; {user}
events {{ worker_connections 2048; }}
http {{
  access_log {folder}/access.log; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 1000000000;
  open_file_cache max=1000; default_type application/octet-stream;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen {address}; root {folder}/files; }}
}}
"""


class Unavailable(Exception):
    """A registry cannot be measured; the text says why and what to do."""


@dataclass(slots=True)
class Server:
    """A server that answers."""

    name: str
    address: Address
    pid: int | None
    about: str = ""
    credentials: str = field(default="", repr=False)
    """``user:password``; with them every request of a workload carries a token."""
    files: Path | None = None
    """Where files are laid down for a server that only serves them."""
    _token: tuple[float, str] = field(default=(float("-inf"), ""), repr=False)

    def basic(self) -> list[tuple[str, str]]:
        """The header for preparing."""
        if not self.credentials:
            return []
        return [("Authorization", "Basic " + base64.b64encode(self.credentials.encode()).decode())]

    def bearer(self, *repositories: str) -> list[tuple[str, str]]:
        """The header for measuring, as clients get theirs: from the token endpoint, for a while."""
        if not self.credentials:
            return []
        if time.monotonic() - self._token[0] > RENEW:
            scopes = [f"repository:{repository}:pull,push" for repository in repositories]
            query = urlencode([("scope", scope) for scope in [*scopes, "registry:catalog:*"]])
            connection = http.client.HTTPConnection(self.address.host, self.address.port, timeout=10)
            connection.request("GET", f"/v2/token?{query}", headers=dict(self.basic()))
            self._token = (time.monotonic(), json.loads(connection.getresponse().read())["token"])
            connection.close()
        return [("Authorization", f"Bearer {self._token[1]}")]


@contextmanager
def ours(folder: Path, options: Sequence[str] = ()) -> Iterator[Server]:
    """``image-registry serve`` with an empty folder, a user and tokens."""
    command, address = Path(sys.executable).with_name("image-registry"), _free()
    password = secrets.token_urlsafe(16)
    users = folder / "users"
    users.touch(mode=0o600)
    users.write_text(f"bench:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n", encoding="utf-8")
    arguments = ["serve", "--root", str(folder / "data"), "--listen", f"{address.host}:{address.port}"]
    arguments += ["--auth", f"htpasswd:{users}", *options]
    with _running("image-registry", [str(command), *arguments], folder, address) as server:
        server.credentials = f"bench:{password}"
        server.about = "token and permission on every request; data and folder synced before a push is acknowledged"
        yield server


def distribution_program() -> Path:
    """CNCF distribution 3 from its Go module, compiled into the cache of the lab. Raises :class:`Unavailable`."""
    built = subprocess.run(
        ["nice", str(ROOT / "lab/lab"), "build", "distribution"], capture_output=True, text=True, check=False
    )
    if built.returncode:
        raise Unavailable(f"distribution cannot be compiled, measure with --no-distribution: {built.stderr[-500:]}")
    return Path(built.stdout.partition(": ")[0]) / "distribution"


@contextmanager
def distribution(folder: Path) -> Iterator[Server]:
    """CNCF distribution 3."""
    program = distribution_program()
    address, config = _free(), folder / "config.yml"
    config.write_text(_DISTRIBUTION.format(root=folder / "data", address=f"{address.host}:{address.port}"))
    version = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    with _running("distribution", [str(program), "serve", str(config)], folder, address) as server:
        server.about = f"{version}, no authentication; data synced"
        yield server


@contextmanager
def nginx(folder: Path) -> Iterator[Server]:
    """nginx with files where a registry has manifests and blobs."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/bin")
    if program is None:
        raise Unavailable("there is no nginx: apt-get install nginx, or measure with --no-nginx")
    address, config, files = _free(), folder / "nginx.conf", folder / "files"
    files.mkdir()
    user = "user root;" if folder.owner() == "root" else ""
    where = f"{address.host}:{address.port}"
    config.write_text(_NGINX.format(folder=folder, address=where, user=user), encoding="utf-8")
    (files / "v2").mkdir()
    (files / "v2/index.html").write_text("{}", encoding="utf-8")
    with _running("static files", [program, "-c", str(config), "-e", str(folder / "error.log")], folder, address) as it:
        it.files = files
        it.about = "nginx with two processes; no registry"
        yield it


STARTED: tuple[tuple[str, Callable[[Path], AbstractContextManager[Server]]], ...] = (
    ("own", ours),
    ("distribution", distribution),
    ("nginx", nginx),
)


def peer(text: str) -> Server:
    """A registry that runs already, written ``NAME=URL``."""
    name, _, url = text.partition("=")
    parts = urlsplit(url)
    if not name or parts.scheme != "http" or parts.hostname not in LOOPBACK:
        raise Unavailable(f"--peer {text!r}: write NAME=http://127.0.0.1:PORT (plain HTTP, on this machine)")
    address = Address("127.0.0.1", parts.port or 80)
    if not answers(address):
        raise Unavailable(f"--peer {name}: nothing answers http://{address.host}:{address.port}/v2/ with 200")
    return Server(name, address, usage.listening(address.port), "as it was started")


@contextmanager
def _running(name: str, command: Sequence[str], folder: Path, address: Address) -> Iterator[Server]:
    log = folder / "log"
    environment = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}  # distribution looks for a collector of traces
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder, env=environment
        )
    try:
        deadline = time.monotonic() + START_TIMEOUT
        while not answers(address):
            if process.poll() is not None or time.monotonic() > deadline:
                last = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
                raise Unavailable(f"{name} did not start ({' '.join(command)}); its last words:\n{last}")
            time.sleep(0.05)
        yield Server(name, address, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(address: Address) -> bool:
    """Whether a registry is there: open, or asking who calls."""
    connection = http.client.HTTPConnection(address.host, address.port, timeout=2)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status in (http.HTTPStatus.OK, http.HTTPStatus.UNAUTHORIZED)
    except OSError:
        return False
    finally:
        connection.close()


def _free() -> Address:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return Address("127.0.0.1", int(probe.getsockname()[1]))
