"""Takes out of storage the links that the rules no longer know (the outbox of ``metadata``)."""

from __future__ import annotations

from image_registry.imagestreams.cleaning import Kept
from image_registry.imagestreams.service import ImageStreams
from image_registry.oci.reference import Repository
from image_registry.storage.blob_store import BlobStore, StorageFault


def clean(store: BlobStore, streams: ImageStreams, repository: Repository) -> bool:
    """Make the links of one repository equal to what it holds; blobs themselves are never touched here."""

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

    return streams.clean(repository, sweep)


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
