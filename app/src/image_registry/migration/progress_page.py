"""The page for people of how far a migration is. Pure."""

from __future__ import annotations

from typing import Any

from image_registry.migration import pages
from image_registry.migration.findings import by_severity
from image_registry.migration.journal import State
from image_registry.migration.object_tables import MOST_ROWS, Steps, others, rewrites_one, rewritten
from image_registry.migration.plan import Plan
from image_registry.migration.progress import PhaseProgress, Progress


def page(plan: Plan, found: Progress) -> str:
    """A whole page."""
    steps = Steps(plan, found)
    elsewhere = {step.id for step in plan.steps if rewrites_one(step)}
    titles = {step.id: step.title for step in plan.steps}
    return pages.render(
        "progress",
        plan=plan,
        progress=found,
        by_hand=[(name, titles.get(name, "")) for name in found.by_hand],
        findings=by_severity(plan.findings),
        phases=[_phase(phase, elsewhere) for phase in found.phases],
        workloads=rewritten(plan, steps),
        tables=others(plan, steps),
        most=MOST_ROWS,
    )


def _phase(phase: PhaseProgress, elsewhere: set[str]) -> dict[str, Any]:
    """What stands with its object in the tables of workloads is a number here; what has failed comes first of many."""
    listed = [step for step in phase.steps if step.id not in elsewhere]
    if len(listed) > MOST_ROWS:
        listed.sort(key=lambda step: step.state not in (State.FAILED, State.BEGUN))
    began = min((step.began for step in phase.steps if step.began), default="")
    return {"progress": phase, "steps": listed, "began": began, "estimate": sum(step.estimate for step in phase.steps)}
