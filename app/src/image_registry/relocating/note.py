"""What a copy says of itself, at the target: of what it is a copy, and whether it is complete.

It keeps two accidents away. A tree that is no copy is not written over. And once a registry has served from a copy, and
somebody has pushed to it, the old source would take those pushes away again; so a complete copy knows the sum of all
its links and records, and one that has another sum is a copy no more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

from image_registry.relocating.links import UPLOADS, repositories
from image_registry.storage import layout
from image_registry.storage.object_client import Entry
from image_registry.storage.tree import Tree

READ_AT_ONCE = 32


class NotTheCopy(Exception):
    """The target holds something else than a copy of this source; the text says what, and the cure."""


@dataclass(frozen=True, slots=True)
class Note:
    """``source`` is how the source was named; ``sum`` is empty while the copy is not complete; times as ISO 8601."""

    source: str
    begun: str
    completed: str = ""
    sum: str = ""


def read(tree: Tree) -> Note | None:
    """What the tree says of itself; ``None`` for one that is no copy. Raises :class:`NotTheCopy` for a damaged note."""
    data = tree.read(layout.COPY)
    if data is None:
        return None
    try:
        return Note(**json.loads(data))
    except (ValueError, TypeError):
        raise NotTheCopy(f"{layout.COPY} of the target cannot be read: look at it, and use an empty place") from None


def write(tree: Tree, note: Note) -> None:
    """Durable on return."""
    tree.write({layout.COPY: json.dumps(asdict(note), indent=1).encode()})


def guard(target: Tree, source: str, *, replace: bool) -> Note | None:
    """The note of a copy that may be gone on with; ``None``: it begins anew.

    Raises :class:`NotTheCopy` for what must not be written over.
    """
    if replace:
        return None
    note = read(target)
    cure = "name an empty place, or say --replace if what it holds beyond the source may go"
    if note is None:
        if filled := [part for part in (layout.BLOBS, layout.NAMESPACES, layout.RECORDS) if target.folders(part)]:
            raise NotTheCopy(f"the target has {filled[0]} already and is no copy of {source}: {cure}")
        return None
    if note.source != source:
        raise NotTheCopy(f"the target is a copy of {note.source}, and not of {source}: {cure}")
    if note.sum and note.sum != summed(target):
        raise NotTheCopy(
            f"the target was a complete copy of {source} at {note.completed}, and has been written to since: "
            f"a registry serves from it. What was pushed there would be lost; {cure}"
        )
    return note


def summed(tree: Tree) -> str:
    """One number for all links and records, in whatever order they are listed."""
    total = 0
    with ThreadPoolExecutor(READ_AT_ONCE, thread_name_prefix="read") as pool:
        for folder in [*repositories(tree), layout.RECORDS]:
            for part in pool.map(lambda entry: _one(tree, entry), _settled(tree, folder)):
                total ^= part
    return f"{total:064x}"


def _settled(tree: Tree, folder: str) -> Iterator[Entry]:
    return (entry for entry in tree.entries(folder) if UPLOADS not in entry.key)


def _one(tree: Tree, entry: Entry) -> int:
    changes = entry.key.endswith("/current/link") or entry.key.startswith(layout.RECORDS)
    said = (tree.read(entry.key) or b"") if changes else b""
    return int.from_bytes(hashlib.sha256(f"{entry.key}\0{entry.size}\0".encode() + said).digest(), "big")
