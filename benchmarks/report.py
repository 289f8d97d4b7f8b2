"""Figures as people and programs read them: medians with their spread, and ratios to ours."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Figure:
    """All samples of one workload on one server."""

    samples: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def valid(self) -> bool:
        """One failure makes the whole figure worthless: a wrong answer is often a quick one."""
        return bool(self.samples) and not self.failures

    @property
    def median(self) -> float:
        """The middle sample."""
        return statistics.median(self.samples)

    def shown(self) -> str:
        """``median (min to max)``, or why there is none."""
        if not self.valid:
            return "invalid"
        return f"{_number(self.median)} ({_number(min(self.samples))}-{_number(max(self.samples))})"

    def document(self) -> dict[str, Any]:
        """The figure for programs."""
        if not self.valid:
            return {"valid": False, "failures": self.failures, "samples": self.samples}
        low, high = min(self.samples), max(self.samples)
        return {"valid": True, "median": self.median, "min": low, "max": high, "samples": self.samples}


Figures = Mapping[tuple[str, str], Figure]
"""By (workload, server)."""


def ratio(figures: Figures, workload: str, server: str, reference: str) -> float | None:
    """How many times faster ``server`` is than ``reference``; None if either figure is invalid."""
    first, second = figures[workload, server], figures[workload, reference]
    return first.median / second.median if first.valid and second.valid else None


def table(rows: Sequence[tuple[str, str]], servers: Sequence[str], figures: Figures) -> str:
    """A table; ``rows`` are (workload, unit), the first server is the one the ratios speak of."""
    head = ["workload", "unit", *servers, *(f"{servers[0]} / {other}" for other in servers[1:])]
    lines = [head]
    for name, unit in rows:
        ratios = [ratio(figures, name, servers[0], other) for other in servers[1:]]
        shown = [f"{value:.2f}" if value is not None else "n/a" for value in ratios]
        lines.append([name, unit, *(figures[name, server].shown() for server in servers), *shown])
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    text.insert(1, "  ".join("─" * width for width in widths))
    for (name, server), figure in figures.items():
        text += [f"invalid: {name} on {server}: {reason}" for reason in figure.failures[:1]]
    return "\n".join(text)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
