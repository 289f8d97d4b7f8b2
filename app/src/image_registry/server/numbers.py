"""Numbers that several worker processes count together.

Each worker counts in its own memory, which costs a fraction of a microsecond, and publishes what it has once a second
as a small file in a folder of memory that all workers of the Pod share. Whoever is asked adds the files up. What a
worker counted stays when it ends; what it *is doing* (gauges) is forgotten with it.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from operator import add
from pathlib import Path
from typing import Literal

from prometheus_client import Metric
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    SummaryMetricFamily,
)

INTERVAL = 1.0
"""Seconds between two publications."""

FRESH = 10.0
"""Seconds after which a worker that publishes nothing is not there any more."""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric by name; histograms have upper bounds, without the infinite one."""

    name: str
    kind: Literal["counter", "gauge", "histogram", "summary"]
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    combine: Literal["sum", "max"] = "sum"
    """What the numbers of several workers make together: ``max`` for what all of them know of one thing."""


class Numbers:
    """What one process counts; thread-safe. A value is a list: of one number, or of buckets, count and sum."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._values: dict[tuple[Family, tuple[str, ...]], list[float]] = {}
        self._gauges: dict[tuple[Family, tuple[str, ...]], Callable[[], float]] = {}

    def add(self, family: Family, labels: tuple[str, ...] = (), amount: float = 1) -> None:
        """Count up."""
        with self.lock:
            self._value(family, labels)[0] += amount

    def observe(self, family: Family, labels: tuple[str, ...], value: float) -> None:
        """Add one value to a histogram or a summary."""
        with self.lock:
            found = self._value(family, labels)
            if family.bounds:
                found[bisect_left(family.bounds, value)] += 1
            found[-2] += 1
            found[-1] += value

    def value(self, family: Family, labels: tuple[str, ...]) -> list[float]:
        """The numbers themselves, for who counts so often that looking them up costs too much; holds :attr:`lock`."""
        with self.lock:
            return self._value(family, labels)

    def watch(self, family: Family, labels: tuple[str, ...], ask: Callable[[], float]) -> None:
        """Let a gauge be what ``ask`` answers whenever somebody wants to know."""
        self._gauges[family, labels] = ask

    def values(self) -> list[tuple[str, tuple[str, ...], list[float]]]:
        """Everything: name, label values, value."""
        with self.lock:
            counted = [(family.name, labels, list(value)) for (family, labels), value in self._values.items()]
        return counted + [(family.name, labels, [ask()]) for (family, labels), ask in self._gauges.items()]

    def _value(self, family: Family, labels: tuple[str, ...]) -> list[float]:
        found = self._values.get((family, labels))
        if found is None:
            size = len(family.bounds) + 3 if family.bounds else 2 if family.kind == "summary" else 1
            found = self._values[family, labels] = [0.0] * size
        return found


class SharedNumbers:
    """The numbers of this process, and how they come together with those of the others."""

    def __init__(self, families: Iterable[Family], folder: Path | None = None) -> None:
        self.own = Numbers()
        self._families = {family.name: family for family in families}
        self._folder = folder
        self._file = f"{os.getpid()}-{secrets.token_hex(4)}.json"
        self._publishing = threading.Lock()

    def start(self) -> None:
        """Publish from now on."""
        if self._folder is not None:
            self.publish()
            threading.Thread(target=self._run, name="numbers", daemon=True).start()

    def publish(self) -> None:
        """Let the other workers know; a folder that is gone, or full, costs figures and nothing else."""
        if self._folder is None:
            return
        with self._publishing:
            target = self._folder / self._file
            waiting = target.with_suffix(".new")
            try:
                waiting.write_text(json.dumps(self.own.values()), encoding="utf-8")
                waiting.replace(target)
            except OSError:
                waiting.unlink(missing_ok=True)

    def collect(self) -> Iterator[Metric]:
        """Every family, added up over the workers; also those that count nothing yet, so that rules find them."""
        totals: dict[str, dict[tuple[str, ...], list[float]]] = {name: {} for name in self._families}
        for name, labels, value in self._everybody():
            family = totals.get(name)
            if family is None:
                continue  # of another version of this program
            known = family.get(tuple(labels))
            together = max if self._families[name].combine == "max" else add
            family[tuple(labels)] = value if known is None else list(map(together, known, value))
        for name, series in totals.items():
            yield _metric(self._families[name], series)

    def _everybody(self) -> Iterator[tuple[str, tuple[str, ...], list[float]]]:
        if self._folder is None:
            yield from self.own.values()
            return
        self.publish()
        now = time.time()
        for path in sorted(self._folder.glob("*.json")):
            try:
                fresh = now - path.stat().st_mtime < FRESH
                published = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            for name, labels, value in published:
                if fresh or (name in self._families and self._families[name].kind != "gauge"):
                    yield name, tuple(labels), value

    def _run(self) -> None:
        while True:
            time.sleep(INTERVAL)
            self.publish()


def _metric(family: Family, series: dict[tuple[str, ...], list[float]]) -> Metric:
    name, text, labels = family.name, family.help, family.labels
    if not series and not labels:
        series = {(): [0.0] * (2 if family.kind == "summary" else 1)}
    if family.kind == "counter":
        counter = CounterMetricFamily(name, text, labels=labels)
        for values, value in sorted(series.items()):
            counter.add_metric(values, value[0])
        return counter
    if family.kind == "gauge":
        gauge = GaugeMetricFamily(name, text, labels=labels)
        for values, value in sorted(series.items()):
            gauge.add_metric(values, value[0])
        return gauge
    if family.kind == "summary":
        summary = SummaryMetricFamily(name, text, labels=labels)
        for values, (count, total) in sorted(series.items()):
            summary.add_metric(values, count_value=int(count), sum_value=total)
        return summary
    histogram = HistogramMetricFamily(name, text, labels=labels)
    for values, value in sorted(series.items()):
        so_far, buckets = 0.0, []
        for bound, count in zip([*map(str, family.bounds), "+Inf"], value, strict=False):
            so_far += count
            buckets.append((bound, so_far))
        histogram.add_metric(values, buckets, sum_value=value[-1])
    return histogram
