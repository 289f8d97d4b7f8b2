"""gunicorn's thread worker with a patience that ends.

A thread serves one connection at a time and, as gunicorn makes it, waits for ever: for the rest of a TLS handshake, of
a head or of a body, and for a reader that does not read. A few dozen clients that fall silent would take the registry
out of service. Here every wait for the network ends; what a client sends or takes slowly, but does send or take, goes
on.

Clients also open connections in advance. Their first bytes, what they have to say in a handshake, and their first
request after it are waited for by the loop that watches idle connections, not by a thread; and handshakes and probes
have threads of their own (:mod:`~image_registry.server.errands`).

The end of a connection waits too, so that the last answer is not cut off by a reset while the client still sends.
gunicorn does that in the one thread that accepts connections, for two seconds each; here it is done in the thread that
served the connection, and only while something comes.
"""

from __future__ import annotations

import logging
import os
import select
import socket
import ssl
import struct
import sys
import time
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from gunicorn import http  # type: ignore[import-untyped]
from gunicorn.sock import ssl_wrap_socket  # type: ignore[import-untyped]
from gunicorn.workers.gthread import _DEFER, ThreadWorker  # type: ignore[import-untyped]

from image_registry.server import errands, expectation, unreadable
from image_registry.server.allocator import keep_buffers

FIRST_PATIENCE = 10.0
"""Seconds without a byte of a handshake or a head: clients send both in one go."""

PATIENCE = 60.0
"""Seconds without a byte of a body in either direction: clients look things up in between, disks are slow."""

FAREWELL, SILENCE = 2.0, 0.1
"""Seconds for which a client may go on sending after the last answer, and between two pieces of that."""

REST = 1.0
"""Seconds for what comes of a body that nobody wants; then the connection ends. gunicorn waits for five, and strangers
could hold a thread each for as long."""

UNSENT = 128 << 10
"""Bytes that wait in the kernel for the network to take them. Without a bound it queues megabytes, which makes sender
and receiver take turns instead of working at once: a large blob took twice as long over loopback. What is under way
does not count, so a long line is filled as before."""

NEAR = 64
"""Microseconds within which the network answers for clients on this machine, other Pods of the node included."""

UNDER_WAY = 64 << 10
"""Bytes that wait or are under way to a near client (the kernel takes twice as much, for its own needs): a line so
short is full with them. With more, sender and receiver work on two processors at the same pages of the file, and every
page goes back and forth between their caches: that cost four times the work, and pulls were half as fast."""

LONG = 8 << 20
"""Bytes of an answer from which that is worth it; what is shorter is all under way at once."""

ATTENTION = 0.001
"""Seconds for which a thread listens for the next request before it hands the connection back: clients ask for one
thing after the other, and every change of threads costs more than the answer to a small question."""


class PatientSocket(socket.socket):
    """A socket for which "blocking" means for :data:`FIRST_PATIENCE`."""

    def setblocking(self, flag: bool, /) -> None:
        if not (flag and self.gettimeout()):  # who waits already keeps the patience that was chosen for the moment
            self.settimeout(FIRST_PATIENCE if flag else 0.0)

    def settimeout(self, seconds: float | None, /) -> None:
        if seconds != self.gettimeout():  # each call asks the system and lets other threads run
            super().settimeout(seconds)

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Nearly always there is room for all of it: then nobody need ask first."""
        if self.gettimeout() and not flags:
            with suppress(BlockingIOError):
                data = memoryview(data)[os.write(self.fileno(), data) :]
                if not data:
                    return
        super().sendall(data, flags)

    def at_once(self, size: int) -> bytes:
        """What is there already, without asking first; raises ``BlockingIOError`` for nothing."""
        return os.read(self.fileno(), size) if self.gettimeout() is not None else self.recv(size)

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Let the kernel send all of it in one call, instead of asking before each piece whether there is room.

        It waits with the patience of this socket, counted from the last byte that the reader took.
        """
        patience, sent = self.gettimeout(), 0
        if count is None or not patience:
            return super().sendfile(file, offset, count)
        usual = self.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) if count >= LONG and is_near(self) else 0
        if usual:
            self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNDER_WAY)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _interval(patience))
        self.settimeout(None)
        try:
            while sent < count:
                taken = os.sendfile(self.fileno(), file.fileno(), offset + sent, count - sent)
                if not taken:
                    break  # the file is shorter than it was
                sent += taken
        except BlockingIOError:
            raise TimeoutError(f"nothing was taken for {patience:g} s") from None
        finally:
            self.settimeout(patience)
            if usual:
                self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, usual // 2)
        return sent


def is_near(connection: socket.socket) -> bool:
    """Whether what is sent is acknowledged so quickly that the client must be on this machine, or next to it."""
    try:
        told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SHORTEST.stop)
    except OSError:
        return False  # no TCP
    return len(told) == _SHORTEST.stop and int.from_bytes(told[_SHORTEST], sys.byteorder) <= NEAR


_SHORTEST = slice(148, 152)
"""Where ``struct tcp_info`` has the shortest time of an answer so far; longer than any if there was none."""


def _interval(seconds: float) -> bytes:
    """A ``struct timeval``."""
    return struct.pack("@ll", int(seconds), int(seconds % 1 * 1_000_000))


class PatientTLSSocket(ssl.SSLSocket):
    """The same over TLS; a context makes these when they are its ``sslsocket_class``."""

    def setblocking(self, flag: bool, /) -> None:
        self.settimeout(FIRST_PATIENCE if flag else 0.0)


class PatientWorker(ThreadWorker):  # type: ignore[misc]
    """Serves every connection through a :class:`PatientSocket`."""

    def init_process(self) -> None:
        keep_buffers()
        logging.getLogger("gunicorn.error").addFilter(_not_about_silence)
        self._reserved = errands.pools()
        super().init_process()

    def enqueue_req(self, conn: Any) -> None:
        conn.sock = patient(conn.sock)
        pool: Any = self._reserved.get(errand(conn) or "", self.tpool)
        future = pool.submit(self.handle, conn)
        future.add_done_callback(lambda done: self.method_queue.defer(self.finish_request, conn, done))

    def handle(self, conn: Any) -> Any:
        if not conn.initialized:
            if not conn.data_ready and not conn.wait_for_data(ATTENTION):
                return _DEFER
            if self.cfg.is_ssl:
                return self._shake_hands(conn)
        again = super().handle(conn)
        while again is True and self.goes_on(conn):
            again = super().handle(conn)
        if again is False:
            hang_up(conn.sock, 0.0 if errand(conn) else FAREWELL)
            conn.close = closed
        return again

    def goes_on(self, conn: Any) -> bool:
        """Whether the thread that has served a request is to serve the next one of the connection too."""
        return bool(self.alive) and speaks_at_once(conn.sock)

    def _keepalive_after(self, conn: Any, keepalive: Any) -> bool:
        return bool(keepalive) and bool(conn.parser.finish_body(deadline=time.monotonic() + REST))

    def _shake_hands(self, conn: Any) -> Any:
        """Begin TLS as far as the client has said its part; the loop waits for the rest, and for the first request."""
        conn.data_ready = False
        try:
            if not isinstance(conn.sock, ssl.SSLSocket):
                conn.sock = ssl_wrap_socket(conn.sock, self.cfg)
            conn.sock.settimeout(0.0)
            while True:
                try:
                    conn.sock.do_handshake()
                    break
                except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    if not speaks_at_once(conn.sock):
                        return _DEFER
            conn.parser = http.get_parser(self.cfg, conn.sock, conn.client)
            conn.init()
        except (OSError, ValueError) as error:  # ssl.SSLError is one
            self.log.debug("no TLS: %s", error)
            hang_up(conn.sock, 0.0)
            conn.close = closed
            return False
        return _DEFER

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Any) -> None:
        status = unreadable.status_of(exc)
        if status is None:
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            self.log.error("failed to serve %s", getattr(req, "path", "a request"), exc_info=exc)
        else:
            self.log.warning("no request, from %s: %s", addr[0] if addr else "somebody", unreadable.kind(exc))
        unreadable.send(client, status, exc)

    def handle_request(self, req: Any, conn: Any) -> Any:
        conn.sock.settimeout(PATIENCE)
        if errand(conn):
            req.must_close = True
        expectation.defer(req, conn.sock)
        return super().handle_request(req, conn)


def patient(accepted: socket.socket) -> socket.socket:
    """The connection with our patience and our bound on what waits in the kernel."""
    if type(accepted) is not socket.socket:
        return accepted
    made = PatientSocket(fileno=accepted.detach())
    if made.family in (socket.AF_INET, socket.AF_INET6):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
    return made


def speaks_at_once(connection: socket.socket) -> bool:
    """Whether the next request is there, or comes within :data:`ATTENTION`."""
    waiting = select.poll()
    waiting.register(connection, select.POLLIN)
    return bool(waiting.poll(ATTENTION * 1000))


def hang_up(connection: socket.socket, farewell: float = FAREWELL) -> None:
    """Say that nothing more comes, let the client finish its sentence, and close (RFC 9112 section 9.6)."""
    with suppress(OSError, ValueError):
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(min(SILENCE, farewell))
        deadline = time.monotonic() + farewell
        while connection.recv(65536) and time.monotonic() < deadline:
            pass
    connection.close()


def closed(*, graceful: bool = False) -> None:
    """In place of a connection's ``close`` once it is closed: the accepting thread has nothing left to do."""


def errand(conn: Any) -> str | None:
    """What a connection is in a thread for, if that is an errand."""
    found: str | None = getattr(conn, "errand", None)
    return found


def _not_about_silence(record: logging.LogRecord) -> bool:
    """A client that fell silent is no failure of the server, and no reason for a traceback."""
    return not (record.exc_info and isinstance(record.exc_info[1], TimeoutError))
