"""Blobs in a bucket that nobody refers to, and the way back.

A store cannot rename: a blob is copied into the trash, inside of the store, and then removed from its place, so it is
in one of the two at any time. Its time in the trash is that of the copy.
"""

from __future__ import annotations

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
        return self._move(found, layout.thrown_away(digest))

    def take_back(self, digest: Digest) -> bool:
        """See :meth:`~image_registry.storage.blob_store.BlobStore.take_back`."""
        size = self._client.size(layout.thrown_away(digest))  # a look costs less than a listing, and most find nothing
        found = self._entry(layout.thrown_away(digest)) if size is not None else None
        return found is not None and self._move(found, layout.blob_data(digest))

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

    def _move(self, found: Entry, target: str) -> bool:
        try:
            self._client.join(target, [found])
        except ObjectMissing:
            return self._client.size(target) is not None  # somebody else did
        self._client.delete([found.key])
        return True

    def _entry(self, key: str) -> Entry | None:
        return next((entry for entry in self._client.entries(key) if entry.key == key), None)
