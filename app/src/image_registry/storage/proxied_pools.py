"""Connections of urllib3 that go through the proxies of an installation, each request by its own address."""

from __future__ import annotations

from typing import Any

import urllib3

from image_registry.proxies import Proxies, Proxy


class Pools:
    """One pool for what is asked without a proxy and one for each proxy; ``options`` are those of urllib3's pools."""

    def __init__(self, proxies: Proxies, **options: Any) -> None:
        self._proxies = proxies
        self._pools: dict[Proxy | None, urllib3.PoolManager] = {None: urllib3.PoolManager(**options)}
        for proxy in {proxies.http, proxies.https} - {None}:
            if proxy is not None:
                self._pools[proxy] = urllib3.ProxyManager(proxy.url, proxy_headers=proxy.headers, **options)

    def request(self, method: str, url: str, **options: Any) -> urllib3.BaseHTTPResponse:
        """As urllib3's own."""
        return self._pools[self._proxies.of(url)].request(method, url, **options)
