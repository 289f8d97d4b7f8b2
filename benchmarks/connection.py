"""A client that costs little: prepared bytes out, status and length in, bodies discarded by the kernel.

An HTTP library would be measured along with the server. Only what registries on loopback answer is understood: one
request at a time on a kept connection, answers with a Content-Length. Everything else is a :class:`Failure`, and a
failure makes a figure invalid; it is never counted as speed.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Generator, Sequence
from dataclasses import dataclass

HEAD_END = b"\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_LOCATION = re.compile(rb"\r\nlocation: *(\S+)", re.IGNORECASE)
_BLOCK = 1 << 20
TIMEOUT = 60.0
"""Seconds without any byte until a server counts as stuck."""

Headers = Sequence[tuple[str, str]]
Buffer = bytes | memoryview


class Failure(Exception):
    """The server did not do what was asked; the text says what came instead."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a registry listens, on this machine."""

    host: str
    port: int

    def request(self, method: str, target: str, headers: Headers = ()) -> bytes:
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
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request and what must come back; ``length`` is checked when it is given."""

    head: bytes
    expected: int
    bodies: Sequence[Buffer] = ()
    length: int | None = None
    bodiless: bool = False
    keep: bool = False
    upto: int | None = None
    """Read only so many bytes of the body and hang up, as clients that fetch a layer in slices do."""


Operation = Generator[Ask, Answer, None]
"""What a client does from beginning to end: it yields requests and is sent their answers."""


def read_head(received: bytes | bytearray, end: int, ask: Ask) -> Answer:
    """The answer whose head ends at ``end``; raises :class:`Failure` for one that is not understood."""
    head = bytes(received[: end + 2])
    status, length = _STATUS.match(head), _LENGTH.search(head)
    if status is None or (length is None and int(status[1]) not in (204, 304) and not ask.bodiless):
        raise Failure(f"an answer without status or length: {head[:200]!r}")
    location = _LOCATION.search(head)
    size = int(length[1]) if length else 0
    return Answer(int(status[1]), size, location[1].decode() if location else "")


def check(ask: Ask, answer: Answer) -> None:
    """Raise :class:`Failure` unless this is what was expected."""
    if answer.status != ask.expected:
        asked = ask.head.split(b" HTTP", 1)[0].decode()
        raise Failure(f"{asked}: {answer.status} instead of {ask.expected}: {answer.body[:300]!r}")
    if ask.length is not None and answer.length != ask.length:
        asked = ask.head.split(b" HTTP", 1)[0].decode()
        raise Failure(f"{asked}: {answer.length} bytes instead of {ask.length}")


class Connection:
    """One kept connection, for one thread."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.socket = self._open()

    def close(self) -> None:
        """Hang up."""
        self.socket.close()

    def run(self, operation: Operation) -> None:
        """One operation from beginning to end."""
        try:
            ask = next(operation)
            while True:
                ask = operation.send(self.ask(ask))
        except StopIteration:
            return

    def ask(self, ask: Ask) -> Answer:
        """Send one request, read its answer and check it."""
        self.socket.sendall(ask.head)
        for body in ask.bodies:
            self.socket.sendall(body)
        received = b""
        while (end := received.find(HEAD_END)) < 0:
            received += self._receive()
        answer, rest = read_head(received, end, ask), received[end + 4 :]
        expected = 0 if ask.bodiless else answer.length
        if ask.upto is not None:
            self._discard(min(ask.upto, expected) - len(rest))
            self.socket.close()
            self.socket = self._open()
        elif ask.keep or answer.status != ask.expected:
            answer = Answer(answer.status, answer.length, answer.location, self._read(rest, expected))
        else:
            self._discard(expected - len(rest))
        check(ask, answer)
        return answer

    def _open(self) -> socket.socket:
        opened = socket.create_connection((self.address.host, self.address.port), TIMEOUT)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return opened

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
        scrap = bytearray(min(_BLOCK, max(remaining, 1)))
        while remaining > 0:
            taken = self.socket.recv_into(scrap, min(remaining, len(scrap)), socket.MSG_TRUNC)
            if not taken:
                raise Failure(f"the server closed the connection with {remaining} bytes to go")
            remaining -= taken
        if remaining < 0 and remaining > -65536:
            raise Failure(f"{-remaining} bytes more than the answer announced")
