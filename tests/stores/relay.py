"""What stands between the registry and a store, and breaks what a test tells it to break."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress


class Relay:
    """Passes connections on to ``target``; a test says what happens to the next ones."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = "{}:{}".format(*self._listening.getsockname()[:2])
        self.answers: list[bytes] = []
        """Answers that are given in place of the store's, one to each request."""
        self.always: bytes | None = None
        """An answer that is given to every request."""
        self.silent = False
        self.cut_after: int | None = None
        """Bytes of answers after which connections break, over all connections."""
        self.requests = 0
        self.heads: list[bytes] = []
        """How each request began."""
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.create_connection(self._target) as store:
            threading.Thread(target=self._back, args=(store, client), daemon=True).start()
            while data := client.recv(65536):
                if data[:4] in (b"GET ", b"PUT ", b"HEAD", b"POST", b"DELE"):
                    self.requests += 1
                    self.heads.append(data[:4096])
                    if self.silent:
                        time.sleep(5)
                        return
                    answer = self.always or (self.answers.pop(0) if self.answers else None)
                    if answer is not None:
                        client.sendall(answer)
                        return
                store.sendall(data)

    def _back(self, store: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := store.recv(65536):
                if self.cut_after is not None:
                    self.cut_after -= len(data)
                    if self.cut_after < 0:
                        self.cut_after = None
                        client.shutdown(socket.SHUT_RDWR)
                        return
                client.sendall(data)
