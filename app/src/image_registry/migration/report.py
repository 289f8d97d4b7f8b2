"""The report for people: what was found, what is planned, and what stands in the way."""

from __future__ import annotations

from typing import Any

from image_registry.migration import pages
from image_registry.migration.facts import Inventory
from image_registry.migration.findings import Finding, Severity
from image_registry.migration.phases import ORDER, READ_ONLY
from image_registry.migration.plan import Plan

MOST_ROWS = 500
"""Of a table; the documents have all of them."""


def html(inventory: Inventory, findings: tuple[Finding, ...], plan: Plan | None = None) -> str:
    """A whole page."""
    return pages.render(
        "report",
        inventory=inventory,
        findings={severity.value: [found for found in findings if found.severity is severity] for severity in Severity},
        plan=plan,
        phases=_phases(plan) if plan else [],
        most=MOST_ROWS,
    )


def _phases(plan: Plan) -> list[dict[str, Any]]:
    return [
        {"name": phase.value, "steps": steps, "seconds": sum(step.seconds for step in steps)}
        for phase in ORDER
        if phase not in READ_ONLY and (steps := list(plan.phase(phase)))
    ]
