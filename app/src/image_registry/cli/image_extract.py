"""``ac image extract``: files of an image, without running it."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any

import click

from image_registry.cli.failures import Failed, NotThere, Wrong
from image_registry.cli.image_places import Images, image_options, save
from image_registry.cli.output import note, rows, warn
from image_registry.cli.reading import Reading
from image_registry.cli.switches import switch
from image_registry.layers.merging import Found, Kind, Path, Tree, UnsafeLayer, parts
from image_registry.layers.placing import Target, Wish, chosen, split
from image_registry.layers.reading import members
from image_registry.measures import size
from image_registry.oci.manifest import Descriptor, Manifest

_SELECTED = re.compile(r"(?P<image>.+?)\[(?P<from>-?[0-9]*)(?P<colon>:?)(?P<to>-?[0-9]*)\]")
_SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
MOST_WARNINGS = 20


@dataclass(frozen=True, slots=True)
class Where:
    """What of the image is to lie in which folder; the ``contents`` of a folder, or it itself."""

    source: Path
    contents: bool
    folder: File


@click.command("extract")
@click.argument("name", metavar="IMAGE[LAYERS]", help="An image; [0], [-1], [1:3] behind it chooses layers.")
@click.option(
    "--path", "paths", multiple=True, metavar="SOURCE:FOLDER",
    help="A file or folder of the image, and the folder it goes to; `/etc/` is what is in it. Repeatable. Else `/:.`.",
)  # fmt: skip
@click.option(
    "--file", "files", multiple=True, metavar="NAME", help="A file of the image, into this folder. Repeatable."
)
@switch("--confirm", default=False, help_="Write into folders that are not empty, over files that are there.")
@switch("--only-files", default=False, help_="No links, and no folders without files.")
@switch("-p", "--preserve-ownership", "preserve", default=False, help_="Keep owners and all bits of modes; for root.")
@switch("--dry-run", default=False, help_="Show what would be written.")
@click.option(
    "--max-size", default="32g", metavar="SIZE", show_default=True, help="Most bytes that a layer may unpack to."
)
@image_options
def extract(*, name: str, paths: Sequence[str], files: Sequence[str], **options: Any) -> None:
    """Write files of an image into folders.

    \b
      ac image extract quay.io/team/app:1 --path=/etc/:config
      ac image extract quay.io/team/app:1 --file=usr/bin/tool
      ac image extract quay.io/team/app:1[-1] --confirm        the newest layer alone

    Layers are verified before anything is written, and put together as a container would see them. Nothing is ever
    written outside of the folders: an image that tries is refused; links that lead out are left out; devices, too.
    Folders must be there, and be empty, or --confirm. Files that are there are never followed if they are links.
    """
    limit = _bytes(options["max_size"])
    image, selected = _selection(name)
    wanted = _wanted(paths, files)
    for where in wanted:
        _check(where.folder, confirm=options["confirm"] or options["dry_run"] or bool(files))
    images = Images(options)
    place, repository = images.open(image)
    manifest = images.chosen(repository, repository.manifest(place.wanted))
    layers = _layers(manifest, selected, name)
    with (
        tempfile.TemporaryDirectory(prefix="ac-extract-") as folder,
        Reading(sys.stderr) as reading,
    ):
        kept: list[tuple[File, str]] = []
        for number, layer in enumerate(layers):
            reading.read("layers", number)
            kept.append((File(folder) / str(number), f"layer {layer.digest}"))
            save(repository, layer, kept[-1][0])
        reading.read("layers", len(layers))
        try:
            _extract(kept, wanted, limit, options)
        except UnsafeLayer as error:
            raise Failed(f"{place} is refused, and nothing was written: {error}") from None


def _extract(
    layers: Sequence[tuple[File, str]], wanted: Sequence[Where], limit: int, options: Mapping[str, Any]
) -> None:
    tree = Tree()
    for path, name in layers:
        with members(path, name, limit) as entries:
            tree.add(entry for entry, _ in entries)
    files = dict(tree.files())
    for where in wanted:
        wishes = chosen(files, where.source, contents=where.contents)
        if not wishes and where.source not in files and where.source:
            raise NotThere(f"the image has no /{'/'.join(where.source)}")
        if options["only_files"]:
            wishes = [wish for wish in wishes if wish.found.entry.kind is Kind.FILE]
        if options["dry_run"]:
            _show(wishes, where)
        else:
            _write(layers, wishes, where, tree, limit, preserve=options["preserve"])


def _write(
    layers: Sequence[tuple[File, str]], wishes: list[Wish], where: Where, tree: Tree, limit: int, *, preserve: bool
) -> None:
    kinds = split(wishes)
    target = Target(where.folder, preserve=preserve)
    target.folders(kinds[Kind.FOLDER])
    by_layer: dict[int, dict[int, list[Wish]]] = {}
    for wish in kinds[Kind.FILE]:
        by_layer.setdefault(wish.found.layer, {}).setdefault(wish.found.entry.number, []).append(wish)
    for number, numbers in sorted(by_layer.items()):
        path, name = layers[number]
        with members(path, name, limit) as entries:
            for entry, opened in entries:
                first, *more = numbers.get(entry.number, ()) or (None,)
                if first is None:
                    continue
                target.file(first, opened())
                for wish in more:
                    target.again(wish)
    root = where.source if where.contents else where.source[:-1]
    target.links(kinds[Kind.LINK], lambda path: tree.link(path, root))
    target.modes(kinds[Kind.FOLDER])
    left = [*target.placed.left_out, *(f"{'/'.join(wish.source)}: a device or pipe" for wish in kinds[Kind.OTHER])]
    for text in left[:MOST_WARNINGS]:
        warn(f"left out: {text}")
    if len(left) > MOST_WARNINGS:
        warn(f"{len(left) - MOST_WARNINGS} more were left out")
    placed = target.placed
    note(f"{placed.files} files of {size(placed.size)} written to {where.folder}")


def _show(wishes: Sequence[Wish], where: Where) -> None:
    lines = [
        (wish.found.entry.kind.value, size(_size(wish.found)), str(where.folder.joinpath(*wish.path)))
        for wish in sorted(wishes, key=lambda wish: wish.path)
    ]
    rows(("KIND", "SIZE", "WOULD BE"), lines)


def _size(found: Found) -> int:
    return found.entry.size if found.entry.kind is Kind.FILE else 0


def _wanted(paths: Sequence[str], files: Sequence[str]) -> list[Where]:
    """Raises :class:`Wrong`."""
    if paths and files:
        raise Wrong("--path and --file: choose one")
    found = [Where(_path(name), contents=False, folder=File()) for name in files]
    for text in paths or ((),) * (not files):
        source, colon, folder = text.rpartition(":") if isinstance(text, str) else ("/", ":", ".")
        if not colon or not source or not folder:
            raise Wrong(f"--path={text!r}: write <path of the image>:<folder>")
        path = _path(source)
        found.append(Where(path, contents=source.endswith("/") or not path, folder=File(folder)))
    return found


def _path(text: str) -> Path:
    try:
        return parts(text)
    except UnsafeLayer:
        raise Wrong(f"{text!r} is no path of an image: leave out `..`") from None


def _check(folder: File, *, confirm: bool) -> None:
    if not folder.is_dir():
        raise Wrong(f"there is no folder {folder}: make it first")
    if not confirm and any(folder.iterdir()):
        raise Wrong(f"folder {folder} is not empty: --confirm writes into it all the same")


def _selection(name: str) -> tuple[str, slice]:
    found = _SELECTED.fullmatch(name)
    if found is None:
        return name, slice(None)
    first, last = (int(found[part]) if found[part] else None for part in ("from", "to"))
    if not found["colon"]:
        if first is None:
            raise Wrong(f"{name!r}: write [<number>] or [<from>:<to>] for layers")
        return found["image"], slice(first, first + 1 or None)
    return found["image"], slice(first, last)


def _layers(manifest: Manifest, selected: slice, name: str) -> tuple[Descriptor, ...]:
    found = manifest.layers[selected]
    if not found:
        raise NotThere(f"{name} chooses none of the {len(manifest.layers)} layers of the image")
    return found


def _bytes(text: str) -> int:
    match = re.fullmatch(r"([0-9]{1,12})([kmgt]?)i?b?", text.strip().lower())
    if not match:
        raise Wrong(f"--max-size={text!r}: write it like 512m or 32g")
    return int(match[1]) * _SIZES[match[2]]
