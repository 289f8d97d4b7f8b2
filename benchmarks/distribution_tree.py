"""A tree as CNCF distribution leaves it, written in one go: large ones take seconds here and minutes over HTTP.

usage: python -m benchmarks.distribution_tree FOLDER MANIFESTS
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
Descriptor: TypeAlias = dict[str, object]


@dataclass
class Tree:
    """Files below ``docker/registry/v2`` of a folder."""

    root: Path
    blobs: int = 0

    def blob(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        path = self.root / f"docker/registry/v2/blobs/sha256/{digest[:2]}/{digest}/data"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.blobs += 1
        return f"sha256:{digest}"

    def link(self, repository: str, place: str, digest: str) -> None:
        path = self.root / f"docker/registry/v2/repositories/{repository}/{place}/link"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(digest)

    def image(self, repository: str, tag: str, seed: str, layers: int) -> str:
        """An image with new layers of a few bytes; returns its digest."""
        described = json.dumps({"architecture": "amd64", "os": "linux", "x": seed}).encode()
        blobs = [self.described(LAYER, f"{seed}/{number}".encode()) for number in range(layers)]
        return self.tagged(repository, tag, self.described(CONFIG, described), blobs)

    def tagged(self, repository: str, tag: str, config: Descriptor, layers: list[Descriptor]) -> str:
        """An image of blobs that are there; returns its digest."""
        for descriptor in (config, *layers):
            digest = str(descriptor["digest"])
            self.link(repository, f"_layers/sha256/{digest.removeprefix('sha256:')}", digest)
        document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
        digest = self.blob(json.dumps(document).encode())
        hexadecimal = digest.removeprefix("sha256:")
        self.link(repository, f"_manifests/revisions/sha256/{hexadecimal}", digest)
        self.link(repository, f"_manifests/tags/{tag}/index/sha256/{hexadecimal}", digest)
        self.link(repository, f"_manifests/tags/{tag}/current", digest)
        return digest

    def described(self, media_type: str, data: bytes) -> Descriptor:
        """A blob, and how manifests speak of it."""
        return {"mediaType": media_type, "digest": self.blob(data), "size": len(data)}

    def fill(self, manifests: int, *, layers: int = 8, per_repository: int = 20) -> Iterator[tuple[str, str, str]]:
        """That many images; repository, tag and digest of each."""
        for number in range(manifests):
            group, place = divmod(number, per_repository)
            repository, tag = f"team-{group % 17}/app-{group}", f"v{place}"
            yield repository, tag, self.image(repository, tag, str(number), layers)


if __name__ == "__main__":
    tree = Tree(Path(sys.argv[1]))
    made = sum(1 for _ in tree.fill(int(sys.argv[2])))
    sys.stderr.write(f"{made} manifests, {tree.blobs} blobs\n")
