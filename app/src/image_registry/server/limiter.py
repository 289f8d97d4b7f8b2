"""How many requests are served at once, how many wait, and for how long; the rest is told to come back (429).

Reads and writes have places of their own, so that neither starves the other. Whoever waits holds a thread, hence the
queue is bounded by what the threads allow, and probes, metrics and the page at the root need no place.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from image_registry.auth import trail
from image_registry.server.endings import at_end
from image_registry.server.log_lines import SAFE
from image_registry.server.metrics import QUEUED, REJECTED, RUNNING
from image_registry.server.numbers import Numbers
from image_registry.server.peer import WSGIApplication

LIMITED = "/v2"
"""Where paths begin that need a place."""

RETRY_AFTER = {"read": 1, "write": 5}
"""Seconds after which a client may come back: pulls are short, pushes are not."""

SPARE_THREADS = 8
"""Threads of a worker that nobody can hold by waiting in a queue."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of one kind of requests in a Pod; ``running`` 0 is no limit, ``wait`` in seconds, 0 for as long as it takes."""

    running: int = 0
    queued: int = 0
    wait: float = 0.0

    def share(self, workers: int, threads: int) -> Bounds:
        """What one of the Pod's workers may do: an equal part, rounded up; and never all of its threads waiting."""
        if not self.running:
            return self
        running = -(-self.running // workers)
        queued = min(-(-self.queued // workers), max(threads - SPARE_THREADS - running, 0))
        return Bounds(running, queued, self.wait)


class Full(Exception):
    """No place, and none to wait for; ``reason`` is ``queue`` or ``wait``."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(
            f"the registry serves as many {kind} requests as it may at once and {_WHY[reason]}; "
            f"come back in {RETRY_AFTER[kind]} s"
        )
        self.kind = kind
        self.reason = reason

    @property
    def retry_after(self) -> int:
        """Seconds."""
        return RETRY_AFTER[self.kind]


_WHY = {"queue": "no more may wait", "wait": "no place became free in time"}


class Places:
    """First come, first served; thread-safe."""

    def __init__(self, kind: str, bounds: Bounds) -> None:
        self.kind = kind
        self.bounds = bounds
        self._lock = threading.Lock()
        self._running = 0
        self._queue: deque[threading.Lock] = deque()

    @property
    def running(self) -> int:
        """Requests that hold a place."""
        return self._running

    @property
    def queued(self) -> int:
        """Requests that wait for one."""
        return len(self._queue)

    def take(self) -> None:
        """Take a place, waiting for it if that is allowed. Raises :class:`Full`."""
        with self._lock:
            if self._running < self.bounds.running:
                self._running += 1
                return
            if len(self._queue) >= self.bounds.queued:
                raise Full(self.kind, "queue")
            turn = threading.Lock()
            turn.acquire()
            self._queue.append(turn)
        if turn.acquire(timeout=self.bounds.wait or -1):
            return
        with self._lock:
            if turn not in self._queue:
                return  # it came while we gave up
            self._queue.remove(turn)
        raise Full(self.kind, "wait")

    def give_back(self) -> None:
        """Let go of a place: it goes to whoever waits longest."""
        with self._lock:
            if self._queue:
                self._queue.popleft().release()
            else:
                self._running -= 1


class Limits:
    """The places of one worker, by method; also for those who serve without the application."""

    def __init__(self, read: Bounds, write: Bounds, numbers: Numbers) -> None:
        self._numbers = numbers
        self._read = self._places("read", read)
        self._write = self._places("write", write)

    def take(self, method: str) -> Callable[[], None] | None:
        """A place; returns how to give it back, ``None`` where there is no limit. Raises :class:`Full`."""
        places = self._read if method in SAFE else self._write
        if places is None:
            return None
        try:
            places.take()
        except Full as full:
            self._numbers.add(REJECTED, (full.kind, full.reason))
            raise
        return places.give_back

    def around(self, application: WSGIApplication) -> WSGIApplication:
        """The application, limited; the very same where there is no limit."""
        if self._read is None and self._write is None:
            return application
        return _Limited(application, self)

    def _places(self, kind: str, bounds: Bounds) -> Places | None:
        if not bounds.running:
            return None
        places = Places(kind, bounds)
        self._numbers.watch(RUNNING, (kind,), lambda: places.running)
        self._numbers.watch(QUEUED, (kind,), lambda: places.queued)
        return places


class _Limited:
    def __init__(self, application: WSGIApplication, limits: Limits) -> None:
        self._application = application
        self._limits = limits

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not environ.get("PATH_INFO", "").startswith(LIMITED):
            return self._application(environ, start_response)
        try:
            give_back = self._limits.take(environ.get("REQUEST_METHOD", ""))
        except Full as full:
            return _refuse(full, environ, start_response)
        if give_back is None:
            return self._application(environ, start_response)
        try:
            body = self._application(environ, start_response)
        except BaseException:
            give_back()
            raise
        return at_end(body, environ, give_back)


def _refuse(full: Full, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    left = trail.of(environ)
    left.error = f"TOOMANYREQUESTS: {full}"
    error = {"code": "TOOMANYREQUESTS", "message": str(full), "detail": {"request_id": left.request_id}}
    body = json.dumps({"errors": [error]}).encode() + b"\n"
    start_response(
        "429 Too Many Requests",
        [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Retry-After", str(full.retry_after)),
            ("Docker-Distribution-API-Version", "registry/2.0"),
            ("X-Content-Type-Options", "nosniff"),
        ],
    )
    return [] if environ.get("REQUEST_METHOD") == "HEAD" else [body]
