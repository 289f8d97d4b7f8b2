"""WSGI middleware: gives every request its id and its trail, and tells the observer how it ended."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from structlog.contextvars import bind_contextvars, clear_contextvars

from image_registry.auth.trail import TRAIL, Trail
from image_registry.server.observation import Observer, Record
from image_registry.server.peer import WSGIApplication

BODILESS = frozenset({204, 205, 304})


class RequestLog:
    """Takes or makes ``X-Request-Id``; the answer, every log line and questions to the cluster carry it."""

    def __init__(self, application: WSGIApplication, observer: Observer) -> None:
        self._application = application
        self.observer = observer
        self._counting = threading.Lock()
        self.running = 0
        """Requests that are being served."""

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        started = time.perf_counter()
        request_id = self.observer.request_id(environ.get("HTTP_X_REQUEST_ID", ""))
        seen = _Seen(environ, started, Trail(request_id, lambda _trail: self.observer.begun(seen.record())))
        environ[TRAIL] = seen.trail
        with self._counting:
            self.running += 1
        clear_contextvars()
        bind_contextvars(request_id=request_id)

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            seen.status = int(status[:3])
            seen.length = next((int(value) for name, value in headers if name.lower() == "content-length"), None)
            return start_response(status, [*headers, ("X-Request-Id", request_id)], exc_info)

        body: Iterable[bytes] = self._application(environ, start)
        finish = _Finish(lambda: self._end(seen))
        file_wrapper: Any = environ.get("wsgi.file_wrapper", ())
        if isinstance(body, file_wrapper):
            # gunicorn sends files by sendfile only if it is handed its own wrapper: log at close, do not wrap
            finish.attach(body)
            return body  # type: ignore[no-any-return]
        return _Logged(body, finish, seen)

    def _end(self, seen: _Seen) -> None:
        self.observer.finished(seen.record())
        with self._counting:
            self.running -= 1
        clear_contextvars()


class _Seen:
    """What is known of a request so far."""

    __slots__ = ("_environ", "_started", "counted", "length", "status", "trail")

    def __init__(self, environ: dict[str, Any], started: float, trail: Trail) -> None:
        self._environ = environ
        self._started = started
        self.trail = trail
        self.status = 0
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
            received=trail.received() if trail.received is not None else int(announced) if announced.isdigit() else 0,
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
            complete=complete,
        )


class _Finish:
    """Runs an action once."""

    def __init__(self, action: Callable[[], None]) -> None:
        self._action: Callable[[], None] | None = action

    def __call__(self) -> None:
        action, self._action = self._action, None
        if action is not None:
            action()

    def attach(self, body: Any) -> None:
        close = getattr(body, "close", None)

        def closed() -> None:
            try:
                if close is not None:
                    close()
            finally:
                self()

        body.close = closed


class _Logged:
    """A body that reports its end, and its length where nobody announced it."""

    def __init__(self, body: Iterable[bytes], finish: _Finish, seen: _Seen) -> None:
        self._body = body
        self._finish = finish
        self._seen = seen

    def __iter__(self) -> Iterator[bytes]:
        if self._seen.length is not None:
            return iter(self._body)
        return self._counting()

    def _counting(self) -> Iterator[bytes]:
        for part in self._body:
            self._seen.counted += len(part)
            yield part

    def close(self) -> None:
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self._finish()
