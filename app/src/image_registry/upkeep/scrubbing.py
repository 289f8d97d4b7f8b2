"""Every blob is read again, slowly; what is not what its digest says is put aside, so that nobody gets wrong bytes.

It goes by the order of digests, so that where it is can be said in one word, and another process can go on from there.
A blob that was put aside is as if it were not there: pulls of it are refused, a push of the same digest brings it back.
What was imported is fetched again at once from where it came from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from image_registry.oci.digest import Digest
from image_registry.storage.blob_store import BlobStore, Stored
from image_registry.upkeep.hashing import Hashing, Wrong

NOTED = 100
"""Blobs between two notes of where it is."""


@dataclass
class Scrubbed:
    """What was read and found; ``put_aside`` says whether corrupt blobs were."""

    blobs: int = 0
    bytes: int = 0
    corrupt: list[dict[str, str]] = field(default_factory=list)
    unreadable: list[dict[str, str]] = field(default_factory=list)
    gone: int = 0
    """Blobs that went while it was on its way."""
    put_aside: int = 0
    fetched: int = 0
    """Of those that were put aside: they are here again, and right."""

    @property
    def clean(self) -> bool:
        """Whether every blob was read and right."""
        return not self.corrupt and not self.unreadable

    @staticmethod
    def of(notes: Mapping[str, Any]) -> Scrubbed:
        """What a process before this one had found."""
        return Scrubbed(**{key: notes[key] for key in notes if key in Scrubbed.__dataclass_fields__})


Advance = Callable[[str, Mapping[str, Any]], None]
Fetch = Callable[[Digest], str]
"""Fetches a blob again that was put aside; says what came of it, nothing where nobody knows another place for it."""


def scrub(
    store: BlobStore,
    hashing: Hashing,
    *,
    confirm: bool,
    fetch: Fetch = lambda _digest: "",
    after: str = "",
    found: Scrubbed | None = None,
    progress: Callable[[str, int], None] = lambda _stage, _count: None,
    advance: Advance = lambda _cursor, _notes: None,
) -> Scrubbed:
    """Read every blob behind ``after``; with ``confirm`` what is corrupt is put aside, and fetched again if it can be.

    ``advance`` is told from where the next process goes on, and what this one has found so far.
    """
    found = found or Scrubbed()
    for number, blob in enumerate(_behind(store, after, progress), 1):
        progress("blobs read", found.blobs)
        right = _one(store, hashing, blob, found, fetch if confirm else None)
        if number % NOTED == 0 or not right:
            advance(str(blob.digest), asdict(found))
    return found


def _behind(store: BlobStore, after: str, progress: Callable[[str, int], None]) -> list[Stored]:
    """Every blob in order; about 300 bytes of memory for each."""
    blobs: list[Stored] = []
    for blob in store.blobs(lambda algorithm, value: f"{algorithm}:{value}" > after):
        blobs.append(blob)
        if len(blobs) % 1000 == 0:
            progress("blobs listed", len(blobs))
    return sorted(blobs, key=lambda blob: blob.digest)


def _one(store: BlobStore, hashing: Hashing, blob: Stored, found: Scrubbed, fetch: Fetch | None) -> bool:
    """Whether the blob is as it should be, or has gone. Without ``fetch`` nothing is changed."""
    digest = blob.digest
    try:
        size = hashing.check(digest)
    except Wrong as wrong:
        entry = {"digest": str(digest), "detail": str(wrong)}
        found.blobs += 1
        if wrong.unreadable:
            found.unreadable.append(entry)
            return False
        found.corrupt.append(entry)
        if fetch is not None and store.quarantine(blob):  # not what somebody has pushed meanwhile
            found.put_aside += 1
            if cure := fetch(digest):
                entry["cure"] = cure
            found.fetched += store.stat(digest) is not None
        return False
    if size is None:
        found.gone += 1
        return True
    found.blobs += 1
    found.bytes += size
    return True


def document(
    found: Scrubbed, spent: float, *, confirm: bool, quarantined: int, at_most: int | None = None
) -> dict[str, Any]:
    """The report; ``quarantined`` is how much lies aside, from whenever."""
    return {
        "dryRun": not confirm,
        "clean": found.clean,
        "seconds": round(spent, 3),
        "blobs": found.blobs,
        "bytes": found.bytes,
        "gone": found.gone,
        "putAside": found.put_aside,
        "fetchedAgain": found.fetched,
        "quarantined": quarantined,
        "totals": {"corrupt": len(found.corrupt), "unreadable": len(found.unreadable)},
        "corrupt": found.corrupt[:at_most],
        "unreadable": found.unreadable[:at_most],
    }
