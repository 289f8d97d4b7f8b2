"""One HTTP request to somebody else's server, and the redirects that follow it.

Every connection goes through :mod:`~image_registry.remote.addresses`. Certificates are verified unless the caller says
that this registry has none. Credentials go to the server that they are for and are not sent along to another one
(registries reference 4.3, row 58). Bodies are not read here beyond what the caller takes.
"""

from __future__ import annotations

import json
import re
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from http import HTTPStatus
from typing import Literal
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, MaxRetryError, ProxyError, SSLError

from image_registry import __version__
from image_registry.proxies import Proxies, Proxy
from image_registry.remote.addresses import AddressRules, ProxiedNames
from image_registry.remote.bodies import Body, Stream
from image_registry.remote.credentials import ANONYMOUS
from image_registry.remote.errors import (
    Blocked,
    NotARegistry,
    RemoteError,
    TooLarge,
    Unreachable,
    UnsafeAddress,
    Untrusted,
)
from image_registry.remote.pools import CONNECT, Pools
from image_registry.remote.reference import parse_registry

READ = 30.0
"""Seconds to wait for the next bytes of an answer."""

SMALL = 60.0
"""Seconds that an answer which is read whole may take, though a byte comes now and then."""

AGENT = f"image-registry/{__version__}"
REDIRECTS = 5
ERROR_BODY = 16 << 10
"""Bytes of an error that are read for its message."""

_MOVED = frozenset({301, 302, 303, 307, 308})
_ONCE = urllib3.Retry(total=0, redirect=False, raise_on_status=False)
_NO_TUNNEL = re.compile(r"Tunnel connection failed: ([0-9]{3})")

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


class Answer:
    """Status, headers with names in lower case, and a body that is read at most once."""

    def __init__(self, raw: urllib3.BaseHTTPResponse, url: str) -> None:
        self._raw = raw
        self.url = url
        self.login = ANONYMOUS
        """Whose question it answers."""
        self.status = raw.status
        self.headers = {name.lower(): ", ".join(raw.headers.getlist(name)) for name in raw.headers}

    @property
    def length(self) -> int | None:
        """What the server announces."""
        text = self.headers.get("content-length", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None

    def chunks(self, size: int) -> Iterator[bytes]:
        """The body in parts. Raises :class:`Unreachable` when it breaks off."""
        try:
            yield from self._raw.stream(size, decode_content=False)
        except HTTPError as error:
            raise Unreachable(f"{_host(self.url)} broke off in the middle of an answer: {_cause(error)}") from None

    def read(self, limit: int) -> bytes:
        """The whole body. Raises :class:`TooLarge`, and :class:`Unreachable` when it breaks off or does not end."""
        if (self.length or 0) > limit:
            raise TooLarge(f"{_host(self.url)} answered with {self.length} bytes; at most {limit} are read here")
        deadline, parts, total = time.monotonic() + SMALL, [], 0
        for chunk in self.chunks(1 << 16):
            total += len(chunk)
            if total > limit:
                raise TooLarge(f"{_host(self.url)} answered with more than {limit} bytes, which is all that is read")
            if time.monotonic() > deadline:
                raise Unreachable(f"{_host(self.url)} did not end an answer within {SMALL:.0f} seconds")
            parts.append(chunk)
        return b"".join(parts)

    def message(self) -> str:
        """What an error body says, shortened and on one line; empty if it says nothing that can be read."""
        try:
            document = json.loads(self.read(ERROR_BODY))
            first = document["errors"][0]
            text = f"{first.get('code', '')}: {first.get('message', '')}"
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError, TooLarge, Unreachable):
            return ""
        return "".join(character if character.isprintable() else " " for character in text)[:300]

    def close(self) -> None:
        """Give the connection back if the body was read, and end it otherwise."""
        try:
            self._raw.drain_conn() if (self.length or 0) <= ERROR_BODY else self._raw.close()
        except HTTPError:
            self._raw.close()
        self._raw.release_conn()


class Wire:
    """Thread-safe; must be built after a fork. ``authorities`` are further CAs in PEM, beside those of the system;
    ``known`` has addresses of hosts that no resolver here knows."""

    def __init__(
        self,
        rules: AddressRules,
        *,
        authorities: str = "",
        proxies: Proxies | None = None,
        known: Mapping[str, str] | None = None,
        connect: float = CONNECT,
        read: float = READ,
    ) -> None:
        self._timeout = urllib3.Timeout(connect=connect, read=read)
        self._proxies, self._names = proxies or Proxies(), ProxiedNames(rules)
        self._pools = Pools(rules, authorities, known or {})
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    @contextmanager
    def send(
        self,
        method: Method,
        url: str,
        headers: Mapping[str, str],
        *,
        body: Body | None = None,
        insecure: bool = False,
        follow: bool = True,
    ) -> Iterator[Answer]:
        """One request; redirects of GET and HEAD are followed. Raises of :class:`RemoteError` what is wrong."""
        sent: Mapping[str, str] = {
            "User-Agent": f"image-registry/{__version__}",
            "Accept-Encoding": "identity",
            **headers,
        }
        if isinstance(body, Stream):
            sent = {**sent, "Content-Length": str(body.length)}
        for _ in range(REDIRECTS + 1):
            answer = self._once(method, url, sent, body, insecure=insecure)
            if not (follow and method in ("GET", "HEAD") and answer.status in _MOVED and "location" in answer.headers):
                with closing(answer):
                    yield answer
                return
            answer.close()
            url, sent = _next(url, answer.headers["location"], sent, insecure=insecure)
        raise NotARegistry(f"{_host(url)} redirects in a circle; check the name of the registry")

    def _once(
        self, method: Method, url: str, headers: Mapping[str, str], body: Body | None, *, insecure: bool
    ) -> Answer:
        proxy = self._proxies.of(url)
        if proxy is not None:
            self._names.check(urlsplit(url).hostname or "")
        try:
            raw = self._pools.of(proxy, insecure=insecure).request(
                method,
                url,
                headers=headers,
                body=body.parts if isinstance(body, Stream) else body,
                timeout=self._timeout,
                retries=_ONCE,
                redirect=False,
                preload_content=False,
            )
        except HTTPError as error:
            cause = error.reason if isinstance(error, MaxRetryError) and error.reason else error
            if proxy is not None and isinstance(cause, ProxyError):
                raise _refused(proxy, url, cause) from None
            if isinstance(cause, SSLError):
                raise Untrusted(
                    f"no trusted connection to {_host(url)}: {_cause(cause)}; let an administrator trust its CA, or "
                    "mark the registry as insecure"
                ) from None
            raise Unreachable(
                f"{_host(url)} does not answer: {_cause(cause)}; check the name and the network"
            ) from None
        if proxy is not None and raw.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            raw.close()
            raise _no_credentials(proxy, url)
        return Answer(raw, url)


def _refused(proxy: Proxy, url: str, error: ProxyError) -> RemoteError:
    """Why a proxy made no connection, told by what it said."""
    said = _NO_TUNNEL.search(f"{error} {error.original_error}")
    status = int(said[1]) if said else 0
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return _no_credentials(proxy, url)
    if 400 <= status < 500:
        return Blocked(f"the proxy {proxy} makes no connection to {_host(url)} (status {status}); ask who runs it")
    what = f"status {status}" if status else _cause(error)
    return Unreachable(
        f"no connection to {_host(url)} through the proxy {proxy}: {what}; check the settings of proxies"
    )


def _no_credentials(proxy: Proxy, url: str) -> Unreachable:
    return Unreachable(
        f"the proxy {proxy} wants other credentials than those there are before it connects to {_host(url)}; check "
        "the settings of proxies"
    )


def _next(url: str, location: str, headers: Mapping[str, str], *, insecure: bool) -> tuple[str, Mapping[str, str]]:
    """Where a redirect leads and what is sent there."""
    target = urljoin(url, location)
    before, after = urlsplit(url), urlsplit(target)
    if after.scheme not in ("http", "https") or not after.hostname or after.username or after.password:
        raise NotARegistry(f"{_host(url)} redirects to something that is no address of the web")
    if after.scheme == "http" and before.scheme == "https" and not insecure:
        raise Untrusted(
            f"{_host(url)} redirects to a connection without TLS, to {_host(target)}; nothing is sent there"
        )
    try:
        parse_registry(after.netloc)
    except ValueError:
        raise UnsafeAddress(f"{_host(url)} redirects to a host that is spelled strangely") from None
    if (before.scheme, before.netloc) != (after.scheme, after.netloc):
        headers = {name: value for name, value in headers.items() if name.lower() != "authorization"}
    return target, headers


def _host(url: str) -> str:
    """What may be shown of an address: signed ones are secrets."""
    return urlsplit(url).netloc.rpartition("@")[2]


def _cause(error: BaseException) -> str:
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    if isinstance(error, ssl.SSLCertVerificationError):
        return str(error.verify_message)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
