"""Blobs on their way: read from the source, hashed as they pass, and to be seen at the target only if they are right.

A blob never changes, so one that is at the target with its size is there; only whoever asks for more has it read. One
that is wrong at the source is named and left behind: not there is better than wrong (ADR 59).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass

from image_registry.oci.digest import HEX_LENGTH, Digest, InvalidDigest
from image_registry.relocating.crew import Crew, Pace
from image_registry.relocating.findings import Tally
from image_registry.storage import layout
from image_registry.storage.blob_store import OutOfSpace, StorageFault
from image_registry.storage.object_client import ObjectMissing
from image_registry.storage.tree import Tree

PIECE = 1 << 20
"""Bytes that are read at a time."""

SMALL = 4 << 20
"""Bytes of a blob that is held in memory and written by one request."""

DOUBTFUL = 25
"""Blobs that fail one after the other before somebody asks whether the media answer at all."""

NEVER, WRITTEN, ALL = "none", "written", "all"
"""Which blobs of the target are read again: none, those that this run wrote, every one."""


class Wrong(Exception):
    """The bytes are not those of the digest; the text says what they are."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A blob of the source, and where it lies there; ``there`` if the target has one of this size."""

    digest: Digest
    size: int
    source: str
    there: bool = False


class Blobs:
    """Finds what is missing, and brings it."""

    def __init__(
        self,
        source: Tree,
        target: Tree,
        tally: Tally,
        crew: Crew,
        *,
        pace: Pace,
        check: str,
        accepted: frozenset[str],
        alive: Callable[[], None],
        progress: Callable[[str, int], None],
    ) -> None:
        """``alive`` raises :class:`StorageFault` where source or target do not answer any more."""
        self._source, self._target = source, target
        self._tally, self._crew, self._pace = tally, crew, pace
        self._check, self._accepted, self._progress = check, accepted, progress
        self._alive, self._failed_together = alive, 0

    def missing(self) -> list[Wanted]:
        """What has to be read or brought; about 520 bytes of memory for each."""
        found: list[Wanted] = []
        folders = [f"{layout.BLOBS}/{algorithm}" for algorithm in sorted(self._source.folders(layout.BLOBS))]
        starts = [f"{folder}/{start}" for folder in folders for start in sorted(self._source.folders(folder))]
        self._crew.each(lambda folder: found.extend(self._compare(folder)), starts)
        return found

    def rescued(self, digests: set[Digest]) -> list[Wanted]:
        """Of these, which lie in the trash of the source, what is missing at the target."""
        found = []
        for digest in sorted(digests):
            path = layout.thrown_away(digest)
            size = self._source.size(path)
            if size is not None and self._target.size(layout.blob_data(digest)) != size:
                found.append(Wanted(digest, size, path))
        self._tally.add(from_trash=len(found), to_copy=len(found), bytes_to_copy=sum(blob.size for blob in found))
        self._tally.add(may_stay=sum(1 for blob in found if str(blob.digest) in self._accepted))
        return found

    def bring(self, wanted: list[Wanted]) -> None:
        """Copy what is missing, and read again what is to be read. Raises :class:`StorageFault` where nothing goes."""
        room = self._target.free()
        needed = sum(blob.size for blob in wanted if not blob.there)
        if room is not None and room < needed:
            raise OutOfSpace(f"the target has room for {room} bytes, and {needed} are to come: nothing was copied")
        self._crew.each(self._one, wanted)

    def _compare(self, folder: str) -> Iterator[Wanted]:
        there = {entry.key: entry.size for entry in self._target.entries(folder)}
        for entry in self._source.entries(folder):
            digest = _named(entry.key)
            if digest is None:
                self._tally.name("strangers", entry.key)
                continue
            same = there.get(entry.key) == entry.size
            self._tally.add(blobs=1, bytes=entry.size, there=int(same))
            if not same:
                self._tally.add(to_copy=1, bytes_to_copy=entry.size, may_stay=int(str(digest) in self._accepted))
            if not same or self._check == ALL:
                yield Wanted(digest, entry.size, entry.key, there=same)
        self._progress("blobs compared", self._tally.blobs)

    def _one(self, blob: Wanted) -> None:
        try:
            if blob.there:
                if self._reads_right(blob):
                    return
                self._tally.add(to_copy=1, bytes_to_copy=blob.size)
            self._copy(blob)
        except ObjectMissing:
            self._tally.add(gone=1)
        except OutOfSpace:
            raise
        except Wrong as wrong:
            self._tally.fail(str(blob.digest), str(wrong), self._accepted)
        except StorageFault as error:
            self._fail(blob, error)
        else:
            self._failed_together = 0

    def _fail(self, blob: Wanted, error: StorageFault) -> None:
        with suppress(StorageFault):  # what cannot be looked at is there
            if self._source.size(blob.source) is None:
                self._tally.add(gone=1)  # thrown away while it was read
                return
        self._tally.fail(str(blob.digest), str(error), self._accepted)
        if str(blob.digest) in self._accepted:
            return
        self._failed_together += 1
        if self._failed_together >= DOUBTFUL:
            self._failed_together = 0
            try:
                self._alive()
            except StorageFault as dead:
                raise StorageFault(
                    f"{DOUBTFUL} blobs failed one after the other, and now nothing goes: {dead}"
                ) from error

    def _copy(self, blob: Wanted) -> None:
        path = layout.blob_data(blob.digest)
        try:
            self._write(path, blob)
        except Wrong:  # memory and cables fail too, and the next read may be right
            self._write(path, blob)
        if self._check != NEVER and not self._reads_right(blob):
            raise Wrong("it was written, and reads otherwise at the target: look at that medium")
        self._tally.add(copied=1, bytes_copied=blob.size)
        self._progress(f"of {self._tally.to_copy} missing blobs copied", self._tally.copied)

    def _write(self, path: str, blob: Wanted) -> None:
        if blob.size <= SMALL:
            self._target.write({path: b"".join(self._proven(blob))})
        else:
            self._target.receive(path, blob.size, self._proven(blob))

    def _proven(self, blob: Wanted) -> Iterator[bytes]:
        """The bytes; raises :class:`Wrong` behind the last one if they are not those of the digest."""
        found, size = hashlib.new(blob.digest.algorithm), 0
        with closing(self._source.open(blob.source, blob.size)) as incoming:
            while data := incoming.read(PIECE):
                self._crew.still()
                self._pace.moved(len(data))
                found.update(data)
                size += len(data)
                yield data
        if found.hexdigest() != blob.digest.hex:
            raise Wrong(f"its {size} bytes at the source are those of {blob.digest.algorithm}:{found.hexdigest()}")

    def _reads_right(self, blob: Wanted) -> bool:
        """Whether the target gives back what the digest says."""
        found = hashlib.new(blob.digest.algorithm)
        self._tally.add(read_again=1)
        try:
            with closing(self._target.open(layout.blob_data(blob.digest), blob.size)) as incoming:
                while data := incoming.read(PIECE):
                    self._crew.still()
                    self._pace.moved(len(data))
                    found.update(data)
        except ObjectMissing:  # a target that loses what it has taken is worse than a source that throws something away
            return False
        self._progress("blobs read again", self._tally.read_again)
        return found.hexdigest() == blob.digest.hex


def _named(path: str) -> Digest | None:
    """The digest of a file ``…/<algorithm>/<two>/<hex>/data``."""
    algorithm, _, rest = path.removeprefix(f"{layout.BLOBS}/").partition("/")
    start, _, rest = rest.partition("/")
    value, _, file = rest.partition("/")
    try:
        digest = Digest.parse(f"{algorithm}:{value}")
    except InvalidDigest:
        return None
    return digest if algorithm in HEX_LENGTH and file == "data" and value.startswith(start) else None
