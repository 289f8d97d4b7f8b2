"""Which addresses a name may lead to, decided at the moment of connecting.

Whoever may import names the host that is asked, from inside of the cluster. So a name is resolved once, every address
is looked at, and the connection goes to one of those addresses and to nothing that a second look-up would give
(registries reference 4.3, rows 16 to 18; the same for every redirect and every token server).
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from image_registry.remote.errors import UnsafeAddress

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

LOOKED_UP, NAMES = 60.0, 1024
"""Seconds for which it is remembered what a name means, and how many names."""

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class AddressRules:
    """Public addresses are for all names. ``networks`` are open beside them; ``hosts`` were named by administrators."""

    networks: tuple[Network, ...] = ()
    hosts: frozenset[str] = frozenset()

    @staticmethod
    def of(networks: Iterable[str] = (), hosts: Iterable[str] = ()) -> AddressRules:
        """From text. Raises ``ValueError`` for what is no network."""
        parsed = tuple(ipaddress.ip_network(text, strict=False) for text in networks)
        return AddressRules(parsed, frozenset(host.lower() for host in hosts))

    def permits(self, host: str, address: Address) -> bool:
        """Whether a connection to this address may be made for this host."""
        inner = _inner(address)
        if host.lower() in self.hosts or any(inner in network for network in self.networks):
            return True
        return inner.is_global and not inner.is_multicast


def open_connection(
    host: str, port: int, timeout: float | None, rules: AddressRules, known: Mapping[str, str] = MappingProxyType({})
) -> socket.socket:
    """A connection to the first permitted address that takes it; ``known`` has addresses of names that nobody looks up.

    Raises :class:`UnsafeAddress` if no address is permitted, and ``OSError`` as :mod:`socket` does.
    """
    found = socket.getaddrinfo(known.get(host, host), port, type=socket.SOCK_STREAM)
    permitted = [entry for entry in found if rules.permits(host, _parsed(entry[4][0]))]
    if not permitted:
        raise _unsafe(host, sorted({str(entry[4][0]) for entry in found}))
    failure: OSError | None = None
    for family, kind, protocol, _, place in permitted:
        opened = socket.socket(family, kind, protocol)
        try:
            opened.settimeout(timeout)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            opened.connect(place)
        except OSError as error:
            opened.close()
            failure = error
        else:
            return opened
    raise failure or OSError("no address")


class ProxiedNames:
    """Names that a proxy will resolve for us: what they mean to it is its matter, what they mean here is looked at.

    A name that means nothing here is left to the proxy; behind one, other names may not be known inside. Answers are
    remembered for a moment, because a look-up in vain can take seconds. Thread-safe.
    """

    def __init__(self, rules: AddressRules, clock: Callable[[], float] = time.monotonic) -> None:
        self._rules, self._clock = rules, clock
        self._known: dict[str, tuple[float, tuple[str, ...]]] = {}

    def check(self, host: str) -> None:
        """Raise :class:`UnsafeAddress` if an address of the name is closed."""
        until, closed = self._known.get(host, (0.0, ()))
        if until < self._clock():
            closed = self._closed(host)
            if len(self._known) >= NAMES:
                self._known.clear()
            self._known[host] = (self._clock() + LOOKED_UP, closed)
        if closed:
            raise _unsafe(host, closed)

    def _closed(self, host: str) -> tuple[str, ...]:
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return ()
        addresses = {str(entry[4][0]) for entry in found}
        return tuple(sorted(text for text in addresses if not self._rules.permits(host, _parsed(text))))


def _unsafe(host: str, addresses: Iterable[str]) -> UnsafeAddress:
    return UnsafeAddress(
        f"{host} leads to {', '.join(addresses)[:200]}, an address of the inside; if a registry is there, an "
        "administrator must name its host or network in the settings of imports"
    )


def _parsed(text: object) -> Address:
    return ipaddress.ip_address(str(text).partition("%")[0])


def _inner(address: Address) -> Address:
    """The address that packets end at: some of version 6 only wrap one of version 4."""
    if isinstance(address, ipaddress.IPv6Address):
        wrapped = address.ipv4_mapped or address.sixtofour
        if wrapped is None and address in _NAT64:
            wrapped = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return wrapped or address
    return address
