"""The report for people: one page of HTML that needs nothing else, neither a network nor scripts.

Everything in it is text of a cluster that others can write to, so everything is escaped; a policy in the page forbids
what it does not need anyway.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

from image_registry import measures
from image_registry.migration.facts import Inventory
from image_registry.migration.findings import Finding, Severity
from image_registry.migration.phases import ORDER, READ_ONLY
from image_registry.migration.plan import Plan

MOST_ROWS = 500
"""Of a table; the documents have all of them."""


def html(inventory: Inventory, findings: tuple[Finding, ...], plan: Plan | None = None) -> str:
    """A whole page."""
    from jinja2 import Environment, StrictUndefined  # of use to nobody who starts a command

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"size": size, "duration": duration}
    text = resources.files(__package__).joinpath("report.html.j2").read_text(encoding="utf-8")
    return environment.from_string(text).render(
        inventory=inventory,
        findings={severity.value: [found for found in findings if found.severity is severity] for severity in Severity},
        plan=plan,
        phases=_phases(plan) if plan else [],
        most=MOST_ROWS,
    )


def size(number: float | None) -> str:
    """``1.5 GiB``; a dash for what is not known."""
    return "-" if number is None else measures.size(number)


def duration(seconds: float) -> str:
    """``2 h 5 min``; of what is short only the seconds."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def _phases(plan: Plan) -> list[dict[str, Any]]:
    return [
        {"name": phase.value, "steps": steps, "seconds": sum(step.seconds for step in steps)}
        for phase in ORDER
        if phase not in READ_ONLY and (steps := list(plan.phase(phase)))
    ]
