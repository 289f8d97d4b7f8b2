"""A named fake of the network between us and a registry: it passes requests on, and breaks what a test says."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.clients.certificates import Certificates

HOP = {"connection", "transfer-encoding", "keep-alive", "content-length", "date", "server"}


@dataclass
class Fault:
    """What happens to one request whose path contains ``where``; it happens once unless ``always``."""

    where: str = ""
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: int | None = None
    """Bytes of the body after which the connection ends."""
    change: bool = False
    """Flip a bit of the body's first byte."""
    always: bool = False
    method: str = ""
    taken: int | None = None
    """Bytes of the request's body that are passed on before both connections end."""


@dataclass
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]


class FaultingProxy:
    """Between a client and ``target``, which is ``HOST:PORT`` without TLS."""

    def __init__(self, target: str, certificates: Certificates | None = None, address: str = "127.0.0.1") -> None:
        self.target = target
        self.faults: list[Fault] = []
        self.seen: list[Seen] = []
        self.received = 0
        """Bytes of bodies that clients sent."""
        self.waiting = self.most_waiting = 0
        """Requests that wait for the target's answer, and the most there were at once."""
        self.lock = threading.Lock()
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = ThreadingHTTPServer((address, 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self.host = f"{address}:{self.port}"
        if certificates is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificates.certificate, certificates.key)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def asked(self, part: str = "") -> list[Seen]:
        """Requests so far whose path contains ``part``."""
        return [entry for entry in self.seen if part in entry.path]

    def take(self, method: str, path: str) -> Fault | None:
        """The fault for this request."""
        with self.lock:
            for fault in self.faults:
                if fault.where in path and fault.method in ("", method):
                    if not fault.always:
                        self.faults.remove(fault)
                    return fault
        return None

    def note_waiting(self, change: int) -> None:
        """One request more or less; it is over before its answer is sent, so that none is counted too long."""
        with self.lock:
            self.waiting += change
            self.most_waiting = max(self.waiting, self.most_waiting)

    @contextmanager
    def running(self) -> Iterator[FaultingProxy]:
        """Serve until the end."""
        self._thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._thread.join(10)
            self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    owner: FaultingProxy
    protocol_version = "HTTP/1.1"
    timeout = 20

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named so by the library
        """Say nothing."""

    def handle(self) -> None:
        """As a server does that knows TLS when it sees it: some clients try it first."""
        if isinstance(self.connection, ssl.SSLSocket) or self.connection.recv(1, socket.MSG_PEEK) != b"\x16":
            super().handle()

    def do_GET(self) -> None:
        owner = self.owner
        owner.seen.append(Seen(self.command, self.path, {key.lower(): value for key, value in self.headers.items()}))
        fault = owner.take(self.command, self.path) or Fault()
        length = int(self.headers.get("Content-Length", "0") or 0)
        if fault.taken is not None:
            return self._break_off(self.rfile.read(fault.taken))
        sent = self.rfile.read(length)
        if len(sent) < length:  # the client is gone
            return self._break_off(sent)
        owner.received += len(sent)
        if fault.status:
            return self._answer(fault.status, list(fault.headers.items()), fault.body, fault)
        upstream = http.client.HTTPConnection(owner.target, timeout=20)
        owner.note_waiting(1)
        try:
            upstream.request(self.command, self.path, sent, dict(self.headers.items()))
            answer = upstream.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            return self._answer(502, [], b"", fault)
        finally:
            owner.note_waiting(-1)
            upstream.close()
        headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in HOP]
        if self.command == "HEAD":
            body = b"\0" * int(answer.getheader("Content-Length", "0") or 0)
        return self._answer(answer.status, headers, body, fault)

    do_HEAD = do_GET  # noqa: N815 - named so by the library
    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def _break_off(self, sent: bytes) -> None:
        """Pass on what was read as the beginning of more, and be gone."""
        self.owner.received += len(sent)
        upstream = http.client.HTTPConnection(self.owner.target, timeout=20)
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            upstream.putheader(name, value)
        upstream.endheaders()
        upstream.send(sent)
        upstream.close()
        self.close_connection = True

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes, fault: Fault) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault.change and body:
            body = bytes([body[0] ^ 1]) + body[1:]
        with suppress(OSError):
            if fault.cut is not None:
                self.wfile.write(body[: fault.cut])
                self.wfile.flush()
                self.close_connection = True
                return
            self.wfile.write(body)
