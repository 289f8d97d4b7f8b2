"""The report for people: what was found, what is planned, and what stands in the way."""

from __future__ import annotations

from typing import Any

from image_registry.migration import pages
from image_registry.migration.facts import Inventory
from image_registry.migration.findings import Finding, by_severity
from image_registry.migration.inventory_tables import surroundings
from image_registry.migration.object_tables import MOST_ROWS, Steps, rewrites_one, workloads
from image_registry.migration.phases import ORDER, READ_ONLY
from image_registry.migration.plan import Plan


def html(inventory: Inventory, findings: tuple[Finding, ...], plan: Plan | None = None) -> str:
    """A whole page."""
    steps = Steps(plan)
    return pages.render(
        "report",
        inventory=inventory,
        findings=by_severity(findings),
        plan=plan,
        phases=_phases(plan) if plan else [],
        workloads=workloads(inventory, plan, steps),
        tables=surroundings(inventory, plan, steps),
        most=MOST_ROWS,
    )


def _phases(plan: Plan) -> list[dict[str, Any]]:
    """What stands with its object in the tables of workloads is a number here."""
    found = []
    for phase in ORDER:
        steps = [] if phase in READ_ONLY else list(plan.phase(phase))
        if steps:
            listed = [step for step in steps if not rewrites_one(step)]
            seconds = sum(step.seconds for step in steps)
            found.append({"name": phase.value, "number": len(steps), "steps": listed, "seconds": seconds})
    return found
