"""Names of the two registries before and after the cutover, as the plan has them."""

from __future__ import annotations

from collections.abc import Container
from urllib.parse import urlsplit

from image_registry.migration.actions import Context

_DEFAULT = {"https": ":443", "http": ":80"}


def moved_hosts(context: Context) -> frozenset[str]:
    """By which this registry is named after the cutover: its own, and those that it has taken over."""
    routes = context.plan.values.get("routes") or ()
    return frozenset({context.plan.host, *(str(route["hostname"]) for route in routes)})


def all_hosts(context: Context) -> frozenset[str]:
    """By which either is named: who still waits for an image of the registry before waits for one of ours."""
    return moved_hosts(context) | {str(host) for host in context.plan.pruner.get("registryHosts") or ()}


def moves_away(url: str, moved: Container[str]) -> str:
    """The host of an address at which another registry answers after the cutover; empty for an address that stays."""
    parts = urlsplit(url if "://" in url else f"https://{url}")
    host = parts.netloc.rpartition("@")[2].lower()
    plain = host.removesuffix(_DEFAULT.get(parts.scheme, ""))
    return host if host in moved or plain in moved else ""
