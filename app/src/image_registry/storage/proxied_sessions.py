"""Sessions of requests whose connections go through the proxies of an installation.

Google's and Microsoft's libraries take a session. Which proxy, if any, is decided here for each request, by the rules
that hold everywhere else in the registry: those of requests are others, and come from the environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter

from image_registry.proxies import Proxies


class ProxiedAdapter(HTTPAdapter):
    """Makes the connections of a session; without proxies it does as it is told, perhaps by the environment."""

    def __init__(self, proxies: Proxies, **options: Any) -> None:
        self._chosen = proxies
        super().__init__(**options)

    def send(  # type: ignore[override]
        self, request: PreparedRequest, *, proxies: Mapping[str, str] | None = None, **options: Any
    ) -> Response:
        """As requests' own, through the proxy that was chosen for this address."""
        if self._chosen:
            proxy = self._chosen.of(request.url or "")
            proxies = {} if proxy is None else {"all": proxy.url}
        return super().send(request, proxies=dict(proxies or {}), **options)

    def proxy_headers(self, proxy: str) -> dict[str, str]:
        """What a proxy alone is shown."""
        for known in (self._chosen.http, self._chosen.https):
            if known is not None and known.url == proxy:
                return dict(known.headers)
        found: dict[str, str] = super().proxy_headers(proxy)
        return found


def mount(session: Session, proxies: Proxies, **options: Any) -> None:
    """Let a session make its connections so; ``options`` are those of requests' adapters."""
    adapter = ProxiedAdapter(proxies, **options)
    for scheme in ("https://", "http://"):
        session.mount(scheme, adapter)
