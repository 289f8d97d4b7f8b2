"""Reads the head of an ordinary request with one look; whatever is not ordinary is read by gunicorn's own parser.

Ordinary is: a registry path in plain letters, HTTP/1.1, each header once, nothing about how the message is framed but
its length. Nearly all requests of clients are. What is read here is exactly what gunicorn would have read, which a test
compares; gunicorn needs ten times as long because it must be ready for everything else.
"""

from __future__ import annotations

import io
import re
from typing import Any

from gunicorn.http.body import Body, LengthReader  # type: ignore[import-untyped]
from gunicorn.http.message import Request  # type: ignore[import-untyped]
from gunicorn.http.parser import RequestParser  # type: ignore[import-untyped]

_HEAD = re.compile(
    rb"(GET|HEAD|POST|PUT|PATCH|DELETE) (/v2/[!-~]*+) HTTP/1\.1\r\n((?:[A-Za-z0-9-]++:[ -~]*+\r\n)++)\r\n"
)
_HEADER = re.compile(r"([A-Z0-9a-z-]+):([ -~]*)\r\n")
_LENGTH = re.compile(r"[0-9]{1,18}", re.ASCII)

LONGEST = 8 << 10
"""Bytes of a head that is looked at: every limit on heads is above it."""

MOST = 60
"""Headers of such a head, likewise."""

FRAMING = frozenset({"TRANSFER-ENCODING", "EXPECT", "UPGRADE", "HTTP2-SETTINGS", "TE", "TRAILER", "PROXY"})
"""Headers that change how the request is to be taken."""

BODY = "PATCH", "POST", "PUT"


class PlainRequest(Request):  # type: ignore[misc]
    """A request of gunicorn, ``plain`` if its head was read here."""

    plain = False

    def __init__(self, cfg: Any, unreader: Any, peer_addr: Any, req_number: int = 1) -> None:
        data = unreader.buf.getvalue()
        match = _HEAD.match(data, 0, LONGEST)
        if match is None or not self._take(match):
            super().__init__(cfg, unreader, peer_addr, req_number)
            return
        self.plain = True
        self.cfg, self.unreader = cfg, unreader
        self.peer_addr = self.remote_addr = peer_addr
        self.req_number = req_number
        self.trailers: list[tuple[str, str]] = []
        self.proxy_protocol_info = None
        self.must_close = self._expected_100_continue = False
        self.scheme = "https" if cfg.is_ssl else "http"
        unreader.buf = io.BytesIO()
        if len(data) > match.end():
            unreader.buf.write(memoryview(data)[match.end() :])
        self.body = Body(LengthReader(unreader, self.length))

    def _take(self, match: re.Match[bytes]) -> bool:
        """Whether this is all ordinary; then everything that the head says is known."""
        target = match[2].decode("ascii")
        path, _, query = target.partition("?")
        if "#" in target or "%" in path:
            return False
        headers = [(name.upper(), value.strip(" ")) for name, value in _HEADER.findall(match[3].decode("ascii"))]
        found = dict(headers)
        if len(found) != len(headers) or len(found) > MOST or "HOST" not in found or not FRAMING.isdisjoint(found):
            return False
        length = found.get("CONTENT-LENGTH", "0")
        if not _LENGTH.fullmatch(length) or found.get("CONNECTION", "keep-alive").lower() != "keep-alive":
            return False
        self.method, self.version = match[1].decode("ascii"), (1, 1)
        self.uri, self.path, self.query, self.fragment = target, path, query, ""
        self.headers, self.length = headers, int(length)
        return True

    def should_close(self) -> bool:
        if self.plain:
            return bool(self.must_close)
        return bool(super().should_close())


class PlainParser(RequestParser):  # type: ignore[misc]
    """Makes such requests of the bytes of one connection."""

    mesg_class = PlainRequest

    def finish_body(self, deadline: float | None = None, max_bytes: int | None = None) -> bool:
        """Most bodies are read to their end; then there is nothing to set up in order to skip nothing."""
        body = self.mesg.body if self.mesg else None
        reader = getattr(body, "reader", None)
        if isinstance(reader, LengthReader) and not reader.length and not getattr(body, "failed", False):
            return True
        return bool(super().finish_body(deadline, max_bytes))
