"""Blobs in a bucket that nobody refers to, and the way back.

A store cannot rename: a blob is copied into the trash, inside of the store, and then removed from its place, so it is
in one of the two at any time. On the way back the copy stays in the trash for a while: a removal that somebody repeats,
because its answer got lost, may still be on its way to the place. Its time in the trash is that of the copy.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime

from image_registry.oci.digest import Digest, InvalidDigest
from image_registry.storage import layout
from image_registry.storage.blob_store import Stored
from image_registry.storage.object_client import Entry, ObjectClient, ObjectMissing


class ObjectTrash:
    """Blobs of a bucket, and what was thrown away. Raises :class:`~image_registry.storage.blob_store.StorageFault`."""

    def __init__(self, client: ObjectClient) -> None:
        self._client = client

    def blobs(self, wanted: Callable[[str, str], bool]) -> Iterator[Stored]:
        """See :meth:`~image_registry.storage.blob_store.BlobStore.blobs`."""
        prefix = f"{layout.BLOBS}/"
        for entry in self._client.entries(prefix):
            algorithm, _, rest = entry.key.removeprefix(prefix).partition("/")
            value = rest.removesuffix("/data").partition("/")[2]
            if rest.endswith("/data") and wanted(algorithm, value):
                with suppress(InvalidDigest):
                    yield Stored(Digest.parse(f"{algorithm}:{value}"), entry.size, entry.modified)

    def throw_away(self, digest: Digest, before: datetime) -> bool:
        """See :meth:`~image_registry.storage.blob_store.BlobStore.throw_away`."""
        found = self._entry(layout.blob_data(digest))
        if found is None or found.modified >= before:
            return False
        with suppress(ObjectMissing):
            self._client.join(layout.thrown_away(digest), [found])
            self._client.delete([found.key])
            return True
        return False

    def take_back(self, digest: Digest) -> bool:
        """See :meth:`~image_registry.storage.blob_store.BlobStore.take_back`."""
        size = self._client.size(layout.thrown_away(digest))  # a look costs less than a listing, and most find nothing
        found = self._entry(layout.thrown_away(digest)) if size is not None else None
        if found is None or self._client.size(layout.blob_data(digest)) is not None:
            return False
        with suppress(ObjectMissing):
            self._client.join(layout.blob_data(digest), [found])
            return True
        return False

    def entries(self) -> Iterator[Stored]:
        """What lies in the trash."""
        prefix = f"{layout.TRASH}/"
        for entry in self._client.entries(prefix):
            algorithm, _, value = entry.key.removeprefix(prefix).partition("/")
            with suppress(InvalidDigest):
                yield Stored(Digest.parse(f"{algorithm}:{value}"), entry.size, entry.modified)

    def remove(self, digest: Digest) -> bool:
        """Remove a blob from the trash; ``False`` if it is not there any more."""
        key = layout.thrown_away(digest)
        if self._client.size(key) is None:
            return False
        self._client.delete([key])
        return True

    def quarantine(self, blob: Stored) -> bool:
        """See :meth:`~image_registry.storage.blob_store.BlobStore.quarantine`."""
        digest = blob.digest
        found = self._entry(layout.blob_data(digest))
        if found is None or (found.modified, found.size) != (blob.since, blob.size):
            return False
        with suppress(ObjectMissing):
            self._client.join(layout.quarantined(digest, str(time.time_ns())), [found])
            self._client.delete([found.key])
            return True
        return False

    def quarantined(self) -> Iterator[Stored]:
        """What was put aside."""
        prefix = f"{layout.QUARANTINE}/"
        for entry in self._client.entries(prefix):
            algorithm, _, name = entry.key.removeprefix(prefix).partition("/")
            with suppress(InvalidDigest):
                yield Stored(Digest.parse(f"{algorithm}:{name.partition('.')[0]}"), entry.size, entry.modified)

    def _entry(self, key: str) -> Entry | None:
        return next((entry for entry in self._client.entries(key) if entry.key == key), None)
