"""Measures the Image API on a PostgreSQL with very many objects, and again with a tenth of them.

Everything is real but the cluster behind it, which agrees to everything: the database, the server process, TLS with the
front proxy's certificate, and the transaction of the data plane. A figure above its target makes the exit status 1.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import machine, usage
from benchmarks.api import measures
from benchmarks.api.client import Client, Watches
from benchmarks.api.cluster import AgreeableCluster, agreeable
from benchmarks.api.data import Size, fill
from benchmarks.api.measures import GROWTH, TARGETS, Figure, Measured
from benchmarks.api.server import ServerFailed, running
from benchmarks.connection import Failure
from benchmarks.postgresql import NoPostgreSQL, PostgreSQL, private
from benchmarks.report import aligned, markdown
from image_registry.metadata.database import Database

DATABASE = {"shared_buffers": "256MB", "max_connections": "60", "max_wal_size": "4GB"}
"""Durable, unlike in tests: a push waits for the disk."""

PART = 10
"""What is measured a second time has so many times less."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print; 1 if a target is missed, 2 if nothing can be measured."""
    options = _options(arguments)
    size = Size(options.images, options.streams, options.tags)
    try:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="image-api-bench-")))
            server = stack.enter_context(private(DATABASE, options.folder))
            cluster = stack.enter_context(agreeable(folder))
            run = Run(options, folder, server, cluster)
            less = [] if options.once else run.figures(size.part(PART), pages_alone=True)
            found = run.figures(size, pages_alone=False)
    except (Failure, NoPostgreSQL, ServerFailed, OSError) as error:
        print(f"bench-api: {error}", file=sys.stderr)
        return 2
    result = Result(size, found, less, options.target)
    print({"table": result.table, "json": result.json, "markdown": result.markdown}[options.output]())
    return 1 if result.missed else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.api", description=__doc__)
    for name, default, meaning in (
        ("images", 100_000, "Images"),
        ("streams", 10_000, "ImageStreams"),
        ("tags", 200_000, "tags of all streams together"),
        ("requests", 100, "samples of each figure"),
        ("watches", 200, "watches that are open at once"),
        ("pushes", 10, "pushes that the watches are to hear of"),
        ("large", 1000, "tags of the large stream that is watched"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"{meaning} ({default:,})")
    parser.add_argument(
        "--target", type=_target, action="append", default=[], metavar="NAME=N", help=f"another of {dict(TARGETS)}"
    )
    parser.add_argument("--once", action="store_true", help="not a second time with a tenth of it")
    parser.add_argument("--only", default="", metavar="TEXT", help="figures whose name holds this")
    parser.add_argument("--folder", type=Path, help="disk of the database (default: that of temporary files)")
    parser.add_argument("-o", "--output", choices=["table", "json", "markdown"], default="table")
    options = parser.parse_args(arguments)
    if min(options.images, options.streams, options.tags, options.requests, options.pushes) < 1 or options.watches < 1:
        parser.error("sizes and numbers must be positive")
    if options.tags < options.streams or options.images < options.streams:
        parser.error("each stream has a tag and an image at least: --tags and --images must be --streams or more")
    options.target = {**TARGETS, **dict(options.target)}
    return options


def _target(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    if name not in TARGETS:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(TARGETS)}")
    return name, float(value)


class Run:
    """One database and one server for each size."""

    def __init__(
        self, options: argparse.Namespace, folder: Path, database: PostgreSQL, cluster: AgreeableCluster
    ) -> None:
        self._options = options
        self._folder = folder
        self._database = database
        self._cluster = cluster
        self._began = time.monotonic()

    def figures(self, size: Size, *, pages_alone: bool) -> list[Figure]:
        """Everything; or only what a tenth is compared by."""
        options = self._options
        url = self._database.create_database(f"size_{size.tags}")
        fill(url, size)
        self._say(f"{size} are there")
        found: list[Figure] = []
        with ExitStack() as stack:
            server = stack.enter_context(running(self._cluster, self._folder, url))
            context = self._cluster.client_context()
            client = Client(server.port, context)
            stack.callback(client.close)
            database = Database(url)
            stack.callback(database.dispose)
            peak = stack.enter_context(usage.PeakMemory(server.pid))
            measured = Measured(size, client, measures.streams_of(database))
            chosen = [ask for ask in measured.asks() if options.only in ask.name]
            found.extend(measured.ask(ask, options.requests) for ask in chosen)
            if options.only in "push transaction":
                found.append(measured.pushes(options.requests))
            self._say("asked")
            if not pages_alone and options.only in "event":
                found += self._events(measured, server.port)
                self._say("watched")
            peak.look()
            found.append(Figure("memory of the server", "memory", [peak.peak / (1 << 20)]))
        return found

    def _events(self, measured: Measured, port: int) -> list[Figure]:
        options, context = self._options, self._cluster.client_context()
        large = measured.many_tags(options.large)
        small = measured.many_tags(1)
        with Watches(port, context, measured.watched(options.watches)) as watches:
            return [
                measured.events(
                    f"event of {tags:,} tags, the last of {options.watches} watches", stream, watches, times
                )
                for tags, stream, times in ((1, small, options.pushes), (options.large, large, options.pushes))
            ]

    def _say(self, what: str) -> None:
        print(f"{what}, {time.monotonic() - self._began:.0f} s", file=sys.stderr)


class Result:
    """The figures beside their targets."""

    def __init__(self, size: Size, found: list[Figure], less: list[Figure], targets: dict[str, float]) -> None:
        self._size = size
        self._found = found
        self._less = {figure.name: figure for figure in less}
        self._targets = targets

    @property
    def missed(self) -> list[str]:
        """Names of figures that are not what they should be."""
        return [figure.name for figure in self._found if not self._good(figure)]

    def table(self) -> str:
        """For people."""
        return f"{self._title()}\n\n{aligned(self._lines())}\n\n{self._verdict()}"

    def markdown(self) -> str:
        """For the page of results."""
        return f"{self._title()}.\n\n{markdown(self._lines())}\n\n{self._verdict()}"

    def json(self) -> str:
        """For programs."""
        document: dict[str, Any] = {
            "machine": machine.description(),
            "size": {"images": self._size.images, "streams": self._size.streams, "tags": self._size.tags},
            "targets": self._targets,
            "figures": [
                {
                    "name": figure.name,
                    "unit": "MiB" if figure.target == "memory" else "ms",
                    "rows": figure.rows or None,
                    "p50": figure.percentile(0.5),
                    "p99": figure.percentile(0.99),
                    "target": self._targets[figure.target],
                    "growth": self._growth(figure),
                    "good": self._good(figure),
                }
                for figure in self._found
            ],
            "missed": self.missed,
        }
        return json.dumps(document, indent=2)

    def _growth(self, figure: Figure) -> float | None:
        """How many times slower than with a tenth of it, where a page has about as many rows there."""
        less = self._less.get(figure.name)
        if less is None or not figure.rows or not 0.8 < less.rows / figure.rows < 1.25:
            return None
        return figure.percentile(0.5) / less.percentile(0.5)

    def _good(self, figure: Figure) -> bool:
        growth = self._growth(figure)
        return figure.percentile(0.99) <= self._targets[figure.target] and (growth is None or growth <= GROWTH)

    def _title(self) -> str:
        return f"{self._size}; {machine.description()}"

    def _lines(self) -> list[list[str]]:
        lines = [["what", "rows", "p50", "p99", "target (p99)", f"p50, to a {PART}th of it", "verdict"]]
        for figure in self._found:
            unit = "MiB" if figure.target == "memory" else "ms"
            growth = self._growth(figure)
            lines.append(
                [
                    figure.name,
                    str(figure.rows or ""),
                    f"{figure.percentile(0.5):.1f} {unit}",
                    f"{figure.percentile(0.99):.1f} {unit}",
                    f"{self._targets[figure.target]:g} {unit}",
                    "" if growth is None else f"{growth:.2f}",
                    "good" if self._good(figure) else "missed",
                ]
            )
        return lines

    def _verdict(self) -> str:
        return f"missed: {', '.join(self.missed)}" if self.missed else "every target is met"


if __name__ == "__main__":
    sys.exit(main())
