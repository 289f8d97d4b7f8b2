"""Measures the data of a migration: the survey, a storage that is kept, and a copy beside skopeo and crane.

The storage is a tree as CNCF distribution leaves it; five of a hundred names are too deep and get others. With reuse
names, tables and three gates are made over all of it and no blob may appear. The copy goes from CNCF distribution into
an empty registry of ours, for each client in turns; every tag must then have its digest, or the figures are invalid.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from benchmarks import machine, mirror
from benchmarks.distribution_tree import Tree
from benchmarks.mirror import MIB, OPEN, Invalid
from benchmarks.servers import Server, Unavailable, distribution, ours
from image_registry.migration.actions import Context, Outcome, RegistryDoor
from image_registry.migration.adopting import Backfill, RenameImages
from image_registry.migration.content import ContentFile, ContentWriter
from image_registry.migration.copying import CopyImages
from image_registry.migration.gating import Gate
from image_registry.migration.names import rename_plan
from image_registry.migration.phases import Action, Phase
from image_registry.migration.plan import Plan, Step, sealed
from image_registry.migration.survey_registry import LegacyRegistry, SurveyOptions, survey_registry
from image_registry.migration.survey_storage import survey_storage
from image_registry.remote.asking import Access
from image_registry.storage.filesystem import FilesystemStore

DEEP = 20
"""One of so many repositories has a name of three parts."""

LAYERS = 3
PARTS = ("tree", "survey", "reuse", "copy")
COPY = Step("copy/all", Phase.PREPARE, Action.COPY_IMAGES, "Copy all")
BACKFILL = Step("backfill", Phase.BACKFILL, Action.BACKFILL, "Backfill")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print; 1 if a figure is invalid, 2 if nothing can be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.migration", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a tenth of the repositories, one round of copies")
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--repositories", type=int, default=2000)
    parser.add_argument("--tags", type=int, default=5, help="of each repository")
    parser.add_argument("--repeats", type=int, default=3, help="of the copies")
    parser.add_argument("--folder", type=Path, help="where to work; default: the folder for temporary files")
    parser.add_argument("--tree", type=Path, help="folder of the tree: made if it is not there, kept afterwards")
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")
    parser.add_argument("--as-client", nargs=3, metavar=("SOURCE", "TARGET", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.as_client:
        _as_client(*options.as_client)
        return 0
    if options.short:
        options.repositories, options.repeats = options.repositories // 10, 1
    parts = options.only or PARTS
    figures: dict[str, Any] = {"machine": machine.description()}
    with tempfile.TemporaryDirectory(prefix="image-registry-bench-", dir=options.folder) as name:
        try:
            if {"tree", "survey", "reuse"} & set(parts):
                figures |= _kept(Path(name), options, parts)
            if "copy" in parts:
                figures["copy"] = _copied(Path(name) / "copy", options)
        except Unavailable as error:
            print(f"bench: {error}", file=sys.stderr)
            return 2
        except Invalid as error:
            print(f"bench: the figures are invalid: {error}", file=sys.stderr)
            return 1
    print(json.dumps(figures, indent=2) if options.output == "json" else page(figures))
    return 0


def fill(root: Path, repositories: int, tags: int) -> tuple[int, int]:
    """A tree, of how many tags and blobs."""
    tree = Tree(root)
    for number in range(repositories):
        name = f"team-{number % 40}/{'deep/' if number % DEEP == 0 else ''}app-{number}"
        for tag in range(tags):
            tree.image(name, f"v{tag}", f"{number}/{tag}", LAYERS)
    return repositories * tags, tree.blobs


def _kept(folder: Path, options: argparse.Namespace, parts: Sequence[str]) -> dict[str, Any]:
    kept = options.tree or folder / "kept"
    kept.mkdir(exist_ok=True)
    tags, blobs = options.repositories * options.tags, options.repositories * options.tags * (LAYERS + 2)
    if not (kept / "data").exists():
        _progress(f"a tree of {options.repositories} repositories")
        fill(kept / "data", options.repositories, options.tags)
    for rest in (kept / "data").glob("metadata.db*"):  # of an earlier run
        rest.unlink()
    found: dict[str, Any] = {"repositories": options.repositories, "tags": tags, "blobs": blobs}
    content = kept / "content"
    if "survey" in parts or not content.exists():
        content.unlink(missing_ok=True)
        _progress("survey by the storage")
        with ContentWriter(content, "storage", "kept") as writer:
            seconds = survey_storage(FilesystemStore(kept / "data"), writer).seconds
    if "survey" in parts:
        found["survey"] = {"storage": seconds, **_surveyed(kept, folder)}
    if "reuse" in parts:
        found["reuse"] = _reused(kept, folder, content, tags, blobs)
    return found


def _surveyed(kept: Path, folder: Path) -> dict[str, float]:
    """By the registry, with every blob asked for and with manifests believed."""
    found = {}
    with distribution(kept) as served:
        for name, blobs in (("registry", True), ("registry, manifests believed", False)):
            _progress(f"survey by the {name}")
            asked = SurveyOptions(at_once=8, per_second=1e6, check_blobs=blobs)
            with ContentWriter(folder / f"told-{blobs}", "registry", "kept") as writer:
                summary = survey_registry(LegacyRegistry(_url(served), Access(insecure=True), asked), writer)
            found[name] = summary.seconds
    return found


def _reused(kept: Path, folder: Path, content: Path, tags: int, blobs: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    switch = folder / "read-only"
    switch.write_text("true", encoding="ascii")
    with ours(kept, (*OPEN, "--read-only-file", str(switch))) as served:
        context = _context(folder / "journal", ContentFile(content), "", _url(served))
        names = {rename.old: rename.new for rename in context.plan.renames}
        rename = Step("attach/rename", Phase.ATTACH, Action.RENAME_IMAGES, "Rename", parameters={"names": names})
        steps: list[tuple[str, Callable[[], Outcome]]] = [
            (f"rename {len(names)} repositories", lambda: RenameImages().do(rename, {}, context)),
            ("backfill", lambda: Backfill().do(BACKFILL, {}, context)),
        ]
        for gate in ("tags", "manifests", "blobs"):
            step = Step(f"gate/{gate}", Phase.GATES, Action.GATE, gate, parameters={"gate": gate})
            steps.append((f"gate {gate}", lambda step=step: Gate().do(step, {}, context)))  # type: ignore[misc]
        for name, call in steps:
            _progress(name)
            began = time.monotonic()
            outcome = call()
            found[name] = round(time.monotonic() - began, 2)
            if outcome.open:
                raise Invalid(f"{name}: {len(outcome.open)} items are open, {outcome.open[0]} among them")
        RenameImages().undo(rename, {}, context)
    there = sum(1 for _ in (kept / "data/docker/registry/v2/blobs").rglob("data"))
    if there != blobs:
        raise Invalid(f"{there - blobs} blobs were written")
    return {"seconds": found, "total": round(sum(found.values()), 2), "bytes": 0, "tags": tags}


def _copied(folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    clients = {"image-registry": _ours, "skopeo": mirror._skopeo, "crane": mirror._crane}
    programs = {name: sys.executable if name == "image-registry" else mirror._program(name) for name in clients}
    (folder / "source").mkdir(parents=True)
    results = []
    with distribution(folder / "source") as source:
        for workload in mirror.WORKLOADS:
            expected, size = mirror._fill(source, workload, workload.repositories)
            seconds: dict[str, list[float]] = {name: [] for name in clients}
            for turn in range(options.repeats):
                for name in sorted(clients, reverse=turn % 2 == 1):
                    _progress(f"{workload.name}, round {turn + 1} of {options.repeats}: {name}")
                    place = folder / f"{name}-{workload.tags}-{turn}"
                    seconds[name].append(mirror._once(place, programs[name], clients[name], source, expected))
            results.append({"name": workload.name, "about": workload.about, "bytes": size, "seconds": seconds})
    return results


def _ours(program: str, source: str, target: str, tags: list[str], folder: Path) -> list[list[str]]:
    """A process of its own, with the list of what is to be copied."""
    with ContentWriter(folder / "content", "registry", "source") as writer:
        survey_registry(
            LegacyRegistry(f"http://{source}", Access(insecure=True), SurveyOptions(at_once=8, check_blobs=False)),
            writer,
            names=sorted({tag.rpartition(":")[0] for tag in tags}),
        )
    return [[program, "-m", "benchmarks.migration", "--as-client", f"http://{source}", f"http://{target}", str(folder)]]


def _as_client(source: str, target: str, folder: str) -> None:
    context = _context(Path(folder) / "journal", ContentFile(Path(folder) / "content"), source, target)
    CopyImages().do(COPY, {}, context)


def _context(folder: Path, content: ContentFile, source: str, target: str) -> Context:
    folder.mkdir(exist_ok=True)
    names = [repository.name for repository in content.repositories()]
    renames = rename_plan(names, {})
    return Context(
        plan=sealed(Plan(1, "", "image-registry", "", "", "", "", "", "", "", renames=renames)),
        client=cast("Any", None),
        folder=folder,
        settings=cast("Any", None),
        source=RegistryDoor(source, Access(insecure=True)) if source else None,
        target=RegistryDoor(target, Access(insecure=True, patience=60)),
        content=content,
    )


def page(figures: dict[str, Any]) -> str:
    """The figures for people."""
    lines = [str(figures["machine"]), ""]
    if "tags" in figures:
        lines.append(f"{figures['repositories']} repositories, {figures['tags']} tags, {figures['blobs']} blobs")
    for way, seconds in figures.get("survey", {}).items():
        lines.append(f"survey by the {way}: {seconds:.1f} s, {figures['tags'] / seconds:.0f} tags/s")
    reuse = figures.get("reuse")
    if reuse:
        lines += [f"reuse, {name}: {seconds:.1f} s" for name, seconds in reuse["seconds"].items()]
        lines.append(f"reuse in all: {reuse['total']:.1f} s, {reuse['bytes']} bytes copied")
    for workload in figures.get("copy", ()):
        base = statistics.median(workload["seconds"]["image-registry"])
        lines.append(f"copy, {workload['name']} ({workload['about']}, {workload['bytes'] / MIB:.0f} MiB):")
        for name, values in workload["seconds"].items():
            middle = statistics.median(values)
            speed = workload["bytes"] / MIB / middle
            lines.append(f"  {name}: {middle:.2f} s, {speed:.0f} MiB/s, {middle / base:.2f} times ours")
    return "\n".join(lines)


def _url(server: Server) -> str:
    return f"http://{server.address.host}:{server.address.port}"


def _progress(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
