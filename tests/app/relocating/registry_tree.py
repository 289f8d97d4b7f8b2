"""A tree as a registry of some age has it: images, nested names, garbage, damage; and what two trees have in common."""

from __future__ import annotations

import hashlib
import io
import json
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.relocating.copying import Place, Wish, copy
from image_registry.relocating.links import UPLOADS
from image_registry.storage import layout
from image_registry.storage.blob_store import BlobStore
from image_registry.storage.choice import Storage
from image_registry.storage.tree import Tree

APP = Repository("demo", "app")
MIB = 1 << 20


def blob(number: int, size: int = 1000) -> bytes:
    """Bytes that differ by number, the same in every run."""
    return hashlib.shake_128(str(number).encode()).digest(size)


@dataclass
class Filled:
    """What was put into a store."""

    store: BlobStore
    digests: list[Digest] = field(default_factory=list)

    def image(self, repository: Repository, tag: str, *layers: bytes) -> Digest:
        """Push an image in the way of a registry."""
        manifest = json.dumps({"schemaVersion": 2, "layers": [str(Digest.of(layer)) for layer in layers]}).encode()
        for layer in layers:
            self.store.put_blob(repository, layer, Digest.of(layer))
            self.digests.append(Digest.of(layer))
        digest = Digest.of(manifest)
        self.store.put_manifest(repository, manifest, digest)
        self.store.write_tag(repository, tag, digest)
        self.digests.append(digest)
        return digest

    def upload(self, data: bytes, repository: Repository = APP) -> str:
        """A session that is under way."""
        upload_id = str(uuid.uuid4())
        self.store.begin_upload(repository, upload_id)
        self.store.append(repository, upload_id, 0, io.BytesIO(data), None)
        return upload_id


def fill(store: BlobStore) -> Filled:
    """Three repositories, one of which shares layers, and a record; a layer is larger than what is held in memory."""
    filled = Filled(store)
    filled.image(APP, "v1", blob(1), blob(2, 6 * MIB))
    filled.image(APP, "v2", blob(1), blob(3))
    filled.image(Repository("demo", "other"), "latest", blob(1), blob(4))
    filled.image(Repository("team-b", "app"), "v1", blob(5))
    store.write_records({"streams/demo/app": b"what only the tables know"})
    return filled


def run(source: Storage, target: Storage, **wish: Any) -> dict[str, Any]:
    """One pass, really made unless told otherwise."""
    wanted = Wish(**{"name": "the source", **wish})
    return copy(Place.of(source), Place.of(target), wanted, lambda _stage, _count: None)


def content(tree: Tree) -> dict[str, bytes]:
    """Every file that a registry needs, with what is in it."""
    found = {}
    for part in (layout.BLOBS, layout.NAMESPACES, layout.RECORDS):
        for entry in tree.entries(part):
            if UPLOADS not in entry.key:
                found[entry.key] = tree.read(entry.key) or b""
    return found


def snapshot(root: Path) -> dict[str, tuple[bytes, int]]:
    """Every file of a folder with its content and its time: whoever only reads changes neither."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}
