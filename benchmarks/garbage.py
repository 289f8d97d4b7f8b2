"""Measures how long it takes to find garbage: ours and that of CNCF distribution, in turns, on one tree.

Both only look (a dry run), and both must find exactly the blobs that were left without an image; anything else makes
the figure invalid. Ours reads the metadata that an adoption has made of the tree; how long that took stands beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import machine
from benchmarks.distribution_tree import Tree
from benchmarks.servers import Unavailable, distribution_program

OLD = 7 * 24 * 3600
"""Seconds: the age of everything in the tree, so that nothing is too young to be garbage."""

_CONFIG = """version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {root}}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:0"}}
"""
_ELIGIBLE = re.compile(r"blob eligible for deletion: (sha256:[0-9a-f]{64})")


class Invalid(Exception):
    """A collector found something else than what is garbage."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print; 1 if a figure is invalid, 2 if nothing can be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.garbage", description=__doc__)
    parser.add_argument("--manifests", type=int, default=10_000, help="each with eight layers and a configuration")
    parser.add_argument("--garbage", type=int, default=1_000, help="blobs that belong to no image")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tree", type=Path, help="a folder to keep the tree in: made by the first run, used by others")
    parser.add_argument("--folder", type=Path, help="where to work; default: the folder for temporary files")
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="image-registry-bench-", dir=options.folder) as name:
        try:
            figures, seconds = _measure(Path(name), options)
            if not seconds:
                return 0
        except Unavailable as error:
            print(f"bench: {error}", file=sys.stderr)
            return 2
        except Invalid as error:
            print(f"bench: the figures are invalid: {error}", file=sys.stderr)
            return 1
    print(json.dumps(figures, indent=2) if options.output == "json" else _page(figures, seconds))
    return 0


def _measure(folder: Path, options: argparse.Namespace) -> tuple[dict[str, object], dict[str, list[float]]]:
    program, root = distribution_program(), options.tree or folder / "tree"
    known = root / "tree.json"
    made = None if known.exists() else _make(root, options)
    if made is not None:
        known.write_text(json.dumps(made), encoding="utf-8")
        if options.tree is not None:
            return {}, {}
    facts = json.loads(known.read_text(encoding="utf-8"))
    garbage = set(facts["garbage"])
    config = folder / "config.yml"
    config.write_text(_CONFIG.format(root=root), encoding="utf-8")
    finders: dict[str, Callable[[], set[str]]] = {
        "image-registry": lambda: _ours(root),
        "distribution": lambda: _theirs(program, config),
    }
    seconds: dict[str, list[float]] = {name: [] for name in finders}
    for turn in range(options.repeats):
        for name in sorted(finders, reverse=turn % 2 == 0):
            _progress(f"round {turn + 1} of {options.repeats}: {name}")
            started = time.monotonic()
            found = finders[name]()
            seconds[name].append(time.monotonic() - started)
            if found != garbage:
                raise Invalid(f"{name} found {len(found)} blobs, {len(found ^ garbage)} of them wrong or missing")
    rounded = {name: [round(value, 3) for value in sorted(values)] for name, values in seconds.items()}
    figures: dict[str, object] = {
        "machine": machine.description(),
        "manifests": facts["manifests"],
        "blobs": facts["blobs"],
        "garbage": len(garbage),
        "adoptionSeconds": facts["adoptionSeconds"],
        "seconds": rounded,
        "ratio": round(statistics.median(seconds["distribution"]) / statistics.median(seconds["image-registry"]), 2),
    }
    return figures, rounded


def _make(root: Path, options: argparse.Namespace) -> dict[str, object]:
    """Write the tree, and adopt it."""
    tree = Tree(root)
    _progress(f"writing {options.manifests} manifests")
    for _ in tree.fill(options.manifests):
        pass
    garbage = [tree.blob(f"garbage {number}".encode()) for number in range(options.garbage)]
    for path, _, names in os.walk(root):
        for file in names:
            os.utime(f"{path}/{file}", (time.time() - OLD,) * 2)
    _progress("making the metadata")
    started = time.monotonic()
    _run([_own("image-registry"), "database", "upgrade"], REGISTRY_DATABASE_URL=f"sqlite:///{root / 'metadata.db'}")
    _run([_own("image-registry"), "metadata", "rebuild", "--root", str(root), "-o", "json"])
    spent = round(time.monotonic() - started, 2)
    return {"manifests": options.manifests, "blobs": tree.blobs, "garbage": garbage, "adoptionSeconds": spent}


def _ours(root: Path) -> set[str]:
    said = _run(
        [_own("image-registry"), "garbage-collect", "--root", str(root), "--at-most", "100", "-o", "json"],
    )
    return {blob["digest"] for blob in json.loads(said)["thrownAway"]}


def _theirs(program: Path, config: Path) -> set[str]:
    return set(_ELIGIBLE.findall(_run([str(program), "garbage-collect", "--dry-run", str(config)])))


def _own(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _run(command: Sequence[str], **environment: str) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OTEL_TRACES_EXPORTER": "none", **environment},
    )
    if done.returncode:
        raise Unavailable(f"{' '.join(command[:2])} failed: {done.stderr[-500:]}")
    return done.stdout + done.stderr if "garbage-collect" in command and "--dry-run" in command else done.stdout


def _page(figures: dict[str, object], seconds: dict[str, list[float]]) -> str:
    size = f"{figures['manifests']:,} manifests, {figures['blobs']:,} blobs, {figures['garbage']:,} of them garbage"
    rows = [
        f"| {name} | {statistics.median(values):.2f} ({values[0]:.2f} to {values[-1]:.2f}) |"
        for name, values in seconds.items()
    ]
    adoption = f"Making the metadata of the tree took {figures['adoptionSeconds']} s, once."
    return "\n".join(
        [
            f"{size}; {figures['machine']}",
            "",
            "| collector | seconds to find it: median (min to max) |",
            "| --- | --- |",
            *rows,
            "",
            f"distribution takes {figures['ratio']} times as long. {adoption}",
        ]
    )


def _progress(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
