"""A connection that breaks once in the middle of a download: what "resume" has to live with."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PIECE = 1 << 16


class Cutter:
    """Hands bytes on to ``target`` and back; the first connection that brings more than ``after`` bytes is cut."""

    def __init__(self, target: str, after: int) -> None:
        self._target = target.rpartition(":")
        self._left = after
        self._lock = threading.Lock()
        self.cut = False
        self.brought = 0
        """Bytes that came from the registry, over all connections."""
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def serve(self) -> None:
        """Until :meth:`close`."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection((self._target[0], int(self._target[2])))
                self._open += (client, server)
                for source, sink, back in ((client, server, False), (server, client, True)):
                    self._start(source, sink, back)

    def close(self) -> None:
        """End every connection."""
        for end in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for end in (self._listener, *self._open):
            end.close()

    def _start(self, source: socket.socket, sink: socket.socket, back: bool) -> None:
        thread = threading.Thread(target=self._hand_on, args=(source, sink, back), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _hand_on(self, source: socket.socket, sink: socket.socket, back: bool) -> None:
        carried = 0
        with contextlib.suppress(OSError):
            while data := source.recv(PIECE):
                sink.sendall(data)
                carried += len(data)
                if back and self._breaks(len(data), carried):
                    break
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _breaks(self, length: int, carried: int) -> bool:
        with self._lock:
            self.brought += length
            if self.cut or carried < self._left:
                return False
            self.cut = True
            return True


@contextmanager
def cutting(target: str, after: int) -> Iterator[Cutter]:
    """A :class:`Cutter` on a port of its own."""
    cutter = Cutter(target, after)
    thread = threading.Thread(target=cutter.serve, daemon=True)
    thread.start()
    try:
        yield cutter
    finally:
        cutter.close()
        thread.join(5)
