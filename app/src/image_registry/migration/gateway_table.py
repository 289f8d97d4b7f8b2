"""The gateway on the pages for people: what runs, where it leads, its records and what belongs to it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from image_registry.migration.facts import GatewayFact, Inventory
from image_registry.migration.object_tables import Row, Steps
from image_registry.migration.plan import Plan


def gateway_rows(inventory: Inventory, plan: Plan | None, steps: Steps) -> Iterator[Row]:
    """Its Deployment, its records and its pieces, but for those that are in other tables."""
    gateway = inventory.gateway_parts
    if gateway is None:
        if inventory.gateway is not None:  # as an earlier version has found it
            yield Row(inventory.gateway, ("pushes go through it",), steps=steps.of(inventory.gateway))
        return
    said = "" if gateway.ours or not plan else "it is neither stopped nor removed: see the findings"
    if gateway.workload is not None:
        name = gateway.workload.object
        yield Row(name, tuple(_facts(gateway)), said=said, steps=steps.of(name))
    for record in gateway.records:
        if record.object.kind != "AppRelease":  # which is among the releases
            facts = (f"says that the gateway is installed, in the {record.cluster} cluster",)
            yield Row(record.object, facts, said=said, steps=steps.of(record.object))
    known = {*inventory.patches, *(limit.object for limit in inventory.limits)}
    for piece in gateway.pieces:
        if piece not in known:
            yield Row(piece, ("belongs to the gateway",), said=said, steps=steps.of(piece))


def _facts(gateway: GatewayFact) -> Iterator[str]:
    if gateway.workload is not None:
        yield f"{gateway.workload.ready} of {gateway.workload.replicas} ready"
    if gateway.leads_to:
        yield f"asks {', '.join(gateway.leads_to)}"
    if gateway.fronts:
        yield "an Ingress with the registry's hosts leads to it"
    if gateway.elsewhere:
        yield "has a login for another registry"
