"""The front proxy's side of the connections: one that asks and waits, and many that watch, on one loop."""

from __future__ import annotations

import gzip
import http.client
import json
import selectors
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from benchmarks.connection import Failure

ROOT = "/apis/image.alauda.io/v1"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
METADATA = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json"
CALLER = {"X-Remote-User": "bench", "X-Remote-Group": "system:authenticated", "User-Agent": "bench/1.0"}
PATIENCE = 60.0


class Client:
    """One kept connection."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self._connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=PATIENCE, context=context)
        self._connection.connect()
        self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get(self, path: str, accept: str = "application/json") -> tuple[float, bytes, bool]:
        """Seconds until all of the answer was there, its body and whether that is compressed."""
        headers = {**CALLER, "Accept": accept, "Accept-Encoding": "gzip"}
        began = time.perf_counter()
        self._connection.request("GET", ROOT + path, headers=headers)
        answer = self._connection.getresponse()
        body = answer.read()
        taken = time.perf_counter() - began
        if answer.status != http.HTTPStatus.OK:
            raise Failure(f"GET {path}: {answer.status} {body[:300]!r}")
        return taken, body, answer.getheader("Content-Encoding") == "gzip"

    def document(self, path: str, accept: str = "application/json") -> dict[str, Any]:
        """The answer, read."""
        _, body, compressed = self.get(path, accept)
        found: dict[str, Any] = json.loads(gzip.decompress(body) if compressed else body)
        return found

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


@dataclass(slots=True)
class _Watching:
    socket: ssl.SSLSocket
    seen: bytearray = field(default_factory=bytearray)
    heard: float = 0.0


class Watches:
    """Several open watches; :meth:`after` says when each of them heard of a change."""

    def __init__(self, port: int, context: ssl.SSLContext, paths: Sequence[tuple[str, str]]) -> None:
        """``paths`` with the ``Accept`` of each."""
        self._watching: list[_Watching] = []
        self._selector = selectors.DefaultSelector()
        try:
            for path, accept in paths:
                self._watching.append(_Watching(self._opened(port, context, path, accept)))
            for watching in self._watching:
                watching.socket.settimeout(0.0)
                self._selector.register(watching.socket, selectors.EVENT_READ, watching)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        for watching in self._watching:
            watching.socket.close()
        self._selector.close()

    def after(self, change: Callable[[], None], mark: bytes) -> list[float]:
        """Make a change; the seconds from its commit until each has read a whole line with ``mark``."""
        for watching in self._watching:
            watching.heard = 0.0
            watching.seen.clear()
        change()
        began = time.perf_counter()
        deadline = began + PATIENCE
        left = len(self._watching)
        while left:
            for key, _ in self._selector.select(max(deadline - time.perf_counter(), 0)):
                left -= self._read(key.data, mark)
            if time.perf_counter() > deadline:
                raise Failure(f"{left} of {len(self._watching)} watches heard nothing for {PATIENCE:.0f} s")
        return [watching.heard - began for watching in self._watching]

    @staticmethod
    def _read(watching: _Watching, mark: bytes) -> bool:
        """Take what is there; true when that made the line whole."""
        try:
            while True:
                data = watching.socket.recv(1 << 18)
                if not data:
                    raise Failure("a watch ended")
                watching.seen += data
        except (ssl.SSLWantReadError, BlockingIOError):
            pass
        if watching.heard:
            return False
        found = watching.seen.find(mark)
        if found < 0 or watching.seen.find(b"\n\r\n", found) < 0:  # the end of a line is that of its chunk
            return False
        watching.heard = time.perf_counter()
        return True

    @staticmethod
    def _opened(port: int, context: ssl.SSLContext, path: str, accept: str) -> ssl.SSLSocket:
        lines = [f"GET {ROOT}{path} HTTP/1.1", "Host: 127.0.0.1", f"Accept: {accept}"]
        lines += [f"{name}: {value}" for name, value in CALLER.items()]
        plain = socket.create_connection(("127.0.0.1", port), PATIENCE)
        try:
            opened = context.wrap_socket(plain, server_hostname="127.0.0.1")
            opened.sendall("\r\n".join([*lines, "", ""]).encode())
            _begun(opened, path)
        except BaseException:
            plain.close()
            raise
        return opened


def _begun(opened: ssl.SSLSocket, path: str) -> None:
    """Wait for the head of the answer."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = opened.recv(4096)
        if not piece:
            break
        head += piece
    if not head.startswith(b"HTTP/1.1 200"):
        raise Failure(f"the watch of {path} was not begun: {head[:300]!r}")
