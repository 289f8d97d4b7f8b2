"""What the application is told of a plain request, and its answer on the wire, without what plain requests never need.

Both are gunicorn's, byte for byte but for the time it takes: a test compares them.
"""

from __future__ import annotations

import re
import time
from email.utils import formatdate
from typing import Any

from gunicorn.http.wsgi import Response, base_environ  # type: ignore[import-untyped]

from image_registry.server.plain_request import PlainRequest

_VALUE = re.compile(r"(?:[!-~](?:[ -~]*[!-~])?)?", re.ASCII)

ORDINARY = frozenset(
    {
        "Content-Type",
        "Content-Security-Policy",
        "Docker-Content-Digest",
        "Docker-Distribution-API-Version",
        "Docker-Upload-UUID",
        "ETag",
        "Location",
        "OCI-Subject",
        "Range",
        "X-Content-Type-Options",
        "X-Registry-Supports-Signatures",
        "X-Request-Id",
    }
)
"""Names of headers that need no look: they are ours, and mean nothing to whoever frames the answer."""


class Environs:
    """Makes the environment of each plain request from that part which is always the same."""

    def __init__(self, cfg: Any) -> None:
        self._always = {**base_environ(cfg), "wsgi.multithread": True, "SERVER_PROTOCOL": "HTTP/1.1", "SCRIPT_NAME": ""}

    def of(self, request: PlainRequest, connection: Any) -> dict[str, Any]:
        """The WSGI environment of a request that came over a connection of the worker."""
        environ = dict(self._always)
        environ["wsgi.input"] = request.body
        environ["gunicorn.socket"] = connection.sock
        environ["REQUEST_METHOD"] = request.method
        environ["QUERY_STRING"] = request.query
        environ["RAW_URI"] = request.uri
        environ["PATH_INFO"] = request.path
        environ["wsgi.url_scheme"] = request.scheme
        environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = connection.client[0], str(connection.client[1])
        environ["SERVER_NAME"], environ["SERVER_PORT"] = connection.server[0], str(connection.server[1])
        for name, value in request.headers:
            environ["HTTP_" + name.replace("-", "_")] = value
        for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            if (given := environ.pop("HTTP_" + name, None)) is not None:
                environ[name] = given
        return environ


class _Clock:
    """The date of answers, made once a second."""

    second = 0
    date = ""

    def __call__(self) -> str:
        now = int(time.time())
        if now != self.second:
            self.date, self.second = formatdate(now, localtime=False, usegmt=True), now
        return self.date


_date = _Clock()


class PlainAnswer(Response):  # type: ignore[misc]
    """gunicorn's answer, with a shorter way for our usual headers."""

    headers_sent: bool

    def process_headers(self, headers: list[tuple[str, str]]) -> None:
        for name, value in headers:
            if name in ORDINARY and _VALUE.fullmatch(value):
                self.headers.append((name, value))
            else:
                super().process_headers([(name, value)])

    def send_headers(self) -> None:
        if self.headers_sent:
            return
        if self.upgrade or self.chunked:
            super().send_headers()
            return
        connection = "close" if self.should_close() else "keep-alive"
        lines = "".join([f"{name}: {value}\r\n" for name, value in self.headers])
        head = f"HTTP/1.1 {self.status}\r\nServer: {self.version}\r\nDate: {_date()}\r\nConnection: {connection}\r\n"
        self.sock.sendall(f"{head}{lines}\r\n".encode("latin-1"))
        self.headers_sent = True
