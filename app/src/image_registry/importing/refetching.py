"""Bytes that were imported and are here no more, or were wrong: fetched again, without waiting for somebody's pull."""

from __future__ import annotations

from image_registry.imagestreams.errors import MetadataUnavailable
from image_registry.imagestreams.importer import Imports
from image_registry.importing.importer import CredentialsUnknown
from image_registry.importing.pull_through import PullThrough
from image_registry.oci.digest import Digest
from image_registry.remote.errors import RemoteError
from image_registry.storage.blob_store import BlobStore, StorageFault


class Refetching:
    """Asks every place from which an import of some repository had the bytes, with what that repository may."""

    def __init__(self, imports: Imports, pull_through: PullThrough, store: BlobStore) -> None:
        self._imports, self._pull_through, self._store = imports, pull_through, store

    def __call__(self, digest: Digest) -> str:
        """What came of it, in words; empty if nobody imported it, and so nobody knows where else it is."""
        why = ""
        for repository, manifest in self._imports.holders(digest):
            try:
                if manifest:
                    self._pull_through.manifest(repository, digest)
                elif (flight := self._pull_through.blob(repository, digest)) is not None:
                    flight.wait()
            except (RemoteError, StorageFault, MetadataUnavailable, CredentialsUnknown) as error:
                why = why or f"it could not be fetched again for {repository}: {error}"
                continue
            if self._store.stat(digest) is not None:
                return f"fetched again for {repository}"
        return why
