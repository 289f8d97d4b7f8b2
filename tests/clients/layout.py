"""Images made for tests, as folders in the OCI layout: small, real and never twice the same."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"

Descriptor = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Layout:
    """One image, or one index of images, tagged ``v1`` inside of its folder."""

    folder: Path
    digest: str
    platforms: tuple[str, ...] = ()

    def read(self, digest: str) -> bytes:
        """Content by digest."""
        return (self.folder / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes()

    def document(self) -> dict[str, Any]:
        """The manifest or index."""
        found: dict[str, Any] = json.loads(self.read(self.digest))
        return found


def image(folder: Path, *, layers: int = 2, size: int = 20_000, architecture: str = "amd64") -> Layout:
    """An image whose layers hold new random files."""
    return _finish(folder, _image(folder, layers, size, architecture))


def index(folder: Path, architectures: Sequence[str] = ("amd64", "arm64")) -> Layout:
    """An index with one image for each architecture."""
    manifests = [
        {**_image(folder, 1, 5_000, name), "platform": {"os": "linux", "architecture": name}} for name in architectures
    ]
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
    return _finish(folder, _write_json(folder, document, INDEX), tuple(architectures))


def _image(folder: Path, layers: int, size: int, architecture: str) -> Descriptor:
    descriptors, unpacked = [], []
    for number in range(layers):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            entry = tarfile.TarInfo(f"data/{number}")
            entry.size = size
            archive.addfile(entry, io.BytesIO(os.urandom(size)))
        unpacked.append(f"sha256:{hashlib.sha256(buffer.getvalue()).hexdigest()}")
        descriptors.append(_write(folder, gzip.compress(buffer.getvalue(), 1, mtime=0), LAYER))
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Labels": {"made-for": "a test"}},
        "rootfs": {"type": "layers", "diff_ids": unpacked},
        "history": [{"created_by": "test"} for _ in unpacked],
    }
    described = _write_json(folder, config, CONFIG)
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described, "layers": descriptors}
    return _write_json(folder, document, MANIFEST)


def _finish(folder: Path, described: Descriptor, platforms: tuple[str, ...] = ()) -> Layout:
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    tagged = {**described, "annotations": {"org.opencontainers.image.ref.name": "v1"}}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [tagged]}))
    return Layout(folder, described["digest"], platforms)


def _write_json(folder: Path, document: dict[str, Any], media_type: str) -> Descriptor:
    return _write(folder, json.dumps(document).encode(), media_type)


def _write(folder: Path, data: bytes, media_type: str) -> Descriptor:
    name = hashlib.sha256(data).hexdigest()
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    (blobs / name).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{name}", "size": len(data)}
