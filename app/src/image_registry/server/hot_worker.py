"""The worker's loop reads heads itself: no thread waits for a slow one, and known answers need no thread at all.

A connection belongs to the loop until the whole head of a request is there. Then either a kept answer goes out at once
(:mod:`~image_registry.server.hot_reads`), or a thread gets the connection together with the bytes that were read, and
serves it as if nobody had looked. A thread that is done listens for a moment; what comes then it serves too, unless the
loop knows the answer.

So a client that sends a head byte by byte costs a few hundred bytes of memory and one look a second, and its time is
counted from the first byte to the last.
"""

from __future__ import annotations

import errno
import socket
import ssl
import time
from collections import deque
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ
from typing import Any

from gunicorn.workers.gthread import _DEFER, TConn  # type: ignore[import-untyped]

from image_registry.server import errands
from image_registry.server.hot_reads import Given, HotReads
from image_registry.server.plain_request import PlainParser
from image_registry.server.plain_worker import PlainWorker
from image_registry.server.request_head import LONGEST, refusal
from image_registry.server.worker import (
    FIRST_PATIENCE,
    PATIENCE,
    PatientSocket,
    closed,
    hang_up,
    patient,
    speaks_at_once,
)

HEAD_PATIENCE = 20.0
"""Seconds from the first byte of a head to its last."""

MOST = 128 << 10
"""Bytes of a head at most: users in hundreds of groups need tens of thousands."""

HELLO = b"\x16"
"""How TLS begins, and no request: clients that may do without TLS try it first, and wait for an answer."""

NO_TLS = refusal("400 Bad Request", "this port speaks HTTP without TLS")
TOO_LONG = refusal("431 Request Header Fields Too Large", f"the head of the request is longer than {MOST} bytes")

LOOK = 1.0
"""Seconds between two looks at connections that are late."""

AT_ONCE = 20
"""Connections that go together when there are too many: looking for them costs more than ending them."""

_NOTHING_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_GONE = {errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK}


class Connection(TConn):  # type: ignore[misc]
    """What the loop knows of a connection, besides what gunicorn does."""

    head = b""
    """What there is of the next request."""
    kept = False
    """Whether a kept answer was given on it."""
    served = False
    """Whether one was given since somebody looked how long it waits."""
    errand: str | None = None
    """What it is in a thread for, if that must not wait for slow clients."""
    late_at: float | None = None
    """When its handshake must be done."""

    def init(self) -> None:
        fresh = not self.initialized
        super().init()
        if fresh and not self.is_http2:
            self.parser = PlainParser(self.cfg, self.sock, self.client)


class HotWorker(PlainWorker):
    """Everything that waits is in the poller; threads have whole requests."""

    _hot: HotReads | None = None

    def run(self) -> None:
        self._late: dict[Connection, float] = {}
        self._look_at = 0.0
        self._hot = getattr(self.wsgi, "hot", None)
        if self._hot is not None:
            self._hot.begin()
        super().run()

    def accept(self, listener: socket.socket) -> None:
        try:
            accepted, client = listener.accept()
        except OSError as error:
            if error.errno not in _GONE:
                raise
            return
        self.nr_conns += 1
        conn = Connection(self.cfg, patient(accepted), client, listener.getsockname())
        conn.timeout = time.monotonic() + self.cfg.keepalive
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, EVENT_READ, partial(self.on_pending_socket_readable, conn))
        if self.nr_conns >= self.worker_connections:
            self._make_room(conn)

    def _make_room(self, newest: Connection) -> None:
        """Hang up on those that have been silent for longest. gunicorn would accept nobody any more, and a few thousand
        connections that are left open would keep everybody else out until they end."""
        waiting = [conn for conn in (*self.keepalived_conns, *self.pending_conns) if conn is not newest]
        for conn in sorted(waiting, key=_busy)[:AT_ONCE]:
            self._drop(conn)

    def on_client_socket_readable(self, conn: Connection, client: object) -> None:  # noqa: ARG002 - gunicorn's own
        self._readable(conn)

    def on_pending_socket_readable(self, conn: Connection, client: object) -> None:  # noqa: ARG002
        self._readable(conn)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        if self._hot is not None:
            self._hot.next_batch()
        super().wait_for_and_dispatch_events(timeout)

    def finish_request(self, conn: Connection, fs: Any) -> None:
        conn.errand = None
        super().finish_request(conn, fs)
        if self.cfg.is_ssl and not conn.initialized and not fs.exception() and fs.result() is _DEFER:
            self._late[conn] = conn.late_at = conn.late_at or time.monotonic() + FIRST_PATIENCE
        if conn.head and conn in self.keepalived_conns:
            self._arrived(conn, time.perf_counter())

    def goes_on(self, conn: Connection) -> bool:
        """Whether the thread has the next request too; what the loop knows is left to it, bytes included."""
        if not self.alive or conn.errand or conn.head or conn.is_http2 or not speaks_at_once(conn.sock):
            return False
        if early := conn.parser.unreader.take_buffered():
            conn.head = early  # more than one request at once: rare enough to let the loop see to it
            return False
        with suppress(OSError):
            data = conn.sock.at_once(LONGEST) if isinstance(conn.sock, PatientSocket) else conn.sock.recv(LONGEST)
            if (self._hot is not None and self._hot.knows(data)) or (data and b"\r\n\r\n" not in data):
                conn.head = data  # the loop knows the answer, or waits for the rest of the head
                return False
            conn.parser.unreader.unread(data)
        return True

    def murder_keepalived(self, force: bool = False) -> None:  # noqa: FBT002 - gunicorn's own
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + LOOK
            for waiting in (self.keepalived_conns, self.pending_conns):
                _served_last(waiting)
            for conn in [conn for conn, deadline in self._late.items() if deadline <= now]:
                self._drop(conn)
        super().murder_keepalived(force)

    def _cap_keepalive(self, deadline: float) -> None:
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def _readable(self, conn: Connection) -> None:
        started = time.perf_counter()
        if self.cfg.is_ssl and not conn.initialized:
            conn.errand = errands.HANDSHAKE
            self._to_thread(conn)
            return
        try:
            data = conn.sock.recv(LONGEST)
        except _NOTHING_YET:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(conn)
            return
        conn.head += data
        self._arrived(conn, started)

    def _arrived(self, conn: Connection, started: float) -> None:
        head = conn.head
        if head[:1] == HELLO and not self.cfg.is_ssl:
            with suppress(OSError):
                conn.sock.send(NO_TLS)
            self._drop(conn)
            return
        if b"\r\n\r\n" not in head:
            if len(head) > MOST:
                with suppress(OSError):
                    conn.sock.send(TOO_LONG)
                self._drop(conn)
                return
            self._late.setdefault(conn, time.monotonic() + HEAD_PATIENCE)
            return
        self._late.pop(conn, None)
        given = self._hot.find(head) if self._hot is not None and self.alive else None
        if given is None or (given.sends_file and self.cfg.is_ssl):
            conn.errand = errands.probe(head)
            self._to_thread(conn)
        else:
            conn.head = b""
            self._give(conn, given, head, started)

    def _give(self, conn: Connection, given: Given, head: bytes, started: float) -> None:
        """Send a kept answer: what the kernel takes at once from here, the rest by a thread."""
        hot: HotReads = self._hot  # type: ignore[assignment]
        data = hot.bytes(given)
        sent = 0
        if not given.sends_file:
            try:
                sent = conn.sock.send(data)
            except _NOTHING_YET:
                pass
            except OSError:
                hot.finished(given, conn.client[0], time.perf_counter() - started, complete=False)
                self._drop(conn)
                return
            if sent == len(data):
                hot.finished(given, conn.client[0], time.perf_counter() - started)
                self._served(conn)
                return

        def send() -> Any:
            return self._send(conn, given, head, data[sent:], started)

        self._leave(conn)
        conn.init()
        future = self.tpool.submit(send)
        future.add_done_callback(lambda done: self.method_queue.defer(self.finish_request, conn, done))

    def _send(self, conn: Connection, given: Given, head: bytes, data: bytes, started: float) -> Any:
        """In a thread: the rest of an answer, and its file."""
        hot: HotReads = self._hot  # type: ignore[assignment]
        conn.sock.settimeout(PATIENCE)
        complete = False
        try:
            if given.sends_file:
                with open(given.answer.file, "rb", buffering=0) as file:
                    conn.sock.sendall(data, socket.MSG_MORE)
                    sent = conn.sock.sendfile(file, given.answer.start, given.answer.length)
                complete = sent == given.answer.length  # or the next answer would be taken for the rest of this one
            else:
                conn.sock.sendall(data)
                complete = True
        except FileNotFoundError:  # it went a moment ago: the application knows what to say
            conn.parser.unreader.unread(head)
            return super().handle(conn)
        except OSError:
            pass
        hot.finished(given, conn.client[0], time.perf_counter() - started, complete=complete)
        if complete:
            return True
        hang_up(conn.sock)
        conn.close = closed
        return False

    def _served(self, conn: Connection) -> None:
        """The connection waits for its next request; its time begins anew."""
        conn.set_timeout()
        conn.served = True
        if not conn.kept:
            conn.kept = True
            with suppress(ValueError):
                self.pending_conns.remove(conn)
                self.keepalived_conns.append(conn)

    def _to_thread(self, conn: Connection) -> None:
        self._leave(conn)
        conn.data_ready = True
        if conn.head:
            conn.init()
            head, conn.head = conn.head, b""
            conn.parser.unreader.unread(head)
        self.enqueue_req(conn)

    def _leave(self, conn: Connection) -> None:
        """Take the connection out of the loop."""
        self._late.pop(conn, None)
        conn.served = False
        with suppress(OSError, KeyError, ValueError):
            self.poller.unregister(conn.sock)
        for waiting in (self.keepalived_conns, self.pending_conns):
            with suppress(ValueError):
                waiting.remove(conn)

    def _drop(self, conn: Connection) -> None:
        self._leave(conn)
        self.nr_conns -= 1
        conn.close()


def _busy(conn: Connection) -> tuple[bool, float]:
    """Greater for who has sent a part of a request, and for who was heard of later."""
    return bool(conn.head), conn.timeout


def _served_last(waiting: deque[Connection]) -> None:
    """Put those whose time began anew behind the others: the oldest is looked at first."""
    again = [conn for conn in waiting if conn.served]
    if again:
        kept = [conn for conn in waiting if not conn.served]
        waiting.clear()
        waiting.extend(kept)
        waiting.extend(sorted(again, key=lambda conn: conn.timeout))
        for conn in again:
            conn.served = False
