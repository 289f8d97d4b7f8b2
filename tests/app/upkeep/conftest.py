"""A registry in this process with images in it, and ways to break what lies in its storage."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from image_registry.imagestreams.inventory import Inventory
from image_registry.metadata.database import Database
from image_registry.oci.digest import Digest
from image_registry.storage import layout
from image_registry.upkeep.hashing import Hashing
from image_registry.upkeep.verifying import Verified, Verifier
from tests.app.distribution_api.conftest import Registry, assemble
from tests.app.schema import upgraded


@dataclass
class House:
    """A registry and its folder."""

    registry: Registry
    root: Path

    def path(self, digest: Digest | str) -> Path:
        return self.root / layout.blob_data(Digest.parse(str(digest)))

    def spoil(self, digest: Digest | str, byte: int = 0) -> None:
        """Another bit in place of one, and nothing else."""
        path = self.path(digest)
        data = bytearray(path.read_bytes())
        data[byte % len(data)] ^= 1
        status = path.stat()
        path.write_bytes(data)
        os.utime(path, (status.st_atime, status.st_mtime))

    def verify(self, namespace: str = "", repository: str = "", *, deep: bool = False) -> Verified:
        store = self.registry.store
        hashing = Hashing(store) if deep else None
        verifier = Verifier(store, Inventory(self.registry.database), deep=hashing, second_look=0)
        return verifier.run(namespace, repository)

    def blobs(self) -> list[Digest]:
        return sorted(blob.digest for blob in self.registry.store.blobs(lambda _algorithm, _value: True))


def build(folder: Path) -> House:
    """An empty one."""
    database = Database(upgraded(f"sqlite:///{folder / 'metadata.db'}"))
    return House(assemble(database, folder / "blobs"), folder / "blobs")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """With two images in one repository and one in another."""
    found = build(tmp_path)
    found.registry.push("demo/app", "v1")
    found.registry.push("demo/app", "v2", layer=b"another layer")
    found.registry.push("other/app", "v1", layer=b"a third layer")
    yield found
    found.registry.database.dispose()
