"""Findings about the Registry Gateway: a way in that the freeze has to close, and a plugin of its own."""

from __future__ import annotations

from collections.abc import Iterator

from image_registry.migration.case import Case
from image_registry.migration.findings import Finding, note, warning
from image_registry.migration.generations import GATEWAY_DEPLOYMENT


def gateway_findings(case: Case) -> Iterator[Finding]:
    """What it is, where it leads, and what becomes of it."""
    gateway = case.inventory.gateway_parts
    if gateway is None:
        return
    about = gateway.workload.object if gateway.workload else gateway.records[0].object
    leads = ", ".join(gateway.leads_to)
    if not gateway.ours:
        why = "it has a login for another registry" if gateway.elsewhere else "nothing says that it leads to this one"
        yield warning(
            "gateway-elsewhere",
            about,
            f"there is a gateway, and {why}: it is neither stopped nor removed",
            "see what it stands before; if that is the registry before alone, remove its plugin after finalize",
        )
        return
    yield note(
        "gateway",
        about,
        f"pushes go through the gateway{f', which asks {leads}' if leads else ''}",
        "nothing: its limits become LimitRanges, it asks for the rights that the freeze takes, it is stopped with the "
        "registry and its plugin goes with it",
    )
    if gateway.past_rights:
        yield warning(
            "gateway-past-rights",
            about,
            f"it asks {leads}, past the proxy that asks for rights: who pushes through it is not refused by the freeze",
            f"let it ask the registry's own Service, or stop it from the freeze on (kubectl -n "
            f"{case.inventory.namespace} scale deployment {GATEWAY_DEPLOYMENT} --replicas=0), where nobody pulls by "
            "it; the gate `frozen` finds what was pushed",
        )
