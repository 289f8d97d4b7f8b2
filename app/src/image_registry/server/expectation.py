"""``Expect: 100-continue`` means what it says: the client is told to go on once somebody wants the body.

gunicorn says "go on" before it asks the application, so a client would send gigabytes to a refusal. Here the word is
given when the application first reads, which it does after it has decided about the caller. A request that is refused
before that is answered at once and its connection ends: nobody can tell whether the body still comes
(RFC 9110 section 10.1.1).
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"


def defer(request: Any, connection: socket.socket) -> None:
    """Take the promise over from gunicorn; ``request`` is one of its own, fresh from the parser."""
    if getattr(request, "_expected_100_continue", False):
        request._expected_100_continue = False  # noqa: SLF001 - its only switch
        request.body = AwaitedBody(request, connection)


class AwaitedBody:
    """The body of a request whose client waits for a word; until it is given the connection cannot be kept."""

    def __init__(self, request: Any, connection: socket.socket) -> None:
        self._request = request
        self._body = request.body
        self._connection = connection
        self._ends_anyway = request.must_close
        self._asked = False
        request.must_close = True

    def read(self, size: int | None = None) -> bytes:
        self._ask()
        data: bytes = self._body.read(size)
        return data

    def readline(self, size: int | None = None) -> bytes:
        self._ask()
        line: bytes = self._body.readline(size)
        return line

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline():
            yield line

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)  # what gunicorn notes about the body, such as that it is broken

    def _ask(self) -> None:
        if not self._asked:
            self._asked = True
            self._request.must_close = self._ends_anyway
            self._connection.sendall(GO_ON)
