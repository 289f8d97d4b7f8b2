"""Names of the two registries before and after the cutover, as the plan has them."""

from __future__ import annotations

from image_registry.migration.actions import Context


def moved_hosts(context: Context) -> frozenset[str]:
    """By which this registry is named after the cutover: its own, and those that it has taken over."""
    routes = context.plan.values.get("routes") or ()
    return frozenset({context.plan.host, *(str(route["hostname"]) for route in routes)})


def all_hosts(context: Context) -> frozenset[str]:
    """By which either is named: who still waits for an image of the registry before waits for one of ours."""
    return moved_hosts(context) | {str(host) for host in context.plan.pruner.get("registryHosts") or ()}
