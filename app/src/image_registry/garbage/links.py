"""Takes out of storage the links that the rules no longer know."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from functools import partial

from image_registry.imagestreams.cleaning import Kept
from image_registry.imagestreams.inventory import Inventory
from image_registry.imagestreams.service import ImageStreams
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.storage.blob_store import BlobStore, Held, StorageFault

Behind = Callable[[], bool]
"""Says whether the tables are known to be older than the storage."""

LONGEST = 5.0
"""Seconds for which pushes to the repository wait at most, and on SQLite all; long before a database would end the
transaction that holds the lock, because it hears nothing."""


def clean(store: BlobStore, streams: ImageStreams, repository: Repository, behind: Behind = lambda: False) -> bool:
    """Make the links of one repository equal to what it holds, if somebody asked for it; true when it is clean.

    Where the tables are ``behind`` it waits: they were restored from a backup, and what they do not hold was pushed
    since.
    """
    if behind():
        return False
    return streams.clean(repository, _comparison(store, repository))


def clean_pending(store: BlobStore, streams: ImageStreams, behind: Behind = lambda: False) -> int:
    """Clean every repository that waits for it; returns how many are clean now.

    One that cannot be cleaned does not keep the others waiting; its failure is raised at the end.
    """
    cleaned, failure = 0, None
    for repository in streams.pending_cleanups():
        try:
            cleaned += clean(store, streams, repository, behind)
        except StorageFault as error:
            failure = error
    if failure is not None:
        raise failure
    return cleaned


def forget_blobs(
    store: BlobStore, inventory: Inventory, repository: Repository, blobs: Collection[Digest], before: datetime
) -> bool:
    """Remove links to these blobs as far as nothing in the repository needs them and they are older than ``before``.

    Nothing else goes: nobody asked for it, so what the tables do not hold stays. False where they do not speak for the
    repository.
    """
    left = list(blobs)

    def sweep(kept: Kept) -> bool:
        if kept.blobs_before is None:
            left.clear()
        end = time.monotonic() + LONGEST
        while left and time.monotonic() < end:
            digest = left.pop()
            if digest not in kept.blobs:
                _forget(store, repository, digest, before)
        return True

    while left:
        if not inventory.compare(repository, before, sweep):
            return False
    return True


def _comparison(store: BlobStore, repository: Repository) -> Callable[[Kept], bool]:
    def sweep(kept: Kept) -> bool:
        held, end = store.held(repository), time.monotonic() + LONGEST
        for change in _changes(store, repository, kept, held):
            if time.monotonic() >= end:
                return False
            change()
        return True

    return sweep


def _changes(store: BlobStore, repository: Repository, kept: Kept, held: Held) -> Iterator[Callable[[], object]]:
    for tag in held.tags - kept.left_alone:
        digest = kept.tags.get(tag)
        if digest is None:
            yield partial(store.remove_tag, repository, tag)
        elif store.read_tag(repository, tag) != digest:
            yield partial(store.write_tag, repository, tag, digest)
    for manifest in held.manifests - kept.manifests:
        if str(manifest) not in kept.left_alone:
            yield partial(store.unlink_manifest, repository, manifest)
    for blob, linked in held.blobs.items():
        if blob not in kept.blobs and kept.blobs_before is not None and linked < kept.blobs_before:
            yield partial(_forget, store, repository, blob, kept.blobs_before)


def _forget(store: BlobStore, repository: Repository, digest: Digest, before: datetime) -> None:
    """Look once more: somebody may have been promised the blob since its link was listed."""
    written = store.blob_linked_at(repository, digest)
    if written is not None and written < before:
        store.unlink_blob(repository, digest)
