"""Sizes of blobs that were seen a moment ago, so that a pull does not ask the store for what can not change.

Only what is there is remembered, and only for a while: a blob disappears when nothing refers to it any more, long after
its last link went, and links are never remembered.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from image_registry.oci.digest import Digest

SECONDS = 60.0
ENTRIES = 10_000


class RememberedSizes:
    """A mapping from digests to bytes that forgets; threads may share it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: OrderedDict[Digest, tuple[int, float]] = OrderedDict()

    def get(self, digest: Digest) -> int | None:
        """The size in bytes, if it is known and fresh."""
        size, until = self._known.get(digest, (0, 0.0))
        return size if self._clock() < until else None

    def set(self, digest: Digest, size: int) -> None:
        """Remember it from now on."""
        self._known[digest] = (size, self._clock() + SECONDS)
        while len(self._known) > ENTRIES:
            self._known.popitem(last=False)

    def forget(self, digest: Digest) -> None:
        """It may not be so any more."""
        self._known.pop(digest, None)
