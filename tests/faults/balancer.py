"""A tiny TCP balancer, as a Service is one: new connections go to replicas in turn, old ones stay where they are."""

from __future__ import annotations

import itertools
import socket
import threading
from contextlib import suppress

_PIECE = 1 << 16


class Balancer:
    """Listens on a port of its own until :meth:`close`; who is in rotation is said by its user."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._backends: list[str] = []
        self._turn = itertools.count()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def add(self, host: str) -> None:
        with self._lock:
            self._backends.append(host)

    def drain(self, host: str) -> None:
        """Nothing new goes there, as after the endpoint of a Pod that ends is removed."""
        with self._lock:
            self._backends.remove(host)

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with self._lock:
                    backend = self._backends[next(self._turn) % len(self._backends)]
                threading.Thread(target=self._join, args=(client, backend), daemon=True).start()

    @staticmethod
    def _join(client: socket.socket, backend: str) -> None:
        address, _, port = backend.rpartition(":")
        with client, socket.create_connection((address, int(port))) as server:
            back = threading.Thread(target=_copy, args=(server, client), daemon=True)
            back.start()
            _copy(client, server)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(_PIECE):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
