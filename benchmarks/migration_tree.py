"""The storage that a migration is measured with: a tree of CNCF distribution with layers as images have them.

Every image has three layers of one of twenty bases, one that it shares with the other tags of its repository, and one
of its own. One name of twenty is too deep for this registry. What it is made of is written beside it, so that a tree
that is kept is not taken for another one.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.distribution_tree import CONFIG, LAYER, Tree

KIB, MIB = 1 << 10, 1 << 20
NAMESPACES, DEEP, BASES = 40, 20, 20
BASE_LAYERS = 3
BASE, OF_REPOSITORY, OF_TAG = MIB, 256 * KIB, 64 * KIB
"""Bytes of a layer of a base, of the layer of a repository, of that of a tag."""


class Different(Exception):
    """There is a tree of another shape."""


@dataclass(frozen=True, slots=True)
class Shape:
    """So many repositories with so many tags each."""

    repositories: int
    tags: int

    @property
    def blobs(self) -> int:
        """Manifests, configs and layers."""
        own = self.repositories * self.tags * 3
        return own + self.repositories + BASE_LAYERS * len({self.base(number) for number in range(self.repositories)})

    def name(self, number: int) -> str:
        """Of a repository."""
        return f"team-{number % NAMESPACES}/{'deep/' if number % DEEP == 0 else ''}app-{number}"

    def names(self) -> Iterator[str]:
        """Of all repositories."""
        return (self.name(number) for number in range(self.repositories))

    def base(self, number: int) -> int:
        """Which base the images of a repository are made from: one namespace uses them all."""
        return number // NAMESPACES % BASES

    def sample(self, namespace: int) -> Iterator[str]:
        """Repositories of one namespace, which skopeo can copy with one call."""
        return (self.name(number) for number in range(namespace, self.repositories, NAMESPACES))


def lay_down(folder: Path, shape: Shape) -> None:
    """Make ``folder/data``, or find it there. Raises :class:`Different`."""
    said = folder / "shape.json"
    if said.exists():
        found = json.loads(said.read_text(encoding="ascii"))
        if found != asdict(shape):
            raise Different(f"{folder} holds a tree of {found}: name another folder, or the same numbers")
        return
    if (folder / "data").exists():
        raise Different(f"{folder}/data is there and no tree of this measure, or one that was not finished")
    folder.mkdir(parents=True, exist_ok=True)
    tree = Tree(folder / "data")
    bases: dict[int, list[dict[str, object]]] = {}
    for number in range(shape.repositories):
        base = shape.base(number)
        if base not in bases:
            bases[base] = [tree.described(LAYER, layer(BASE)) for _ in range(BASE_LAYERS)]
        shared = [*bases[base], tree.described(LAYER, layer(OF_REPOSITORY))]
        for tag in range(shape.tags):
            text = json.dumps({"architecture": "amd64", "os": "linux", "x": f"{number}/{tag}"})
            config = tree.described(CONFIG, text.encode())
            tree.tagged(shape.name(number), f"v{tag}", config, [*shared, tree.described(LAYER, layer(OF_TAG))])
    said.write_text(json.dumps(asdict(shape)), encoding="ascii")


def layer(size: int) -> bytes:
    """Bytes that nobody compresses anew: some clients change what is not gzip."""
    return gzip.compress(os.urandom(size), 0)


def stored(data: Path) -> tuple[int, int]:
    """How many blobs a tree holds, and their bytes."""
    sizes = [path.stat().st_size for path in (data / "docker/registry/v2/blobs").rglob("data")]
    return len(sizes), sum(sizes)
