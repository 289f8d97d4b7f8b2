"""One line per request: who, what, how it ended, how long it took; with the request id that the answer carries."""

from __future__ import annotations

import json
import re
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, TextIO

from image_registry.server.peer import WSGIApplication

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)

REQUEST_ID = "image_registry.request_id"
CALLER = "image_registry.caller"
"""The applications put the caller's user name here once they know it."""

QUIET_PATHS = frozenset({"/livez", "/readyz", "/healthz", "/apis", "/apis/image.alauda.io", "/apis/image.alauda.io/v1"})
QUIET_FOLDER = "/openapi/"
"""Probes of the kubelet, and those by which each kube-apiserver sees every few seconds that the Image API is there.
They succeed thousands of times a day and tell about no object; only their failures are worth a line."""


class RequestLog:
    """WSGI middleware that takes or makes ``X-Request-Id`` and writes the access log to ``stream``."""

    def __init__(self, application: WSGIApplication, stream: TextIO | None = None) -> None:
        self._application = application
        self._stream = stream or sys.stdout

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        started = time.perf_counter()
        given = environ.get("HTTP_X_REQUEST_ID", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        environ[REQUEST_ID] = request_id
        seen: dict[str, Any] = {}

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            seen["status"] = int(status[:3])
            seen["bytes"] = next((value for name, value in headers if name.lower() == "content-length"), "-")
            return start_response(status, [*headers, ("X-Request-Id", request_id)], exc_info)

        body: Iterable[bytes] = self._application(environ, start)
        file_wrapper: Any = environ.get("wsgi.file_wrapper", ())
        finish = _Finish(lambda: self._write(environ, seen, request_id, started))
        if isinstance(body, file_wrapper):
            # gunicorn sends files by sendfile only if it is handed its own wrapper: log at close, do not wrap
            finish.attach(body)
            return body  # type: ignore[no-any-return]
        return _Logged(body, finish)

    def _write(self, environ: dict[str, Any], seen: dict[str, Any], request_id: str, started: float) -> None:
        path, status = environ.get("PATH_INFO", ""), seen.get("status", 0)
        if 200 <= status < 400 and (path in QUIET_PATHS or path.startswith(QUIET_FOLDER)):
            return
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "event": "request",
            "request_id": request_id,
            "remote": environ.get("REMOTE_ADDR", ""),
            "caller": environ.get(CALLER, ""),
            "method": environ.get("REQUEST_METHOD", ""),
            "path": path,
            "status": status,
            "bytes": seen.get("bytes", "-"),
            "ms": round((time.perf_counter() - started) * 1000, 1),
            "agent": environ.get("HTTP_USER_AGENT", "")[:120],
        }
        self._stream.write(json.dumps(line) + "\n")
        self._stream.flush()


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
    """A body that reports its end."""

    def __init__(self, body: Iterable[bytes], finish: _Finish) -> None:
        self._body = body
        self._finish = finish

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self._finish()
