"""Measures the registries in rounds: every workload on every server, the order turned around each round.

The noise of a machine comes in waves; servers measured side by side in one run meet the same waves, so the ratios can
be trusted when the absolute figures cannot.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import machine, report, servers, usage
from benchmarks.connection import Failure
from benchmarks.content import MIB, Content, offers, publish
from benchmarks.load import MissingTool
from benchmarks.report import Figure
from benchmarks.servers import Server, Unavailable
from benchmarks.workloads import Prepared, Workload, workloads

SHORT = {"repeats": 1, "seconds": 1.0, "large": 16, "tags": 300, "repositories": 20, "referrers": 10}
FULL = {"repeats": 5, "seconds": 1.5, "large": 256, "tags": 10_000, "repositories": 500, "referrers": 100}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print; 1 if a figure is invalid, 2 if a registry cannot be measured."""
    options = _options(arguments)
    folder = Path(tempfile.mkdtemp(prefix="image-registry-bench-", dir=options.folder))
    try:
        with ExitStack() as stack:
            return Run(options, _started(options, folder, stack), folder).finish()
    except (Unavailable, MissingTool) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    finally:
        shutil.rmtree(folder)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=URL", help="a registry on this machine")
    for name, _ in servers.STARTED:
        parser.add_argument(f"--no-{name}", action="store_true", help=f"leave {name} out")
    parser.add_argument("--short", action="store_true", help="one round with small sizes: does it all work?")
    parser.add_argument("--only", metavar="REGEX", help="workloads whose name matches")
    for name, meaning in (
        ("repeats", "rounds"),
        ("large", "MiB of the large blob"),
        ("tags", "tags of the repository of many tags"),
        ("repositories", "repositories of the catalog"),
        ("referrers", "referrers of one image"),
    ):
        parser.add_argument(f"--{name}", type=int, metavar="N", help=f"{meaning} (default {FULL[name]})")
    parser.add_argument("--seconds", type=float, help=f"length of each rate sample (default {FULL['seconds']})")
    parser.add_argument("--limit", type=float, default=1800.0, help="start no round after this many seconds (1800)")
    parser.add_argument("--folder", type=Path, help="disk to measure on (default: the folder for temporary files)")
    parser.add_argument("-o", "--output", choices=["table", "json", "markdown"], default="table")
    options = parser.parse_args(arguments)
    for name, value in (SHORT if options.short else FULL).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    if min(options.repeats, options.large, options.tags, options.repositories) < 1 or options.seconds <= 0:
        parser.error("--repeats, --large, --tags, --repositories and --seconds must be positive")
    return options


def _started(options: argparse.Namespace, folder: Path, stack: ExitStack) -> list[Server]:
    found: list[Server] = []
    for name, start in servers.STARTED:
        if not getattr(options, f"no_{name}"):
            (folder / name).mkdir()
            found.append(stack.enter_context(start(folder / name)))
    registries = [server for server in found if server.files is None]
    registries += [servers.peer(text) for text in options.peer]
    if not registries:
        raise Unavailable("nothing left to measure: --no-own and --no-distribution need a --peer NAME=URL")
    return registries + [server for server in found if server.files is not None]


class Run:
    """One run from preparing to the printed result."""

    def __init__(self, options: argparse.Namespace, measured: list[Server], folder: Path) -> None:
        self._options = options
        self._started = time.monotonic()
        self._limits = machine.limits(folder, seconds=min(options.seconds, 1.0))
        content = Content.new(
            large=options.large * MIB,
            tags=options.tags,
            repositories=options.repositories,
            referrers=options.referrers,
        )
        try:
            self._prepared = {server.name: _prepare(server, content) for server in measured}
        except (Failure, OSError) as error:
            raise Unavailable(f"a registry does not do what is to be measured: {error}") from error
        self._names = [server.name for server in measured]
        chosen = re.compile(options.only or "")
        every = workloads(seconds=options.seconds, large=content.large_size, tags=options.tags)
        self._rows = [row for row in every if chosen.search(row.name)]
        self._memory = {server.name: usage.PeakMemory(server.pid) for server in measured if server.pid is not None}
        self._idle = {name: peak.peak for name, peak in self._memory.items()}
        self._figures = {
            (row.name, name): Figure(offered=row.fits(self._prepared[name]))
            for row in self._rows
            for name in self._names
        }
        self._say(f"prepared {', '.join(self._names)}")
        self._started = time.monotonic()

    def finish(self) -> int:
        """Measure, print, and say whether every figure is valid."""
        rounds = 0
        while rounds < self._options.repeats and time.monotonic() - self._started < self._options.limit:
            order = self._names if rounds % 2 == 0 else self._names[::-1]
            for row in self._rows:
                for name in order:
                    self._sample(row, name)
            rounds += 1
            self._say(f"round {rounds} of {self._options.repeats}")
        print({"table": self._table, "json": self._json, "markdown": self._markdown}[self._options.output](rounds))
        return 0 if rounds and all(figure.valid or not figure.offered for figure in self._figures.values()) else 1

    def _sample(self, row: Workload, name: str) -> None:
        figure, prepared, peak = self._figures[row.name, name], self._prepared[name], self._memory.get(name)
        if not figure.offered:
            return
        try:
            with peak or nullcontext():
                before = usage.processor_seconds(peak.root) if peak else 0.0
                sample = row.measure(prepared)
                after = usage.processor_seconds(peak.root) if peak else 0.0
        except (Failure, OSError) as error:
            figure.failures.append(str(error) or type(error).__name__)
            return
        figure.samples.append(sample.rate)
        if sample.p99 is not None:
            figure.latencies.append(sample.p99)
        if peak:
            figure.costs.append(1000 * (after - before) / sample.amount)

    def _say(self, what: str) -> None:
        print(f"{what}, {time.monotonic() - self._started:.0f} s", file=sys.stderr)

    def _pairs(self) -> list[tuple[str, str]]:
        return [(row.name, row.unit) for row in self._rows]

    def _usage(self) -> list[list[str]]:
        lines = [["server", "memory before", "memory at peak", "conditions"]]
        for name in self._names:
            peak = self._memory.get(name)
            shown = [f"{value >> 20} MiB" for value in (self._idle[name], peak.peak)] if peak else ["?", "?"]
            lines.append([name, *shown, self._prepared[name].server.about])
        return lines

    def _title(self, rounds: int) -> str:
        return f"{machine.description()}; {rounds} interleaved rounds; median (min to max); more is better"

    def _table(self, rounds: int) -> str:
        pairs = self._pairs()
        parts = [
            self._title(rounds),
            report.table(pairs, self._names, self._figures),
            report.aligned(report.costs(pairs, self._names, self._figures)),
            report.aligned(self._usage()),
            report.aligned([["limit of the machine", ""], *map(list, self._limits.items())]),
        ]
        return "\n\n".join(parts)

    def _markdown(self, rounds: int) -> str:
        pairs, options = self._pairs(), self._options
        parts = [
            f"Measured on {datetime.now(UTC):%Y-%m-%d}: {self._title(rounds)}.",
            f"Samples of {options.seconds:g} s; {options.tags:,} tags, {options.repositories:,} repositories.",
            report.markdown(report.speeds(pairs, self._names, self._figures)),
            "What it cost the server: processor milliseconds per unit, and the 99th percentile of the answers.",
            report.markdown(report.costs(pairs, self._names, self._figures)),
            "Memory is that of all processes of a server together, shared pages counted once.",
            report.markdown(self._usage()),
            "What the machine can do at all:",
            report.markdown([["limit", ""], *map(list, self._limits.items())]),
            *report.failures(self._figures),
        ]
        return "\n\n".join(parts)

    def _json(self, rounds: int) -> str:
        names = self._names
        document = {
            "machine": {"description": machine.description(), "limits": self._limits},
            "rounds": rounds,
            "servers": {
                name: {
                    "about": self._prepared[name].server.about,
                    "memory_idle_bytes": self._idle.get(name),
                    "memory_peak_bytes": self._memory[name].peak if name in self._memory else None,
                }
                for name in names
            },
            "workloads": [
                {
                    "name": row.name,
                    "unit": row.unit,
                    "servers": {name: self._figures[row.name, name].document() for name in names},
                    "ratios": {o: report.ratio(self._figures, row.name, names[0], o) for o in names[1:]},
                }
                for row in self._rows
            ],
        }
        return json.dumps(document, indent=2)


def _prepare(server: Server, content: Content) -> Prepared:
    try:
        publish(server, content)
    except (Failure, OSError) as error:
        raise Failure(f"{server.name}: {error}") from error
    return Prepared(server, content, offers(server, content))


if __name__ == "__main__":
    sys.exit(main())
