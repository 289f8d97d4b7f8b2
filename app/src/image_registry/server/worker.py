"""gunicorn's thread worker with a patience that ends.

A thread serves one connection at a time and, as gunicorn makes it, waits for ever: for the rest of a TLS handshake, of
a head or of a body, and for a reader that does not read. A few dozen clients that fall silent would take the registry
out of service. Here every wait for the network ends; what a client sends or takes slowly, but does send or take, goes
on.

The end of a connection waits too, so that the last answer is not cut off by a reset while the client still sends.
gunicorn does that in the one thread that accepts connections, for two seconds each; here it is done in the thread that
served the connection, and only while something comes.
"""

from __future__ import annotations

import logging
import socket
import ssl
import time
from contextlib import suppress
from typing import Any

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

FIRST_PATIENCE = 10.0
"""Seconds without a byte of a handshake or a head: clients send both in one go."""

PATIENCE = 60.0
"""Seconds without a byte of a body in either direction: clients look things up in between, disks are slow."""

FAREWELL, SILENCE = 2.0, 0.1
"""Seconds for which a client may go on sending after the last answer, and between two pieces of that."""


class PatientSocket(socket.socket):
    """A socket for which "blocking" means for :data:`FIRST_PATIENCE`."""

    def setblocking(self, flag: bool, /) -> None:
        self.settimeout(FIRST_PATIENCE if flag else 0.0)


class PatientTLSSocket(ssl.SSLSocket):
    """The same over TLS; a context makes these when they are its ``sslsocket_class``."""

    def setblocking(self, flag: bool, /) -> None:
        self.settimeout(FIRST_PATIENCE if flag else 0.0)


class PatientWorker(ThreadWorker):  # type: ignore[misc]
    """Serves every connection through a :class:`PatientSocket`."""

    def init_process(self) -> None:
        logging.getLogger("gunicorn.error").addFilter(_not_about_silence)
        super().init_process()

    def enqueue_req(self, conn: Any) -> None:
        if type(conn.sock) is socket.socket:
            conn.sock = PatientSocket(fileno=conn.sock.detach())
        super().enqueue_req(conn)

    def handle(self, conn: Any) -> Any:
        again = super().handle(conn)
        if again is False:
            _hang_up(conn.sock)
            conn.close = _closed
        return again

    def handle_request(self, req: Any, conn: Any) -> Any:
        conn.sock.settimeout(PATIENCE)
        return super().handle_request(req, conn)


def _hang_up(connection: socket.socket) -> None:
    """Say that nothing more comes, let the client finish its sentence, and close (RFC 9112 section 9.6)."""
    with suppress(OSError, ValueError):
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(SILENCE)
        deadline = time.monotonic() + FAREWELL
        while time.monotonic() < deadline and connection.recv(65536):
            pass
    connection.close()


def _closed(*, graceful: bool = False) -> None:
    """In place of a connection's ``close`` once it is closed: the accepting thread has nothing left to do."""


def _not_about_silence(record: logging.LogRecord) -> bool:
    """A client that fell silent is no failure of the server, and no reason for a traceback."""
    return not (record.exc_info and isinstance(record.exc_info[1], TimeoutError))
