"""The storage of a migration that is copied: by a migration, ``skopeo sync`` and ``crane copy``, in turns.

The source is CNCF distribution on the tree of the whole measure, the target a registry of ours that was started for
one client and is empty. Clients are compared by the repositories of one namespace, by few big layers and, when asked
for, by all of the tree whose names are not too deep; the whole tree, too deep names under their new ones, is copied by
a migration alone. Every tag must then have the digest of the source.

All may do sixteen things at once, as far as they can: crane by ``--jobs 16``, one process for each repository after the
other, and once more with four of these processes at once, four jobs each. skopeo copies the layers of an image at once,
and one image after the other; it has no option for more. It has one call for each namespace.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks import mirror
from benchmarks.migration_storage import legacy, url
from benchmarks.migration_tree import Shape
from benchmarks.mirror import OPEN, Invalid
from benchmarks.servers import Server, distribution, ours
from image_registry.migration.actions import PER_REGISTRY
from image_registry.migration.content import ContentFile, ContentWriter
from image_registry.migration.names import rename_plan
from image_registry.migration.survey_registry import LegacyRegistry, SurveyOptions, survey_registry
from image_registry.migration.survey_storage import survey_storage
from image_registry.mirroring.limits import Limits
from image_registry.oci.digest import Digest
from image_registry.oci.reference import is_ours
from image_registry.remote.asking import Access
from image_registry.remote.reference import RemoteReference
from image_registry.storage.filesystem import FilesystemStore

NAMESPACE = 7
"""The one that all clients copy; none of its names is too deep."""

BIG = mirror.WORKLOADS[1]
TOGETHER = 4
"""Processes of crane at once, where there are several."""

SMALL, LARGE, TREE = "namespace", "layers", "tree"
WORKLOADS = (SMALL, LARGE, TREE)
"""Of the copies: what a namespace of the tree holds, few big layers, and all that every client can name as it is."""
USUAL = (SMALL, LARGE)
"""What is compared unless something else is asked for: the tree takes each client minutes."""

OURS = "image-registry"
Tell = Callable[[str], None]
Client = Callable[[Server, Server, list[str], Path], list[list[str]]]


def compared(
    kept: Path, folder: Path, shape: Shape, repeats: int, tell: Tell, workloads: Iterable[str] = USUAL
) -> list[dict[str, Any]]:
    """Seconds of every client in every round, for each of the workloads."""
    found = []
    if SMALL in workloads:
        with legacy(kept, folder / "legacy") as source:
            content = _listed(source, folder / "sample", sorted(shape.sample(NAMESPACE)))
            about = f"{sum(1 for _ in shape.sample(NAMESPACE))} repositories of the tree, {shape.tags} tags each"
            found.append(_rounds("one namespace", about, source, content, folder, repeats, tell))
    if TREE in workloads:
        with legacy(kept, folder / "legacy-tree") as source:
            names = [name for name in shape.names() if is_ours(name)]
            content = _listed(source, folder / "tree", names)
            about = f"{len(names)} repositories, {shape.tags} tags each, all but those whose names are too deep"
            found.append(_rounds("the tree", about, source, content, folder, repeats, tell))
    if LARGE in workloads:
        (folder / "big").mkdir()
        with distribution(folder / "big") as source:
            mirror._fill(source, BIG, BIG.repositories)
            content = _listed(source, folder / "big-content", None)
            found.append(_rounds(BIG.name, BIG.about, source, content, folder, repeats, tell))
    return found


def whole(kept: Path, folder: Path, tell: Tell) -> dict[str, Any]:
    """Everything, by a migration alone, too deep names under their new ones."""
    with ContentWriter(folder / "whole", "storage", "kept") as writer:
        survey_storage(FilesystemStore(kept / "data"), writer, count_stored=False)
    content = ContentFile(folder / "whole")
    with legacy(kept, folder / "legacy") as source:
        tell(f"the whole: {OURS}")
        return {"tags": len(_tags(content)), "bytes": _size(content)} | _once(OURS, _ours, source, content, folder)


def _rounds(
    name: str, about: str, source: Server, content: ContentFile, folder: Path, repeats: int, tell: Tell
) -> dict[str, Any]:
    found: dict[str, list[dict[str, Any]]] = {client: [] for client in CLIENTS}
    for turn in range(repeats):
        for client in sorted(CLIENTS, reverse=turn % 2 == 1):
            one = _once(client, CLIENTS[client], source, content, folder)
            tell(f"{name}, round {turn + 1} of {repeats}: {client}: {one['seconds']} s at load {one['load']}")
            found[client].append(one)
    return {"name": name, "about": about, "tags": len(_tags(content)), "bytes": _size(content), "clients": found}


def _once(name: str, client: Client, source: Server, content: ContentFile, folder: Path) -> dict[str, Any]:
    """What one client takes to fill an empty registry."""
    place = folder / "target"
    place.mkdir()
    try:
        with ours(place, OPEN) as target:
            shutil.copyfile(content.path, place / "content")
            commands = client(source, target, sorted(_tags(content)), place)
            os.sync()
            began, load = time.monotonic(), os.getloadavg()[0]
            said = [_run(command, place) for command in commands]
            seconds = time.monotonic() - began
            _check(target, content)
    finally:
        shutil.rmtree(place)
    found = {"seconds": round(seconds, 2), "load": round(load, 1)}
    return found | (json.loads(said[0]) if name == OURS else {})


def _run(command: list[str], place: Path) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": str(place)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise Invalid(f"{' '.join(command[:3])} failed: {(done.stderr or done.stdout)[-500:]}")
    return done.stdout


def _ours(source: Server, target: Server, tags: list[str], place: Path) -> list[list[str]]:
    """A process of its own, with the list of what is to be copied."""
    del tags
    return [[sys.executable, "-m", "benchmarks.migration_client", url(source), url(target), str(place)]]


def _skopeo(source: Server, target: Server, tags: list[str], place: Path) -> list[list[str]]:
    spaces: dict[str, list[str]] = {}
    for tag in tags:
        spaces.setdefault(tag.partition("/")[0], []).append(tag)
    commands = []
    for space, its in spaces.items():
        (place / space).mkdir()
        program = mirror._program("skopeo")
        commands += mirror._skopeo(program, mirror._host(source), mirror._host(target), its, place / space)
    return commands


def _crane(source: Server, target: Server, tags: list[str], place: Path) -> list[list[str]]:
    commands = mirror._crane(mirror._program("crane"), mirror._host(source), mirror._host(target), tags, place)
    return [[*command, "--jobs", str(PER_REGISTRY)] for command in commands]


def _cranes(source: Server, target: Server, tags: list[str], place: Path) -> list[list[str]]:
    """``xargs``, which ends with an error when one of its processes did."""
    commands = mirror._crane(mirror._program("crane"), mirror._host(source), mirror._host(target), tags, place)
    (place / "names").write_text("".join(f"{command[-2]} {command[-1]}\n" for command in commands), encoding="ascii")
    jobs = str(PER_REGISTRY // TOGETHER)
    same = [*commands[0][:-2], "--jobs", jobs]
    return [["xargs", "-a", str(place / "names"), "-P", str(TOGETHER), "-L", "1", *same]]


CLIENTS: dict[str, Client] = {OURS: _ours, "skopeo sync": _skopeo, "crane copy": _crane, "4 crane copy": _cranes}


def _listed(source: Server, path: Path, names: Iterable[str] | None) -> ContentFile:
    with ContentWriter(path, "registry", "source") as writer:
        asked = LegacyRegistry(url(source), Access(insecure=True), SurveyOptions(at_once=8, check_blobs=False))
        survey_registry(asked, writer, names=names)
    return ContentFile(path)


def _tags(content: ContentFile) -> dict[str, Digest]:
    """What every tag has to mean at the target."""
    new = {rename.old: rename.new for rename in rename_plan([r.name for r in content.repositories()], {})}
    return {
        f"{new.get(repository.name, repository.name)}:{tag}": Digest.parse(digest)
        for repository in content.repositories()
        for tag, digest in repository.tags.items()
    }


def _size(content: ContentFile) -> int:
    """Bytes of all distinct blobs."""
    return sum(
        {digest: size for repository in content.repositories() for digest, size in repository.blobs.items()}.values()
    )


def _check(target: Server, content: ContentFile) -> None:
    writing, wrong = mirror._client()[1], []

    def one(item: tuple[str, Digest]) -> None:
        path, _, tag = item[0].rpartition(":")
        there = writing.manifest_digest(RemoteReference(mirror._host(target), path).at(tag), mirror.ACCESS)
        if there != item[1]:
            wrong.append(f"{item[0]} is {there} at the target, and {item[1]} at the source")

    Limits(8, 1).each(list(_tags(content).items()), lambda _item: ("here",), one)
    if wrong:
        raise Invalid(f"{len(wrong)} tags are not what they were: {wrong[0]}")
