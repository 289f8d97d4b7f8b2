"""Measures the registries in rounds: every workload on every server, the order turned around each round.

The noise of a machine comes in waves; servers measured side by side in one run meet the same waves, so the ratios can
be trusted when the absolute figures cannot.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks import servers
from benchmarks.connection import Failure
from benchmarks.report import Figure, ratio, table
from benchmarks.servers import Server, Unavailable
from benchmarks.workloads import MIB, Prepared, Workload, prepare, workloads


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print; 1 if a figure is invalid, 2 if a registry cannot be measured."""
    options = _options(arguments)
    folder = Path(tempfile.mkdtemp(prefix="image-registry-bench-", dir=options.folder))
    try:
        with ExitStack() as stack:
            return _measure(options, _started(options, folder, stack))
    except Unavailable as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    finally:
        shutil.rmtree(folder)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=URL", help="a registry on this machine")
    parser.add_argument("--no-debian", action="store_true", help="leave Debian's docker-registry out")
    parser.add_argument("--no-own", action="store_true", help="leave image-registry serve out")
    parser.add_argument("--repeats", type=int, default=5, help="rounds (default 5)")
    parser.add_argument("--seconds", type=float, default=1.5, help="length of each rate sample (default 1.5)")
    parser.add_argument("--large", type=int, default=256, metavar="MIB", help="size of the large blob (default 256)")
    parser.add_argument(
        "--limit", type=float, default=240.0, help="start no round after this many seconds (default 240)"
    )
    parser.add_argument("--folder", type=Path, help="disk to measure on (default: the folder for temporary files)")
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")
    options = parser.parse_args(arguments)
    if options.repeats < 1 or options.large < 1 or options.seconds <= 0:
        parser.error("--repeats, --large and --seconds must be positive")
    return options


def _started(options: argparse.Namespace, folder: Path, stack: ExitStack) -> list[Server]:
    found: list[Server] = []
    for wanted, name, start in (
        (not options.no_own, "own", servers.ours),
        (not options.no_debian, "debian", servers.debian),
    ):
        if wanted:
            (folder / name).mkdir()
            found.append(stack.enter_context(start(folder / name)))
    found += [servers.peer(text) for text in options.peer]
    if not found:
        raise Unavailable("nothing left to measure: --no-own and --no-debian need a --peer NAME=URL")
    return found


def _measure(options: argparse.Namespace, measured: list[Server]) -> int:
    started = time.monotonic()
    large = options.large * MIB
    rows = workloads(seconds=options.seconds, large=large)
    names = [server.name for server in measured]
    figures = {(row.name, name): Figure() for row in rows for name in names}
    try:
        prepared = {server.name: prepare(server.address, large) for server in measured}
    except (Failure, OSError) as error:
        raise Unavailable(f"a registry does not do what is to be measured: {error}") from error
    rounds = 0
    while rounds < options.repeats and time.monotonic() - started < options.limit:
        order = names if rounds % 2 == 0 else names[::-1]
        for row in rows:
            for name in order:
                _sample(row, prepared[name], figures[row.name, name])
        rounds += 1
        print(f"round {rounds} of {options.repeats}, {time.monotonic() - started:.0f} s", file=sys.stderr)
    if options.output == "json":
        print(json.dumps(_document(rows, names, figures, rounds), indent=2))
    else:
        machine = (
            f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}"
        )
        print(f"{machine}; {rounds} interleaved rounds; median (min to max); more is better\n")
        print(table([(row.name, row.unit) for row in rows], names, figures))
    return 0 if rounds and all(figure.valid for figure in figures.values()) else 1


def _sample(row: Workload, server: Prepared, figure: Figure) -> None:
    try:
        figure.samples.append(row.measure(server))
    except (Failure, OSError) as error:
        figure.failures.append(str(error) or type(error).__name__)


def _document(
    rows: Sequence[Workload], names: Sequence[str], figures: dict[tuple[str, str], Figure], rounds: int
) -> dict[str, object]:
    return {
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "rounds": rounds,
        "workloads": [
            {
                "name": row.name,
                "unit": row.unit,
                "servers": {name: figures[row.name, name].document() for name in names},
                "ratios": {other: ratio(figures, row.name, names[0], other) for other in names[1:]},
            }
            for row in rows
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
