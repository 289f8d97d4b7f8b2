"""A client that costs little: prepared bytes out, status and length in, bodies discarded by the kernel.

An HTTP library would be measured along with the server. Only what registries on loopback answer is understood: one
request at a time on a kept connection, answers with a Content-Length. Everything else is a :class:`Failure`, and a
failure makes a figure invalid; it is never counted as speed.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass

_HEAD_END = b"\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_LOCATION = re.compile(rb"\r\nlocation: *(\S+)", re.IGNORECASE)
_BLOCK = 1 << 20
TIMEOUT = 60.0
"""Seconds without any byte until a server counts as stuck."""


class Failure(Exception):
    """The server did not do what was asked; the text says what came instead."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a registry listens, on this machine."""

    host: str
    port: int

    def request(self, method: str, target: str, headers: Sequence[tuple[str, str]] = ()) -> bytes:
        """The head of one request as bytes."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self.host}:{self.port}"]
        lines += [f"{name}: {value}" for name, value in headers]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a workload looks at."""

    status: int
    length: int
    location: str
    body: bytes


class Connection:
    """One kept connection."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.socket = socket.create_connection((address.host, address.port), TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        """Hang up."""
        self.socket.close()

    def exchange(
        self, head: bytes, bodies: Sequence[bytes | memoryview] = (), *, keep: bool = False, bodiless: bool = False
    ) -> Answer:
        """Send one request and read its answer; the body is kept only if ``keep``."""
        self.socket.sendall(head)
        for body in bodies:
            self.socket.sendall(body)
        received = b""
        while (end := received.find(_HEAD_END)) < 0:
            received += self._receive()
        answer, rest = received[: end + 2], received[end + 4 :]
        status, length = _STATUS.match(answer), _LENGTH.search(answer)
        if status is None or (length is None and int(status[1]) not in (204, 304)):
            raise Failure(f"an answer without status or length: {answer[:200]!r}")
        expected = int(length[1]) if length and not bodiless else 0
        content = self._read(rest, expected) if keep else b""
        if not keep:
            self._discard(expected - len(rest))
        location = _LOCATION.search(answer)
        return Answer(int(status[1]), expected, location[1].decode() if location else "", content)

    def ask(
        self,
        method: str,
        target: str,
        expected: int,
        *,
        bodies: Sequence[bytes | memoryview] = (),
        content_type: str = "",
    ) -> Answer:
        """One request whose answer must have the status ``expected``."""
        size = sum(memoryview(body).nbytes for body in bodies)
        headers = [] if method in ("GET", "HEAD") else [("Content-Length", str(size))]
        if content_type:
            headers.append(("Content-Type", content_type))
        head = self.address.request(method, target, headers)
        answer = self.exchange(head, bodies, keep=True, bodiless=method == "HEAD")
        if answer.status != expected:
            raise Failure(f"{method} {target}: {answer.status} instead of {expected}: {answer.body[:300]!r}")
        return answer

    def _receive(self) -> bytes:
        block = self.socket.recv(65536)
        if not block:
            raise Failure("the server closed the connection in the middle of an answer")
        return block

    def _read(self, start: bytes, length: int) -> bytes:
        content = bytearray(start)
        while len(content) < length:
            content += self._receive()
        return bytes(content)

    def _discard(self, remaining: int) -> None:
        """Take bytes off the socket without copying them to this process (Linux: MSG_TRUNC)."""
        scrap = bytearray(_BLOCK)
        while remaining > 0:
            taken = self.socket.recv_into(scrap, min(remaining, _BLOCK), socket.MSG_TRUNC)
            if not taken:
                raise Failure(f"the server closed the connection with {remaining} bytes to go")
            remaining -= taken
        if remaining < 0:
            raise Failure(f"{-remaining} bytes more than the answer announced")
