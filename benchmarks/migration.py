"""Measures the data of a migration: the survey, a storage that is kept, and a copy beside skopeo and crane.

One tree of CNCF distribution is surveyed, kept and copied. With reuse names, tables and three gates are made over all
of it while no blob may appear; what is printed as cutover is the time from the freeze to green gates. A failure of any
client, an open item of a gate or a tag with another digest makes the figures invalid.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine, migration_copies, migration_storage, usage
from benchmarks.migration_copies import OURS
from benchmarks.migration_tree import MIB, Different, Shape, lay_down
from benchmarks.mirror import Invalid
from benchmarks.servers import Unavailable

PARTS = ("tree", "survey", "reuse", "copy", "whole")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print; 1 if a figure is invalid, 2 if nothing can be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.migration", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a tenth of the repositories, one round of copies")
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--repositories", type=int, default=2000)
    parser.add_argument("--tags", type=int, default=5, help="of each repository")
    parser.add_argument("--repeats", type=int, default=3, help="of the copies")
    parser.add_argument(
        "--workload",
        choices=migration_copies.WORKLOADS,
        action="append",
        help=f"of the copies; default: {' and '.join(migration_copies.USUAL)}",
    )
    parser.add_argument("--folder", type=Path, help="where to work; default: the folder for temporary files")
    parser.add_argument("--tree", type=Path, help="folder of the tree: made if it is not there, kept afterwards")
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")
    options = parser.parse_args(arguments)
    if options.short:
        options.repositories, options.repeats = options.repositories // 10, 1
    with tempfile.TemporaryDirectory(prefix="image-registry-bench-", dir=options.folder) as name:
        try:
            figures = _measured(Path(name), options)
        except (Unavailable, Different) as error:
            print(f"bench: {error}", file=sys.stderr)
            return 2
        except Invalid as error:
            print(f"bench: the figures are invalid: {error}", file=sys.stderr)
            return 1
    print(json.dumps(figures, indent=2) if options.output == "json" else page(figures))
    return 0


def _measured(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    parts, shape = options.only or PARTS, Shape(options.repositories, options.tags)
    kept = options.tree.resolve() if options.tree else folder / "kept"
    _tell(f"a tree of {shape.repositories} repositories")
    lay_down(kept, shape)
    found: dict[str, Any] = {
        "machine": machine.description(),
        "repositories": shape.repositories,
        "tags": shape.repositories * shape.tags,
        "blobs": shape.blobs,
        "load": {},
    }
    measures: dict[str, Callable[[Path], Any]] = {
        "survey": lambda place: migration_storage.survey(kept, place, _tell),
        "reuse": lambda place: migration_storage.reuse(kept, place, shape, _tell),
        "copy": lambda place: migration_copies.compared(
            kept, place, shape, options.repeats, _tell, options.workload or migration_copies.USUAL
        ),
        "whole": lambda place: migration_copies.whole(kept, place, _tell),
    }
    for part, measure in measures.items():
        if part in parts:
            (folder / part).mkdir()
            before = os.getloadavg()[0]
            found[part] = measure(folder / part)
            found["load"][part] = [round(before, 1), round(os.getloadavg()[0], 1)]
            if part in ("survey", "reuse"):
                found["peak"] = usage.own_peak()
    return found


def page(figures: dict[str, Any]) -> str:
    """The figures for people."""
    lines = [
        str(figures["machine"]),
        *(f"load during {part}: {before} to {after}" for part, (before, after) in figures["load"].items()),
        "",
        f"{figures['repositories']} repositories, {figures['tags']} tags, {figures['blobs']} blobs",
    ]
    for way, seconds in figures.get("survey", {}).items():
        lines.append(f"survey by the {way}: {seconds:.1f} s, {figures['tags'] / seconds:.0f} tags/s")
    if reuse := figures.get("reuse"):
        lines += [f"reuse, {name}: {seconds:.1f} s" for name, seconds in reuse["seconds"].items()]
        lines.append(f"cutover time, from the freeze to green gates: {reuse['cutover']:.1f} s")
        lines.append(f"bytes copied: {reuse['bytes copied']} of {reuse['bytes'] / MIB:.0f} MiB")
    if "peak" in figures:
        lines.append(f"memory of the engine at most: {figures['peak'] / MIB:.0f} MiB")
    for workload in figures.get("copy", ()):
        lines += ["", *compared(workload)]
    if whole := figures.get("whole"):
        speed = whole["bytes"] / MIB / whole["seconds"]
        lines += [
            "",
            (
                f"copy of everything by {OURS}: {whole['tags']} tags, {whole['bytes'] / MIB:.0f} MiB in "
                f"{whole['seconds']:.1f} s, {speed:.1f} MiB/s, {whole['tags'] / whole['seconds']:.0f} tags/s; "
                f"memory of the engine {whole['peak'] / MIB:.0f} MiB"
            ),
        ]
    return "\n".join(lines)


def compared(workload: dict[str, Any]) -> list[str]:
    """A table: the median round of every client, its range, and how many times ours that is, round by round."""
    mib, clients = workload["bytes"] / MIB, workload["clients"]
    base = [one["seconds"] for one in clients[OURS]]
    lines = [
        f"copy, {workload['name']} ({workload['about']}; {workload['tags']} tags, {mib:.0f} MiB of distinct blobs):",
        "",
        "| client | seconds: median (min to max) | MiB/s | times ours, round by round: median (min to max) |",
        "| --- | --- | --- | --- |",
    ]
    for name, rounds in clients.items():
        seconds = [one["seconds"] for one in rounds]
        ratios = [mine / ours for mine, ours in zip(seconds, base, strict=True)]
        lines.append(f"| {name} | {_spread(seconds)} | {mib / statistics.median(seconds):.1f} | {_spread(ratios)} |")
    loads = [one["load"] for rounds in clients.values() for one in rounds]
    peak = max(one["peak"] for one in clients[OURS]) / MIB
    lines += ["", f"load of the machine {min(loads)} to {max(loads)}; memory of the engine {peak:.0f} MiB"]
    return lines


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _tell(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))  # servers and folders do not outlive it
    sys.exit(main())
