"""What a copy says of itself, at the target: of what it is a copy, and whether it is complete.

It keeps three accidents away. A tree that is no copy is not written over. Once a registry has served from a copy, and
somebody has pushed to it, the old source would take those pushes away again; so each pass leaves the sum of all links,
records and uploads, and a copy that has another sum is a copy no more. And two passes into one target would each undo
what the other does; so the note bears the mark of the pass that began last, and the earlier one stops.
"""

from __future__ import annotations

import hashlib
import json
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from dataclasses import replace as altered
from datetime import UTC, datetime

from image_registry.relocating.crew import answers
from image_registry.relocating.links import repositories
from image_registry.storage import layout
from image_registry.storage.object_client import Entry
from image_registry.storage.tree import Tree

READ_AT_ONCE = 32
NOTHING = f"{0:064x}"
"""The sum of an empty target."""


class NotTheCopy(Exception):
    """The target holds something else than a copy of this source; the text says what, and the cure."""


@dataclass(frozen=True, slots=True)
class Note:
    """``source`` is how the source was named; times as ISO 8601.

    ``completed`` is when it was complete for the first time: since then a registry may serve from it. ``sum`` is that
    of the last pass, and empty while links are written. ``run`` is the mark of the pass at work.
    """

    source: str
    begun: str
    completed: str = ""
    sum: str = ""
    run: str = ""


class Hold:
    """A pass has the target for itself, until another one begins."""

    def __init__(self, target: Tree, note: Note) -> None:
        self._target, self._note = target, note
        self._lock = threading.Lock()

    @staticmethod
    def take(target: Tree, source: str, found: Note | None, *, replace: bool) -> Hold:
        """``found`` is what :func:`guard` has returned. Writes the note."""
        if found is None:
            # what a replaced target holds may go, so nobody asks for its sum
            note = Note(source, moment(), sum="" if replace else NOTHING)
        else:
            note = found if found.sum else Note(source, found.begun, sum=summed(target))
        hold = Hold(target, altered(note, run=uuid.uuid4().hex))
        hold._write(hold._note)
        return hold

    def still(self) -> None:
        """Go on? Raises :class:`NotTheCopy` where another pass has begun."""
        note = read(self._target)
        if note is None or note.run != self._note.run:
            raise NotTheCopy("another copy into the same target has begun: this one stops, and has not ended its work")

    def touch(self) -> None:
        """Write once more what is there: does the target take anything? Raises as :meth:`still` does."""
        with self._lock:
            self.still()
            self._write(self._note)

    def open(self) -> None:
        """Links are about to be written. Raises :class:`NotTheCopy` if somebody else has written some meanwhile."""
        self.still()
        if self._note.sum and self._note.sum != summed(self._target):
            raise NotTheCopy(_served(self._note, "this pass began"))
        self._write(altered(self._note, sum=""))

    def end(self, *, complete: bool) -> None:
        """The pass is over, and what is there now is the copy."""
        found = summed(self._target)
        self.still()
        completed = self._note.completed or (moment() if complete else "")
        self._write(altered(self._note, completed=completed, sum=found, run=""))

    def _write(self, note: Note) -> None:
        self._target.write({layout.COPY: json.dumps(asdict(note), indent=1).encode()})
        self._note = altered(note, run=note.run or self._note.run)


def read(tree: Tree) -> Note | None:
    """What the tree says of itself; ``None`` for one that is no copy. Raises :class:`NotTheCopy` for a damaged note."""
    data = tree.read(layout.COPY)
    if data is None:
        return None
    try:
        return Note(**json.loads(data))
    except (ValueError, TypeError):
        raise NotTheCopy(f"{layout.COPY} of the target cannot be read: look at it, and use an empty place") from None


def guard(target: Tree, source: str, *, replace: bool) -> Note | None:
    """The note of a copy that may be gone on with; ``None``: it begins anew.

    Raises :class:`NotTheCopy` for what must not be written over.
    """
    if replace:
        return None
    note = read(target)
    if note is None:
        if filled := [part for part in (layout.BLOBS, layout.NAMESPACES, layout.RECORDS) if target.folders(part)]:
            raise NotTheCopy(f"the target has {filled[0]} already and is no copy of {source}: {_CURE}")
        return None
    if note.source != source:
        raise NotTheCopy(f"the target is a copy of {note.source}, and not of {source}: {_CURE}")
    if note.completed and not note.sum:
        raise NotTheCopy(
            f"the target was a complete copy of {source} at {note.completed}, and a pass after that was broken off "
            f"while it wrote links: nobody can say whether a registry has served from it; {_CURE}"
        )
    if note.sum and note.sum != summed(target):
        raise NotTheCopy(_served(note, note.completed or note.begun))
    return note


def moment() -> str:
    """Now."""
    return datetime.now(UTC).isoformat(timespec="seconds")


_CURE = "name an empty place, or say --replace if what it holds beyond the source may go"


def _served(note: Note, since: str) -> str:
    return (
        f"the target was a copy of {note.source}, and has been written to by somebody else since {since}: "
        f"a registry serves from it. What was pushed there would be lost; {_CURE}"
    )


def summed(tree: Tree) -> str:
    """One number for all links, records and uploads, in whatever order they are listed."""
    total = 0
    with ThreadPoolExecutor(READ_AT_ONCE, thread_name_prefix="read") as pool:
        for folder in [*repositories(tree), layout.RECORDS]:
            for part in answers(pool, _reader(tree), tree.entries(folder), READ_AT_ONCE):
                total ^= part
    return f"{total:064x}"


def _reader(tree: Tree) -> Callable[[Entry], int]:
    def one(entry: Entry) -> int:
        changes = entry.key.endswith("/current/link") or entry.key.startswith(layout.RECORDS)
        said = (tree.read(entry.key) or b"") if changes else b""
        return int.from_bytes(hashlib.sha256(f"{entry.key}\0{entry.size}\0".encode() + said).digest(), "big")

    return one
