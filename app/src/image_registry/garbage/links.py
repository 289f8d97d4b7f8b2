"""Takes out of storage the links that the rules no longer know."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from image_registry.imagestreams.cleaning import Kept
from image_registry.imagestreams.inventory import Inventory
from image_registry.imagestreams.service import ImageStreams
from image_registry.oci.reference import Repository
from image_registry.storage.blob_store import BlobStore, StorageFault


def clean(store: BlobStore, streams: ImageStreams, repository: Repository) -> bool:
    """Make the links of one repository equal to what it holds, if somebody asked for it; true when it is clean."""
    return streams.clean(repository, _comparison(store, repository))


def clean_pending(store: BlobStore, streams: ImageStreams) -> int:
    """Clean every repository that waits for it; returns how many are clean now.

    One that cannot be cleaned does not keep the others waiting; its failure is raised at the end.
    """
    cleaned, failure = 0, None
    for repository in streams.pending_cleanups():
        try:
            cleaned += clean(store, streams, repository)
        except StorageFault as error:
            failure = error
    if failure is not None:
        raise failure
    return cleaned


def tidy(store: BlobStore, inventory: Inventory, repository: Repository, before: datetime) -> bool:
    """The same unasked, and links to blobs that nothing in the repository needs and that are older than ``before`` go
    too; false where the tables do not speak for the repository."""
    return inventory.compare(repository, before, _comparison(store, repository))


def _comparison(store: BlobStore, repository: Repository) -> Callable[[Kept], bool]:
    def sweep(kept: Kept) -> bool:
        held = store.held(repository)
        for tag in held.tags - kept.left_alone:
            digest = kept.tags.get(tag)
            if digest is None:
                store.remove_tag(repository, tag)
            elif store.read_tag(repository, tag) != digest:
                store.write_tag(repository, tag, digest)
        for manifest in held.manifests - kept.manifests:
            if str(manifest) in kept.left_alone:
                continue
            store.unlink_manifest(repository, manifest)
        for blob, linked in held.blobs.items():
            if blob not in kept.blobs and kept.blobs_before is not None and linked < kept.blobs_before:
                store.unlink_blob(repository, blob)
        return True

    return sweep
