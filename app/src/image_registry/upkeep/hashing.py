"""Reading blobs from end to end, at a rate, to see whether their bytes are what their digests say."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

from image_registry.oci.digest import Digest
from image_registry.storage.blob_store import BlobMissing, BlobStore, StorageFault

PIECE = 1 << 20
"""Bytes that are read at a time."""


class Wrong(Exception):
    """The bytes are not those of the digest, or cannot be read; the text says which."""

    def __init__(self, text: str, *, unreadable: bool = False) -> None:
        super().__init__(text)
        self.unreadable = unreadable


class Hashing:
    """Reads at most ``rate`` bytes in a second, 0: as fast as it goes; ``tick`` is called at every piece, and may raise
    to end it."""

    def __init__(self, store: BlobStore, rate: float = 0, tick: Callable[[], None] = lambda: None) -> None:
        self._store, self._rate, self._tick = store, rate, tick
        self._due = 0.0
        self.read = 0
        """Bytes so far."""

    def check(self, digest: Digest) -> int | None:
        """The size of a blob that is as it should be; ``None`` if it is not there. Raises :class:`Wrong`.

        One that seems wrong is read once more: memory and cables fail too, and the next read may be right.
        """
        try:
            try:
                return self._once(digest)
            except Wrong:
                return self._once(digest)
        except BlobMissing:
            return None

    def _once(self, digest: Digest) -> int:
        found, size = hashlib.new(digest.algorithm), 0
        try:
            with self._store.open(digest) as blob:
                while data := blob.read(PIECE):
                    found.update(data)
                    size += len(data)
                    self._pace(len(data))
        except (StorageFault, OSError) as error:
            raise Wrong(f"cannot be read after {size} bytes: {error}", unreadable=True) from None
        if found.hexdigest() != digest.hex:
            raise Wrong(f"its {size} bytes are those of {digest.algorithm}:{found.hexdigest()}")
        return size

    def _pace(self, length: int) -> None:
        self.read += length
        self._tick()
        if self._rate > 0:
            now = time.monotonic()
            self._due = max(self._due, now) + length / self._rate
            time.sleep(max(0.0, self._due - now))
