"""A copy is made in passes: while the source serves, and once more when it is still.

Blobs go before links. While the source serves, a link that is pushed in between may still name a blob that has not come
along; the next pass brings it, and only a complete copy promises that none is missing. A pass that was killed is made
again. The last one compares everything anew when it is done: complete is what a second look finds complete.

Nothing is ever changed at the source, and no blob is ever removed anywhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from image_registry.oci.digest import Digest, InvalidDigest
from image_registry.relocating import note, uploads
from image_registry.relocating.blobs import NEVER, WRITTEN, Blobs
from image_registry.relocating.crew import Crew, Pace
from image_registry.relocating.findings import Tally
from image_registry.relocating.links import Links
from image_registry.storage import layout
from image_registry.storage.blob_store import BlobStore, StorageFault
from image_registry.storage.choice import Storage, open_store
from image_registry.storage.tree import Tree, open_tree


class NoRegistry(Exception):
    """The source holds none; the text says what is missing."""


FORSAKEN = timedelta(hours=1)
"""Age of a half blob at the target that nobody writes any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How a pass is made; ``name`` is what the source is called in the note of the copy."""

    name: str
    dry_run: bool = False
    complete: bool = False
    """The source is still: bring uploads too, look at everything again, and call the copy complete."""
    replace: bool = False
    """What the target holds beyond the source may go."""
    check: str = WRITTEN
    parallel: int = 8
    rate: float = 0
    """Bytes in a second; 0: no limit."""
    accepted: frozenset[str] = frozenset()
    """Digests that may stay behind."""


@dataclass(frozen=True, slots=True)
class Place:
    """A storage, as a tree and as the registry uses it."""

    storage: Storage
    tree: Tree
    store: BlobStore

    @staticmethod
    def of(storage: Storage) -> Place:
        """Nothing is read or written before it is used."""
        return Place(storage, open_tree(storage), open_store(storage))


def copy(source: Place, target: Place, wish: Wish, progress: Callable[[str, int], None]) -> dict[str, Any]:
    """One pass; returns its report, also of one that was broken off on its way (``state`` is ``failed``, and ``why``).

    Raises :class:`NoRegistry`, :class:`~image_registry.relocating.note.NotTheCopy` and
    :class:`~image_registry.storage.blob_store.StorageFault` before anything was written.
    """
    started = time.monotonic()
    _look(source, wish.name)
    found = note.guard(target.tree, wish.name, replace=wish.replace)
    hold = None if wish.dry_run else note.Hold.take(target.tree, wish.name, found, replace=wish.replace)
    tally, left, why = Tally(), 0, ""
    try:
        if hold is not None:
            target.tree.clear(datetime.now(UTC) - FORSAKEN)
        _pass(source, target, wish, tally, hold, progress)
        if hold is not None:
            left = _end(source, target, wish, tally, hold, progress)
    except (NoRegistry, note.NotTheCopy, StorageFault) as error:
        why = str(error)
    clean = not tally.failures and left <= 0 and not why
    state = "failed" if why else "planned" if wish.dry_run else "complete" if wish.complete and clean else "copied"
    return {
        "dryRun": wish.dry_run,
        "from": wish.name,
        "to": str(target.storage),
        "state": state,
        **({"why": why} if why else {}),
        "clean": clean,
        "seconds": round(time.monotonic() - started, 3),
        "changedMeanwhile": max(left, 0),
        **tally.document(),
    }


def _end(
    source: Place, target: Place, wish: Wish, tally: Tally, hold: note.Hold, progress: Callable[[str, int], None]
) -> int:
    """The second look, and the last word of the note; returns how many differences there are."""
    left = 0
    if wish.complete and not tally.failures:
        again = Tally()
        look = replace(wish, dry_run=True, check=NEVER, replace=True)  # it removes nothing that would have to be spared
        _pass(source, target, look, again, None, progress)
        left = again.changes
        _look(source, wish.name)  # a medium that went away in the middle looks like one that is empty
    progress("links and records summed", tally.links)
    hold.end(complete=wish.complete and not tally.failures and left <= 0)
    return left


def _pass(
    source: Place,
    target: Place,
    wish: Wish,
    tally: Tally,
    hold: note.Hold | None,
    progress: Callable[[str, int], None],
) -> None:
    """``hold`` is of a pass that writes."""
    crew = Crew(wish.parallel)
    blobs = Blobs(
        source.tree,
        target.tree,
        tally,
        crew,
        pace=Pace(wish.rate),
        check=wish.check,
        accepted=wish.accepted,
        alive=lambda: _alive(source.tree, hold),
        progress=progress,
    )
    allowed = hold.still if hold is not None else None
    links = Links(source.tree, target.tree, tally, crew, allowed=allowed, progress=progress)
    missing = blobs.missing()
    if hold is not None:
        blobs.bring(missing)
        hold.open()
    if not wish.replace:
        _spare(links, wish.name)
    trash = _trash(source.tree)
    rescued = blobs.rescued(links.bring(trash))
    if hold is not None:
        blobs.bring(rescued)
    links.bring_records()
    if wish.complete:
        if hold is not None:
            hold.still()
        uploads.bring((source.tree, source.store), (target.tree, target.store), tally, dry_run=wish.dry_run)
    quarantine = sum(1 for _ in source.tree.entries(layout.QUARANTINE))
    tally.add(left_in_trash=len(trash), left_in_quarantine=quarantine)


def _alive(source: Tree, hold: note.Hold | None) -> None:
    """A file of the source can be read, and one of the target be written."""
    small = next(source.entries(layout.NAMESPACES), None)
    if small is None:
        raise StorageFault("the source shows no repository any more")
    source.read(small.key)
    if hold is not None:
        hold.touch()


def _look(source: Place, name: str) -> None:
    """Raises :class:`NoRegistry` for an empty place, which would be copied by emptying the target."""
    for part in (layout.BLOBS, layout.NAMESPACES):
        if not source.tree.folders(part):
            raise NoRegistry(
                f"there is no registry in {name} ({source.storage}): {part} is missing or empty. Is that the right "
                "place, and is it mounted? A registry without images needs no copy"
            )


def _spare(links: Links, name: str) -> None:
    """A source that has lost most of what the target has is hardly the right one."""
    there, gone = links.vanishing()
    if gone * 2 > there:
        raise note.NotTheCopy(
            f"{gone} of the {there} links of the target are not in {name} any more, and would be removed: is that the "
            "right source? If it is, say --replace"
        )


def _trash(tree: Tree) -> set[Digest]:
    found = set()
    for entry in tree.entries(layout.TRASH):
        algorithm, _, value = entry.key.removeprefix(f"{layout.TRASH}/").partition("/")
        try:
            digest = Digest.parse(f"{algorithm}:{value}")
        except InvalidDigest:
            continue
        found.add(digest)
    return found
