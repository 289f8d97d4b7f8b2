"""A copy is made in passes: while the source serves, and once more when it is still.

Blobs go before links, so that a link of the target never names what is on its way. Each pass brings what the target
does not have; one that was killed is simply made again. The last one compares everything anew when it is done: complete
is what a second look finds complete.

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
from image_registry.storage.blob_store import BlobStore
from image_registry.storage.choice import Storage, open_store
from image_registry.storage.tree import Tree, open_tree

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
    """One pass; returns its report. Raises :class:`~image_registry.relocating.note.NotTheCopy` and
    :class:`~image_registry.storage.blob_store.StorageFault`."""
    started = time.monotonic()
    begun = note.guard(target.tree, wish.name, replace=wish.replace)
    now = datetime.now(UTC)
    if not wish.dry_run:
        kept = begun.begun if begun is not None else _text(now)
        note.write(target.tree, begun := note.Note(wish.name, kept))  # it is not complete while it is written to
        target.tree.clear(now - FORSAKEN)
    tally = _pass(source, target, wish, progress)
    left = 0
    if wish.complete and not wish.dry_run and not tally.failures:
        again = _pass(source, target, replace(wish, dry_run=True, check=NEVER), progress)
        left = again.changes - len(tally.accepted)
        if left <= 0 and begun is not None:
            progress("links and records summed", again.links)
            note.write(target.tree, replace(begun, completed=_text(datetime.now(UTC)), sum=note.summed(target.tree)))
    done = wish.complete and not wish.dry_run and not tally.failures and left <= 0
    return {
        "dryRun": wish.dry_run,
        "from": wish.name,
        "to": str(target.storage),
        "state": "complete" if done else "planned" if wish.dry_run else "copied",
        "clean": not tally.failures and left <= 0,
        "seconds": round(time.monotonic() - started, 3),
        "changedMeanwhile": max(left, 0),
        **tally.document(),
    }


def _pass(source: Place, target: Place, wish: Wish, progress: Callable[[str, int], None]) -> Tally:
    tally, crew = Tally(), Crew(wish.parallel)
    blobs = Blobs(
        source.tree,
        target.tree,
        tally,
        crew,
        pace=Pace(wish.rate),
        check=wish.check,
        accepted=wish.accepted,
        progress=progress,
    )
    links = Links(source.tree, target.tree, tally, crew, dry_run=wish.dry_run, progress=progress)
    missing = blobs.missing()
    if not wish.dry_run:
        blobs.bring(missing)
    trash = _trash(source.tree)
    rescued = blobs.rescued(links.bring(trash))
    if not wish.dry_run:
        blobs.bring(rescued)
    links.bring_records()
    if wish.complete:
        uploads.bring((source.tree, source.store), (target.tree, target.store), tally, dry_run=wish.dry_run)
    quarantine = sum(1 for _ in source.tree.entries(layout.QUARANTINE))
    tally.add(left_in_trash=len(trash), left_in_quarantine=quarantine)
    return tally


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


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
