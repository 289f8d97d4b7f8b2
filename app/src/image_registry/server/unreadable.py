"""Requests that are no HTTP never reach an application; they are refused here, in a body that clients can read.

gunicorn answers them with a page of HTML. Nobody can say which door such a request was for, so the body is an OCI error
and a Kubernetes ``Status`` at once: each reader finds its own members.
"""

from __future__ import annotations

import json
import socket
import ssl
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from gunicorn.http import errors as http  # type: ignore[import-untyped]

PATIENCE = 2.0
"""Seconds for a client to take the refusal."""

LONGEST = 300
"""Characters of what was wrong."""

_OTHERS = (
    (http.LimitRequestLine, HTTPStatus.REQUEST_URI_TOO_LONG),
    (http.LimitRequestHeaders, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
    (http.ExpectationFailed, HTTPStatus.EXPECTATION_FAILED),
    (http.UnsupportedTransferCoding, HTTPStatus.NOT_IMPLEMENTED),
    (ssl.SSLError, HTTPStatus.BAD_REQUEST),
    (http.ParseException, HTTPStatus.BAD_REQUEST),
)
"""What a client did wrong, the special before the general."""

_CURES = {
    HTTPStatus.REQUEST_URI_TOO_LONG: "shorten the path or the query",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "send fewer or shorter header fields, such as a smaller token",
    HTTPStatus.EXPECTATION_FAILED: "expect 100-continue or nothing",
    HTTPStatus.NOT_IMPLEMENTED: "send the body chunked or with its Content-Length",
}


def status_of(error: BaseException) -> HTTPStatus | None:
    """``None`` for a failure that is not the client's."""
    if isinstance(error, http.InvalidResponseHeader | http.InvalidResponseHeaderName):
        return None
    return next((status for kind, status in _OTHERS if isinstance(error, kind)), None)


def said(error: BaseException) -> str:
    """What was wrong, on one line and without control characters. It quotes the client: for the client alone."""
    text = " ".join(str(error).split())[:LONGEST] or type(error).__name__
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def kind(error: BaseException) -> str:
    """What was wrong, for the log: without a quote, for a header that cannot be read may hold credentials."""
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in type(error).__name__)
    return words.strip()


def send(connection: socket.socket, status: HTTPStatus, error: BaseException) -> None:
    """Refuse; whether anybody listens does not matter. The connection is to be closed then."""
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and status is not HTTPStatus.NOT_IMPLEMENTED:
        message, code, reason = "the server failed; look at its log", "UNKNOWN", "InternalError"
    else:
        cure = _CURES.get(status, "write it as HTTP/1.1 (RFC 9112)")
        message = f"this is no request that can be read: {said(error)}; {cure}"
        code, reason = "UNSUPPORTED", "BadRequest"
    body = json.dumps(_document(status, message, code, reason)).encode() + b"\n"
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nX-Content-Type-Options: nosniff\r\n\r\n"
    )
    with suppress(OSError, ValueError):  # ssl.SSLError is an OSError
        connection.settimeout(PATIENCE)
        connection.sendall(head.encode("ascii") + body)


def _document(status: HTTPStatus, message: str, code: str, reason: str) -> dict[str, Any]:
    return {
        "errors": [{"code": code, "message": message}],
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": status.value,
    }
