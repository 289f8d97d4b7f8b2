"""A real, tiny proxy of the kind that stands between clusters and the internet: CONNECT, and plain requests.

Its names are its own: ``places`` says where a host is, which nobody else has to know.
"""

from __future__ import annotations

import base64
import http.client
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

SIZE = 1 << 16


@dataclass
class EgressProxy:
    """``places`` maps ``host:port`` to ``host:port``; with a user it wants credentials."""

    places: Mapping[str, str]
    user: str = ""
    password: str = field(default="", repr=False)
    refuse: int = 0
    """A status with which it refuses every request."""
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    """Method, target and headers of each request."""
    address: str = "127.0.0.1"
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}"

    @contextmanager
    def running(self) -> Iterator[EgressProxy]:
        """Serve until the end."""
        proxy = self

        class Handler(_Handler):
            owner = proxy

        server = ThreadingHTTPServer((self.address, self.port), Handler)
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.port = int(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join(10)
            server.server_close()

    def status(self, headers: Mapping[str, str]) -> int:
        """How it refuses a request; 0 if it does not."""
        wanted = "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        if self.user and headers.get("proxy-authorization") != wanted:
            return 407
        return self.refuse


class _Handler(BaseHTTPRequestHandler):
    owner: EgressProxy
    protocol_version = "HTTP/1.1"
    timeout = 20

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named so by the library
        """Say nothing."""

    def _enter(self, target: str) -> str | None:
        """Where the target is; ``None`` if the request was refused."""
        headers = {key.lower(): value for key, value in self.headers.items()}
        self.owner.seen.append((self.command, target, headers))
        status = self.owner.status(headers) or (0 if target in self.owner.places else 502)
        if status:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            return None
        return self.owner.places[target]

    def do_CONNECT(self) -> None:
        place = self._enter(self.path)
        if place is None:
            return
        host, _, port = place.rpartition(":")
        with socket.create_connection((host, int(port)), 20) as there:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=_pass, args=(there, self.connection), daemon=True)
            back.start()
            _pass(self.connection, there)
            back.join(20)
        self.close_connection = True

    def do_GET(self) -> None:
        """Any request without TLS."""
        parts = urlsplit(self.path)
        place = self._enter(parts.netloc if ":" in parts.netloc else f"{parts.netloc}:80")
        if place is None:
            return
        there = http.client.HTTPConnection(place, timeout=20)
        kept = ("proxy-authorization", "expect")
        headers = {name: value for name, value in self.headers.items() if name.lower() not in kept}
        target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        there.request(self.command, target, body or None, headers)
        answer = there.getresponse()
        said = answer.read()
        there.close()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "content-length", "date", "server"):
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(said))
        if length is not None:
            self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(said)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815 - named so by the library


def _pass(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(SIZE):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
