"""A tree in storage that a database knows nothing of yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from image_registry.imagestreams.rebuild_ledger import RebuildLedger
from image_registry.imagestreams.service import ImageStreams
from image_registry.metadata.database import Database
from image_registry.oci.digest import Digest
from image_registry.oci.manifest import Manifest
from image_registry.oci.reference import Repository
from image_registry.rebuilding.rebuild import Rebuild
from image_registry.storage.filesystem import FilesystemStore
from tests.app import content

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
APP = Repository("team", "app")
OTHER = Repository("team", "other")


@dataclass(frozen=True)
class Tree:
    """A storage, filled by whoever came before, and what is made of it."""

    store: FilesystemStore
    database: Database
    streams: ImageStreams
    ledger: RebuildLedger
    rebuild: Rebuild

    def image(self, seed: object, *tags: str, repository: Repository = APP, **extra: Any) -> Manifest:
        """An image with its blobs, as distribution lays it down."""
        layer, config = repr(seed).encode(), b'{"a":1}'
        described = {"mediaType": LAYER, "digest": str(Digest.of(layer)), "size": len(layer)}
        made = content.image(seed, config, layers=[described], **extra)
        for blob in (layer, config):
            self.store.put(blob, Digest.of(blob))
            self.store.link_blob(repository, Digest.of(blob))
        self.link(made, *tags, repository=repository)
        return made

    def link(self, manifest: Manifest, *tags: str, repository: Repository = APP) -> None:
        self.store.put(manifest.raw, manifest.digest)
        self.store.link_manifest(repository, manifest.digest)
        for tag in tags:
            self.store.write_tag(repository, tag, manifest.digest)

    def another_process(self) -> Tree:
        """One more replica on the same database and storage."""
        streams = ImageStreams(self.database, internal_hostname="host:5000")
        return Tree(self.store, self.database, streams, self.ledger, Rebuild(self.store, streams, self.ledger))

    def tags(self, repository: Repository = APP) -> dict[str, Digest]:
        """What the tables say each tag means."""
        found = {history.tag: history.newest.image for history in self.streams.stream(repository).tags}
        return {tag: image for tag, image in found.items() if image is not None}


@pytest.fixture
def tree(unread_database_url: str, tmp_path: Path) -> Iterator[Tree]:
    database = Database(unread_database_url)
    store = FilesystemStore(tmp_path / "blobs")
    streams = ImageStreams(database, internal_hostname="host:5000")
    ledger = RebuildLedger(database)
    yield Tree(store, database, streams, ledger, Rebuild(store, streams, ledger))
    database.dispose()
