"""Which requests go through a proxy, and through which: the rules that ``HTTPS_PROXY`` and ``NO_PROXY`` have elsewhere.

Pure. A proxy may want credentials; they are shown to it alone, and no text of this module has them.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

_PORTS = {"http": 80, "https": 443}
_ROOT = re.compile(r"\.(:\d+)?$")
"""The dot of the root, at the end of a name and perhaps before its port."""
_ALWAYS_DIRECT = ("localhost", ".localhost", ".svc", ".cluster.local", "metadata.google.internal")
"""What no proxy outside of the cluster can know; likewise names without a dot, which are Services of our own
namespace, and addresses of a link, where clouds say who a Pod is."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A server that makes connections for us; ``scheme`` is how it is spoken to itself."""

    scheme: str
    host: str
    port: int
    username: str = ""
    password: str = field(default="", repr=False)

    @staticmethod
    def parse(text: str, username: str = "", password: str = "") -> Proxy:
        """From an address, perhaps with credentials. Raises :class:`ValueError`, which does not quote it."""
        parts = urlsplit(text if "://" in text else f"http://{text}")
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in _PORTS or not parts.hostname or port == -1 or parts.path.strip("/") or parts.query:
            raise ValueError("is no address of a proxy; write http://<host>:<port>")
        return Proxy(
            parts.scheme,
            parts.hostname,
            port or _PORTS[parts.scheme],
            username or unquote(parts.username or ""),
            password or unquote(parts.password or ""),
        )

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """Its address, without credentials."""
        return f"{self.scheme}://{self}"

    @property
    def url_with_credentials(self) -> str:
        """The same with its credentials, for libraries that know no other way: never to be shown."""
        if not (self.username or self.password):
            return self.url
        return f"{self.scheme}://{quote(self.username, safe='')}:{quote(self.password, safe='')}@{self}"

    @property
    def headers(self) -> Mapping[str, str]:
        """What it alone is shown."""
        if not (self.username or self.password):
            return {}
        secret = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        return {"Proxy-Authorization": f"Basic {secret}"}


@dataclass(frozen=True, slots=True)
class Proxies:
    """``http`` and ``https`` are for requests of that kind; ``direct`` are the entries of a ``NO_PROXY``."""

    http: Proxy | None = None
    https: Proxy | None = None
    direct: tuple[str, ...] = ()

    @staticmethod
    def entries(text: str) -> tuple[str, ...]:
        """Of a ``NO_PROXY``, in their one spelling: commas or blanks between them, no dot at the end."""
        words = (word.lower() for word in text.replace(",", " ").split())
        return tuple(entry for word in words if (entry := _ROOT.sub(r"\1", word)))

    def __bool__(self) -> bool:
        return self.http is not None or self.https is not None

    def of(self, url: str) -> Proxy | None:
        """The proxy for a request; ``None`` for a connection of our own."""
        parts = urlsplit(url)
        proxy = self.https if parts.scheme == "https" else self.http
        if proxy is None or self._is_direct(parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)):
            return None
        return proxy

    def __str__(self) -> str:
        if not self:
            return "none"
        return f"http: {self.http or 'none'}, https: {self.https or 'none'}, direct: {', '.join(self.direct) or 'none'}"

    def _is_direct(self, host: str, port: int) -> bool:
        host = host.lower().rstrip(".")
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            address = None
        if address is not None and (address.is_loopback or address.is_link_local):
            return True
        if address is None and ("." not in host or any(_fits_name(host, name) for name in _ALWAYS_DIRECT)):
            return True
        return any(_fits(entry, host, port, address) for entry in self.direct)


def _fits(entry: str, host: str, port: int, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None) -> bool:
    if entry == "*":
        return True
    if address is not None:
        try:
            return address in ipaddress.ip_network(entry.strip("[]"), strict=False)
        except ValueError:
            pass
    name, colon, wanted = entry.rpartition(":")
    if colon and wanted.isdigit():
        if int(wanted) != port:
            return False
        entry = name
    if address is not None:
        return entry.strip("[]") == str(address)
    return _fits_name(host, entry)


def _fits_name(host: str, name: str) -> bool:
    """A name is for itself and everything below; one that begins with a dot for what is below alone."""
    name = name.removeprefix("*")
    return host.endswith(name) if name.startswith(".") else host == name or host.endswith(f".{name}")
