"""What WSGI loses: the caller's raw headers and client certificate.

WSGI joins repeated headers with commas, so a group whose name holds a comma would become two groups; and it has no
place for the verified client certificate. gunicorn's ``pre_request`` hook sees both worlds in the thread that then
runs the application, so a thread-local carries the raw list across. Nothing a client sends can forge these keys:
environment keys made from headers always begin with ``HTTP_``.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from typing import Any

from image_registry.distribution_api.received import STRAIGHT
from image_registry.server.straight import straight

PEER_SUBJECT = "image_registry.peer_subject"
"""Common name of the verified client certificate, or ``None``."""

OVER = "image_registry.over"
"""Asked by answers without an end of their own: whether the client is gone, or the process is leaving."""

REMOTE_HEADERS = "image_registry.remote_headers"
"""Raw ``(name, value)`` pairs of the request headers, in order, names in upper case."""

WITH_BODIES = frozenset({"PATCH", "POST", "PUT"})
"""Methods of uploads."""

_current = threading.local()

WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def remember_headers(worker: object, request: Any) -> None:
    """gunicorn ``pre_request`` hook."""
    _current.headers = list(request.headers)
    _current.worker = worker


class PeerMiddleware:
    """Puts what :func:`remember_headers` saw, and the certificate's common name, into the WSGI environment."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application
        self.hot = getattr(application, "hot", None)
        """What gives answers again without the application, if it has such a thing."""

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        # an IPv4 caller of a socket that serves both families: one and the same address in every log
        environ["REMOTE_ADDR"] = str(environ.get("REMOTE_ADDR", "")).removeprefix("::ffff:")
        # "GET http://host HTTP/1.1" has no path; Flask would send the client to whatever host it named
        environ["PATH_INFO"] = environ.get("PATH_INFO") or "/"
        environ[REMOTE_HEADERS] = getattr(_current, "headers", [])
        environ[PEER_SUBJECT] = common_name(environ.get("gunicorn.socket"))
        environ[OVER] = _Over(getattr(_current, "worker", None), environ.get("gunicorn.socket"))
        if environ.get("REQUEST_METHOD") in WITH_BODIES:
            environ[STRAIGHT] = straight(environ)
        return self._application(environ, start_response)


class _Over:
    """Whether an answer without an end of its own should end: nothing else of the server would stop it."""

    __slots__ = ("_connection", "_worker")

    def __init__(self, worker: object, connection: object) -> None:
        self._worker = worker
        self._connection = connection

    def __call__(self) -> bool:
        return not getattr(self._worker, "alive", True) or _hung_up(self._connection)


def _hung_up(connection: object) -> bool:
    """The other side has closed or is gone; what it may have sent besides is not looked at."""
    if not isinstance(connection, socket.socket) or connection.fileno() < 0:
        return False
    asked = select.poll()
    asked.register(connection.fileno(), select.POLLRDHUP)
    return bool(asked.poll(0))


def common_name(connection: object) -> str | None:
    """The common name of a certificate that the TLS layer has verified; ``None`` without one."""
    if not isinstance(connection, ssl.SSLSocket):
        return None
    certificate: Any = connection.getpeercert()
    for relative_name in (certificate or {}).get("subject", ()):
        for key, value in relative_name:
            if key == "commonName":
                return str(value)
    return None
