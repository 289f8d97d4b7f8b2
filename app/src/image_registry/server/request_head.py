"""Recognizes the simplest requests in the bytes of a connection, and nothing else.

One strict pattern: GET or HEAD, a plain target below ``/v2/``, HTTP/1.1, each header once, and only headers of which
none changes the answer, or one plain range. Whatever is missing from the lists below (conditions, bodies, upgrades,
anything unheard of) makes it somebody else's request, which reads the same bytes by the rules of HTTP.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import NamedTuple

LONGEST = 16 << 10
"""Bytes of a head that are looked at; also what one TLS record holds."""

ALIKE, LONGEST_ALIKE = 256, 4096
"""Sets of headers that are remembered, and their bytes at most: a client sends the same ones with all its requests."""

_LINE = re.compile(rb"(GET|HEAD) (/v2/[!-~]*+) HTTP/1\.1\r\n")
_HEADERS = re.compile(rb"(?:[A-Za-z-]++:[ \t]*+[ -~]*+\r\n)++\r\n")
_HEADER = re.compile(rb"([A-Za-z-]++):[ \t]*+([ -~]*+)\r\n")
"""Nothing is tried twice: two parts that could share a row of blanks would be tried in every way, for half a second."""

_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_RANGE = re.compile(rb"bytes=(?:[0-9]{1,18}-[0-9]{0,18}|-[0-9]{1,18})")
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

RANGE, CONDITION = b"range", b"if-range"
_KNOWN = HARMLESS | {RANGE, CONDITION}


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
    range: str = ""
    """What ``Range`` says, if it is one plain range."""
    condition: str = ""
    """What ``If-Range`` says."""


def recognize(data: bytes) -> Simple | None:
    """The request, if ``data`` is one of the simple ones from its first to its last byte."""
    match = _LINE.match(data) if len(data) <= LONGEST else None
    if match is None:
        return None
    method, target = match.groups()
    if len(target) > _LONGEST_LINE or b"#" in target or b"//" in target or b"/." in target:
        return None
    if b"%" in target and b"%" in target.partition(b"?")[0]:
        return None
    headers = data[match.end() :]
    told = _told(headers) if len(headers) <= LONGEST_ALIKE else _told.__wrapped__(headers)
    if told is None or (told.range and method != b"GET"):
        return None
    return Simple(method.decode(), target.decode(), *told)


class _Told(NamedTuple):
    """What headers say, in the order of :class:`Simple`."""

    authorization: str | None
    request_id: str
    agent: str
    range: str
    condition: str


@lru_cache(maxsize=ALIKE)
def _told(headers: bytes) -> _Told | None:
    """All lines behind the first; ``None`` if they are not simple."""
    if _HEADERS.fullmatch(headers) is None:
        return None
    found: dict[bytes, bytes] = {}
    for name, value in _HEADER.findall(headers):
        lower = name.lower()
        if lower not in _KNOWN or lower in found:
            return None
        found[lower] = value.strip(b" \t")
    if b"host" not in found or found.get(b"connection", b"keep-alive").lower() != b"keep-alive":
        return None
    wanted, condition = found.get(RANGE), found.get(CONDITION)
    if (wanted is not None and not _RANGE.fullmatch(wanted)) or (condition is not None and not (condition and wanted)):
        return None
    given = found.get(b"x-request-id", b"")
    authorization = found.get(b"authorization")
    return _Told(
        None if authorization is None else authorization.decode(),
        given.decode() if _ID.fullmatch(given) else "",
        found.get(b"user-agent", b"").decode(),
        (wanted or b"").decode(),
        (condition or b"").decode(),
    )
