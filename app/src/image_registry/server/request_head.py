"""Recognizes the simplest requests in the bytes of a connection, and nothing else.

One strict pattern: GET or HEAD, a plain target below ``/v2/``, HTTP/1.1, each header once, and only headers of which
none changes the answer. Whatever is missing from the list below (conditions, ranges, bodies, upgrades, anything
unheard of) makes it somebody else's request, which reads the same bytes by the rules of HTTP.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

LONGEST = 16 << 10
"""Bytes of a head that are looked at; also what one TLS record holds."""

_REQUEST = re.compile(rb"(GET|HEAD) (/v2/[!-~]*) HTTP/1\.1\r\n((?:[A-Za-z-]+:[ \t]*[ -~]*\r\n)+)\r\n")
_HEADER = re.compile(rb"([A-Za-z-]+):[ \t]*([ -~]*)\r\n")
_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_LONGEST_LINE = 8000

HARMLESS = frozenset(
    {
        b"host",
        b"user-agent",
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"authorization",
        b"connection",
        b"x-request-id",
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-real-ip",
        b"traceparent",
        b"tracestate",
        b"cache-control",
        b"pragma",
        b"docker-distribution-api-version",
        b"x-meta-source-client",
    }
)
"""Names of headers with which an answer of ours is the same as without. ``Cache-Control`` of a request is for caches
that may be stale, which ours is not."""


def refusal(status: str, message: str) -> bytes:
    """A whole answer to a request that nobody could read to its end."""
    body = json.dumps({"errors": [{"code": "UNSUPPORTED", "message": message}]})
    head = f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n{body}".encode()


class Simple(NamedTuple):
    """A request that was recognized."""

    method: str
    target: str
    authorization: str | None
    request_id: str
    agent: str


def recognize(data: bytes) -> Simple | None:
    """The request, if ``data`` is one of the simple ones from its first to its last byte."""
    match = _REQUEST.fullmatch(data) if len(data) <= LONGEST else None
    if match is None:
        return None
    found: dict[bytes, bytes] = {}
    for name, value in _HEADER.findall(match[3]):
        lower = name.lower()
        if lower not in HARMLESS or lower in found:
            return None
        found[lower] = value.strip(b" \t")
    target = match[2]
    if b"host" not in found or found.get(b"connection", b"keep-alive").lower() != b"keep-alive":
        return None
    if len(target) > _LONGEST_LINE or b"#" in target or b"%" in target or b"//" in target or b"/." in target:
        return None
    given = found.get(b"x-request-id", b"")
    authorization = found.get(b"authorization")
    return Simple(
        match[1].decode(),
        target.decode(),
        None if authorization is None else authorization.decode(),
        given.decode() if _ID.fullmatch(given) else "",
        found.get(b"user-agent", b"").decode(),
    )
