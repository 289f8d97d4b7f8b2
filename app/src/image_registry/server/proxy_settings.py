"""Through which proxies other registries and object stores are asked: ``REGISTRY_PROXY_*``, credentials from a folder.

Variables of our own: ``HTTPS_PROXY`` would lead the cluster's own API and everything else through the proxy too, each
library by rules of its own, and its credentials would be in the environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from image_registry.proxies import Proxies, Proxy
from image_registry.server.refusals import InvalidSettings

HTTP, HTTPS, NO_PROXY = "REGISTRY_PROXY_HTTP", "REGISTRY_PROXY_HTTPS", "REGISTRY_PROXY_NO_PROXY"
CREDENTIALS = "REGISTRY_PROXY_CREDENTIALS"
"""A folder with the files ``username`` and ``password``."""

VARIABLES = (HTTP, HTTPS, NO_PROXY, CREDENTIALS)


def read_proxies(environment: Mapping[str, str]) -> Proxies:
    """Raises :class:`InvalidSettings`, which quotes no address because there may be a password in it."""
    http, https = (environment.get(name, "").strip() for name in (HTTP, HTTPS))
    if not (http or https):
        return Proxies()
    folder = environment.get(CREDENTIALS, "").strip()
    username, password = (_file(Path(folder) / name) if folder else "" for name in ("username", "password"))

    def proxy(variable: str, text: str) -> Proxy | None:
        try:
            return Proxy.parse(text, username, password) if text else None
        except ValueError as error:
            raise InvalidSettings(f"{variable} {error}") from None

    direct = Proxies.entries(environment.get(NO_PROXY, ""))
    return Proxies(proxy(HTTP, http), proxy(HTTPS, https), direct)


def _file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InvalidSettings(f"{CREDENTIALS}: cannot read {path}: {why}") from None
