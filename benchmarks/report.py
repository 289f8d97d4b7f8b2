"""Figures as people and programs read them: medians with their spread, ratios to ours, what they cost."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

NOT_OFFERED = "-"
"""Shown where a server does not have what a workload measures."""


@dataclass(slots=True)
class Figure:
    """All samples of one workload on one server."""

    samples: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    offered: bool = True
    latencies: list[float] = field(default_factory=list)
    """The 99th percentile of each sample, in milliseconds."""
    costs: list[float] = field(default_factory=list)
    """Processor milliseconds of the server for one unit, of each sample."""

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
        if not self.offered:
            return NOT_OFFERED
        if not self.valid:
            return "invalid"
        return f"{_number(self.median)} ({_number(min(self.samples))}-{_number(max(self.samples))})"

    def document(self) -> dict[str, Any]:
        """The figure for programs."""
        if not self.offered:
            return {"valid": False, "offered": False}
        if not self.valid:
            return {"valid": False, "failures": self.failures, "samples": self.samples}
        return {
            "valid": True,
            "median": self.median,
            "min": min(self.samples),
            "max": max(self.samples),
            "samples": self.samples,
            "p99_ms": statistics.median(self.latencies) if self.latencies else None,
            "server_cpu_ms_per_unit": statistics.median(self.costs) if self.costs else None,
        }


Figures = Mapping[tuple[str, str], Figure]
"""By (workload, server)."""

Rows = Sequence[tuple[str, str]]
"""Workloads with their units."""


def ratio(figures: Figures, workload: str, server: str, reference: str) -> float | None:
    """How many times faster ``server`` is than ``reference``; None if either figure is invalid."""
    first, second = figures[workload, server], figures[workload, reference]
    return first.median / second.median if first.valid and second.valid else None


def speeds(rows: Rows, servers: Sequence[str], figures: Figures) -> list[list[str]]:
    """The head and one line for each workload; the first server is the one the ratios speak of."""
    lines = [["workload", "unit", *servers, *(f"{servers[0]} / {other}" for other in servers[1:])]]
    for name, unit in rows:
        ratios = [ratio(figures, name, servers[0], other) for other in servers[1:]]
        shown = [f"{value:.2f}" if value is not None else NOT_OFFERED for value in ratios]
        lines.append([name, unit, *(figures[name, server].shown() for server in servers), *shown])
    return lines


def costs(rows: Rows, servers: Sequence[str], figures: Figures) -> list[list[str]]:
    """The head and, for each workload, processor milliseconds of the server per unit and the 99th percentile."""
    lines = [["workload", *(f"{server}: CPU ms, p99 ms" for server in servers)]]
    for name, _ in rows:
        cells = []
        for server in servers:
            figure = figures[name, server]
            cost = f"{statistics.median(figure.costs):.3f}" if figure.valid and figure.costs else NOT_OFFERED
            slow = f"{statistics.median(figure.latencies):.1f}" if figure.valid and figure.latencies else NOT_OFFERED
            cells.append(f"{cost}, {slow}")
        lines.append([name, *cells])
    return lines


def failures(figures: Figures) -> list[str]:
    """The first failure of each invalid figure."""
    return [
        f"invalid: {name} on {server}: {reason}"
        for (name, server), figure in figures.items()
        for reason in figure.failures[:1]
    ]


def table(rows: Rows, servers: Sequence[str], figures: Figures) -> str:
    """For a terminal."""
    return "\n".join([aligned(speeds(rows, servers, figures)), *failures(figures)])


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Columns under each other."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    text.insert(1, "  ".join("─" * width for width in widths))
    return "\n".join(text)


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A table of a document."""
    shown: Callable[[Sequence[str]], str] = lambda line: "| " + " | ".join(line) + " |"  # noqa: E731
    return "\n".join([shown(lines[0]), shown(["---"] * len(lines[0])), *(shown(line) for line in lines[1:])])


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
