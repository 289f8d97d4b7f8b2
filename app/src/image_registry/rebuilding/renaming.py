"""Links under a new name to bytes that are there, for repositories whose names this registry cannot have.

What will be linked is written down first, beside the bytes: exactly that can be taken away again, by any process and
at any time. The old name keeps everything, and no byte of an image is read or copied. It is for a registry that takes
no pushes meanwhile; nobody knows the new name before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from image_registry.oci.digest import Digest, InvalidDigest
from image_registry.oci.reference import Repository
from image_registry.storage.blob_store import BlobStore, Links, StorageFault

RECORDS = "renames"
"""Folder of the records: one for each new name."""

TAKEN, NOTHING, PUSHED_TO = "taken", "nothing there", "pushed to since"
Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Made:
    """The links that one new name got, and the old name that has them too."""

    old: str
    tags: Mapping[str, Digest] = field(default_factory=dict)
    manifests: frozenset[Digest] = frozenset()
    blobs: frozenset[Digest] = frozenset()

    @property
    def number(self) -> int:
        """Of links, what a tag means now and has meant counted as one."""
        return len(self.tags) + len(self.manifests) + len(self.blobs)


@dataclass
class Renamed:
    """What became of all names; ``refused`` says why by name, and what is refused was left as it was."""

    repositories: int = 0
    links: int = 0
    refused: dict[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """For the report of a run."""
        return {"repositories": self.repositories, "links": self.links, "refused": self.refused}


class Taken(Exception):
    """Somebody else has content under the new name."""


def wanted(old: str, there: Links, new: Links, before: Made | None) -> Made:
    """What the new name is to have, of what the old one has. Raises :class:`Taken`.

    Damaged links, and tags whose manifest is not linked, are left behind.
    """
    tags = {
        tag: meant.current
        for tag, meant in there.tags.items()
        if meant.current is not None and meant.current in there.manifests
    }
    ours = before or Made(old)
    strange = set(new.manifests) - ours.manifests, set(new.tags) - set(ours.tags)
    if any(strange):
        raise Taken(f"{len(strange[0])} manifests and {len(strange[1])} tags are there that no renaming linked")
    return Made(old, tags, frozenset(there.manifests), there.blobs)


def rename(store: BlobStore, names: Mapping[str, str], progress: Progress = lambda _stage, _count: None) -> Renamed:
    """Link everything below each old name under its new one; what was linked before stays. Safe to repeat."""
    found = Renamed()
    for number, (old, new) in enumerate(sorted(names.items())):
        progress("repositories", number)
        name, target = _anywhere(old), Repository.parse(new)
        try:
            there = store.links(name)
            if not (there.manifests or there.tags or there.blobs):
                found.refused[old] = NOTHING
                continue
            made = wanted(old, there, store.links(target), read(store, target))
            store.write_records({_record(target): _written(made)})
            store.link_all(target, made.manifests, made.blobs)
            store.write_tags(target, made.tags)
        except Taken as error:
            found.refused[old] = f"{TAKEN}: {error}"
        else:
            found.repositories += 1
            found.links += made.number
    return found


def take_back(store: BlobStore, names: Mapping[str, str], progress: Progress = lambda _stage, _count: None) -> Renamed:
    """Remove what :func:`rename` linked, and nothing else; a name that was pushed to since is kept as it is."""
    found = Renamed()
    for number, (old, new) in enumerate(sorted(names.items())):
        progress("repositories", number)
        target = Repository.parse(new)
        made = read(store, target)
        if made is None:
            continue
        there = store.links(target)
        moved = {tag for tag, meant in there.tags.items() if meant.current not in (None, made.tags.get(tag))}
        if set(there.manifests) - made.manifests or moved:
            found.refused[old] = PUSHED_TO
            continue
        for tag in made.tags:
            store.remove_tag(target, tag)
        for digest in made.manifests:
            store.unlink_manifest(target, digest)
        for digest in made.blobs:
            store.unlink_blob(target, digest)
        store.remove_records([_record(target)])
        found.repositories += 1
        found.links += made.number
    return found


def read(store: BlobStore, new: Repository) -> Made | None:
    """What was linked under a name; ``None`` for one that is no renaming's. Raises ``StorageFault``."""
    data = store.read_record(_record(new))
    if data is None:
        return None
    try:
        document = json.loads(data)
        return Made(
            str(document["old"]),
            {tag: Digest.parse(digest) for tag, digest in document["tags"].items()},
            frozenset(map(Digest.parse, document["manifests"])),
            frozenset(map(Digest.parse, document["blobs"])),
        )
    except (ValueError, LookupError, TypeError, AttributeError, InvalidDigest) as error:
        raise StorageFault(f"the record of the renaming to {new} is damaged: {error}") from error


def _written(made: Made) -> bytes:
    document = {
        "old": made.old,
        "tags": {tag: str(digest) for tag, digest in sorted(made.tags.items())},
        "manifests": sorted(map(str, made.manifests)),
        "blobs": sorted(map(str, made.blobs)),
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _record(new: Repository) -> str:
    return f"{RECORDS}/{new}"


def _anywhere(old: str) -> Repository:
    """A name of any depth: the layout joins the two parts of a name by a slash."""
    first, _, rest = old.partition("/")
    return Repository(first, rest or ".")
