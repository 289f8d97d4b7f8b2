"""WSGI middleware: gives every request its id and its trail, and tells the observer how it ended."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from structlog.contextvars import bind_contextvars, clear_contextvars

from image_registry.auth.trail import TRAIL, Trail
from image_registry.server.endings import at_end
from image_registry.server.hot_reads import HotReads
from image_registry.server.kept_answers import LARGEST
from image_registry.server.observation import Observer, Record
from image_registry.server.peer import WSGIApplication

LEARNED = frozenset({200, 206, 404})
BODILESS = frozenset({204, 205, 304})


class RequestLog:
    """Takes or makes ``X-Request-Id``; the answer, every log line and questions to the cluster carry it."""

    def __init__(self, application: WSGIApplication, observer: Observer, hot: HotReads | None = None) -> None:
        self._application = application
        self.observer = observer
        self.hot = hot
        self._counting = threading.Lock()
        self.running = 0
        """Requests that are being served."""

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        started = time.perf_counter()
        request_id = self.observer.request_id(environ.get("HTTP_X_REQUEST_ID", ""))
        at = self.hot.known() if self.hot is not None else 0
        seen = _Seen(environ, started, Trail(request_id, lambda _trail: self.observer.begun(seen.record())))
        environ[TRAIL] = seen.trail
        with self._counting:
            self.running += 1
        bind_contextvars(request_id=request_id)

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            seen.line = status
            seen.status = int(status[:3])
            seen.headers = headers
            seen.length = next((int(value) for name, value in headers if name.lower() == "content-length"), None)
            return start_response(status, [*headers, ("X-Request-Id", request_id)], exc_info)

        body: Iterable[bytes] = self._application(environ, start)
        if seen.length is None and seen.status:
            body = _Counted(body, seen)
        elif self.hot is not None and seen.trail.keep is not None and seen.status in LEARNED:
            body = _learned(body, self.hot, environ, seen, at)
        return at_end(body, environ, lambda: self._end(seen))

    def _end(self, seen: _Seen) -> None:
        self.observer.finished(seen.record())
        with self._counting:
            self.running -= 1
        clear_contextvars()


def _learned(body: Iterable[bytes], hot: HotReads, environ: dict[str, Any], seen: _Seen, at: int) -> Iterable[bytes]:
    """The same body; a small one is read now and kept for the next who asks, of a file only its place."""
    whole: bytes | None = None
    if not isinstance(body, environ.get("wsgi.file_wrapper", ())):
        if (seen.length or 0) > LARGEST:
            return body
        try:
            whole = b"".join(body)
        finally:
            close = getattr(body, "close", None)
            if close is not None:
                close()
        body = [whole]
    hot.learn(environ, seen.trail, at, seen.line, seen.headers, whole)
    return body


class _Seen:
    """What is known of a request so far."""

    __slots__ = ("_environ", "_started", "counted", "headers", "length", "line", "status", "trail")

    def __init__(self, environ: dict[str, Any], started: float, trail: Trail) -> None:
        self._environ = environ
        self._started = started
        self.trail = trail
        self.line = ""
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.length: int | None = None
        self.counted = 0

    def record(self) -> Record:
        environ, trail = self._environ, self.trail
        method = environ.get("REQUEST_METHOD", "")
        announced = environ.get("CONTENT_LENGTH") or "0"
        sent = self.counted if self.length is None else self.length
        # a server closes the body of a broken connection while it handles that error
        complete = sys.exc_info()[1] is None
        return Record(
            method=method,
            path=environ.get("PATH_INFO", ""),
            status=self.status,
            seconds=time.perf_counter() - self._started,
            request_id=trail.request_id,
            route=trail.route,
            received=trail.received() if trail.received is not None else _length(announced),
            sent=0 if method == "HEAD" or self.status in BODILESS else sent,
            remote=environ.get("REMOTE_ADDR", ""),
            agent=environ.get("HTTP_USER_AGENT", ""),
            caller=trail.caller,
            uid=trail.uid,
            repository=trail.repository,
            reference=trail.reference,
            digest=trail.digest,
            decision=trail.decision,
            error=trail.error,
            limit=trail.limit,
            complete=complete,
        )


class _Counted:
    """A body whose length nobody announced."""

    def __init__(self, body: Iterable[bytes], seen: _Seen) -> None:
        self._body = body
        self._seen = seen
        self.close = getattr(body, "close", lambda: None)

    def __iter__(self) -> Iterator[bytes]:
        for part in self._body:
            self._seen.counted += len(part)
            yield part


def _length(announced: str) -> int:
    """What a client announces may be any number; no body has more bytes than an int64 counts."""
    return int(announced) if announced.isascii() and announced.isdigit() and len(announced) < 19 else 0
