"""What became of images and of what gates looked at, for a report: how many ended how, and each that is not well.

The files beside the journal have all of them. A report names what somebody has to see to, and who accepted the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from image_registry.migration.item_results import FAILED, NOT_TRIED, OPEN, read_results, results_path
from image_registry.migration.journal import Journal
from image_registry.migration.plan import Plan

MOST_NAMED = 200
"""Of a step; the file has all of them."""


@dataclass(frozen=True, slots=True)
class NotWell:
    """An image, or something else, that is not as it must be. ``id`` is the name by which that is accepted."""

    name: str
    outcome: str
    cause: str
    id: str = ""
    accepted: str = ""
    """What it was accepted by."""

    @property
    def open(self) -> bool:
        """Whether somebody has to see to it."""
        return not self.accepted and self.outcome in (FAILED, NOT_TRIED, OPEN)


@dataclass(frozen=True, slots=True)
class StepResults:
    """Of one step; ``not_well`` begins with what is open."""

    step: str
    title: str
    file: str
    outcomes: Mapping[str, int] = field(default_factory=dict)
    bytes: int = 0
    not_well: tuple[NotWell, ...] = ()
    more: int = 0
    """How many others are not well."""


def results_of(plan: Plan, journal: Journal, folder: Path) -> tuple[StepResults, ...]:
    """Of each step that was begun and not taken back, and has written down single things."""
    found = []
    for step in plan.steps:
        path = results_path(folder, step)
        if journal.state(step) is not None and (lines := read_results(path)):
            found.append(_of(step.id, step.title, path, lines))
    return tuple(found)


def named_in(said: str, results: tuple[StepResults, ...]) -> list[str]:
    """A line with the cause for each open thing that a sentence names, as one about a gate that is not green does."""
    return list(
        dict.fromkeys(
            f"{item.id}: {item.cause}"
            for found in results
            for item in found.not_well
            if item.open and item.id and item.id in said
        )
    )


def _of(step: str, title: str, path: Path, lines: Mapping[str, Mapping[str, Any]]) -> StepResults:
    named = [
        NotWell(*(str(line.get(name, "")) for name in ("image", "outcome", "cause", "id", "accepted")))
        for line in lines.values()
        if line.get("cause")
    ]
    named.sort(key=lambda entry: (not entry.open, bool(entry.accepted), entry.name))
    outcomes = Counter(str(line.get("outcome", "")) for line in lines.values())
    sent = sum(int(line.get("bytes") or 0) for line in lines.values())
    listed = tuple(named[:MOST_NAMED])
    return StepResults(step, title, str(path), dict(sorted(outcomes.items())), sent, listed, len(named) - len(listed))
