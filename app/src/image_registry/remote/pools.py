"""Connections to other registries, and whom they believe.

What the system trusts takes longer to read than many a registry to ask, so it is read when somebody is first asked who
has to prove who it is: a copy between registries without TLS never does.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Mapping
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from image_registry.proxies import Proxy
from image_registry.remote.addresses import AddressRules, open_connection

CONNECT = 5.0
"""Seconds to wait for a connection."""

HOSTS, CONNECTIONS = 64, 16
"""Servers with idle connections, and idle connections of each."""


class Pools:
    """Thread-safe. Made when first used, so a fork before that shares nothing.

    ``authorities`` are further CAs in PEM, beside those of the system; what is no PEM raises ``ssl.SSLError`` at once.
    """

    def __init__(self, rules: AddressRules, authorities: str, known: Mapping[str, str]) -> None:
        self._rules, self._known = rules, known
        self._lock = threading.Lock()
        self._trusting: ssl.SSLContext | None = None
        if authorities.strip():
            self._trusting = ssl.create_default_context()
            self._trusting.load_verify_locations(cadata=authorities)
        self._made: dict[tuple[Proxy | None, bool], urllib3.PoolManager] = {}

    def of(self, proxy: Proxy | None, *, insecure: bool) -> urllib3.PoolManager:
        """Those through a proxy or none; ``insecure`` ones believe any server behind it, and still no false proxy."""
        with self._lock:
            found = self._made.get((proxy, insecure))
            if found is None:
                found = self._made[proxy, insecure] = self._make(proxy, insecure=insecure)
            return found

    def _make(self, proxy: Proxy | None, *, insecure: bool) -> urllib3.PoolManager:
        options: dict[str, Any] = {"num_pools": HOSTS, "maxsize": CONNECTIONS}
        options |= {"assert_hostname": False, "cert_reqs": ssl.CERT_NONE} if insecure else {}
        options["ssl_context"] = _believing() if insecure else self._verifying()
        if proxy is None:
            pools, rules = urllib3.PoolManager(**options), self._rules
        else:
            options |= {"proxy_headers": proxy.headers, "proxy_ssl_context": self._verifying()}
            pools = urllib3.ProxyManager(proxy.url, **options)
            rules = AddressRules(hosts=frozenset({proxy.host}))  # an administrator named it
        pools.pool_classes_by_scheme = _classes(rules, self._known)
        return pools

    def _verifying(self) -> ssl.SSLContext:
        if self._trusting is None:
            self._trusting = ssl.create_default_context()
        return self._trusting


def _believing() -> ssl.SSLContext:
    """Encrypts, and asks nobody who it is: it has no use for what the system trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _classes(rules: AddressRules, known: Mapping[str, str]) -> dict[str, type[HTTPConnectionPool]]:
    """Pools whose connections go to addresses that the rules allow."""

    def new_connection(self: HTTPConnection) -> socket.socket:
        timeout = self.timeout if isinstance(self.timeout, int | float) else CONNECT
        try:
            return open_connection(self.host.strip("[]"), self.port or 0, timeout, rules, known)
        except TimeoutError as error:
            raise urllib3.exceptions.ConnectTimeoutError(self, "no connection in time") from error
        except socket.gaierror as error:
            raise urllib3.exceptions.NameResolutionError(self.host, self, error) from error
        except OSError as error:
            raise urllib3.exceptions.NewConnectionError(self, error.strerror or "no connection") from error

    class Plain(HTTPConnection):
        _new_conn = new_connection

    class Encrypted(HTTPSConnection):
        _new_conn = new_connection

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class EncryptedPool(HTTPSConnectionPool):
        ConnectionCls = Encrypted

    return {"http": PlainPool, "https": EncryptedPool}
