"""What a restore is to do: the plan, as data, and how it follows from a backup and what is there. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from image_registry.backup.content import Image
from image_registry.backup.folder import Backup, Earlier
from image_registry.backup.images import Copied, Sent
from image_registry.backup.kinds import (
    STREAMS,
    Document,
    Kind,
    current,
    identity,
    kept,
    kept_stream,
    origins,
    repository,
)

CREATE, REPLACE = "create", "replace"
RESTORING = "backup.image-registry.alauda.io/restoring"
"""Annotation of a stream that is not whole yet: the next run may write it without being told to."""

LARGEST = 3 * 1024 * 1024 - 16 * 1024
"""Bytes of a stream as JSON: what the Image API reads of one request, without what it adds to metadata itself."""

PLACES = ("storage", "metadata")
"""Of a Config's ``spec``: where the registry keeps what it has."""


@dataclass(frozen=True, slots=True)
class Change:
    """One object that is not as the backup has it."""

    what: str
    document: Document = field(repr=False)
    before: Document | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        return identity(self.document)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is to be done, in this order."""

    backup: Backup
    namespaces: tuple[str, ...] = ()
    before: tuple[Change, ...] = ()
    streams: tuple[Change, ...] = ()
    images: tuple[Image, ...] = ()
    """Everything that is to be in the registry afterwards."""
    sent: tuple[Sent, ...] = ()
    after: tuple[Change, ...] = ()
    signatures: tuple[Document, ...] = ()
    """Those that the registry has not got."""
    copies: Copied = field(default_factory=Copied)
    lost: frozenset[Image] = frozenset()
    """Images of which the registry has the name and not the bytes."""
    kept: tuple[str, ...] = ()
    """What stays as it is although the backup has something else."""
    previous: Earlier | None = None
    """The backup before this one."""
    gone: frozenset[Image] = frozenset()
    """Images that stay away, which was accepted: neither the folder nor the registry has them whole."""

    @property
    def objects(self) -> tuple[Change, ...]:
        """All changes of objects."""
        return (*self.before, *self.streams, *self.after)

    @property
    def changed(self) -> bool:
        """Whether anything is to be done."""
        return bool(self.namespaces or self.objects or self.copies.images or self.signatures)

    def document(self) -> dict[str, Any]:
        """For reports; no value of a Secret is in it."""
        named = [f"{change.what} {change.name}" for change in self.objects]
        named += [f"{CREATE} {identity(one)}" for one in self.signatures]
        return {
            "name": self.backup.name,
            "made": self.backup.manifest["made"],
            "counts": self.backup.content.counts,
            "previous": self.previous.document() if self.previous else {},
            "kept": list(self.kept),
            "changes": [*(f"create Namespace/{name}" for name in self.namespaces), *named],
            "copied": {"images": self.copies.images, "blobs": self.copies.blobs, "bytes": self.copies.bytes},
            "lost": sorted(map(str, self.lost)),
            "left_out": list(self.backup.content.left_out),
            "missing": sorted({*self.backup.content.missing, *map(str, self.gone)}),
            "namespaces": list(self.backup.content.namespaces),
        }


def is_too_large(stream: Document) -> bool:
    """Whether the Image API would not take what a stream wants, which has to be written in one request."""
    wanted = {key: value for key, value in stream.items() if key != "status"}
    return len(json.dumps(wanted, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")) > LARGEST


def gone_of(stream: Document, images: Collection[Image], gone: Collection[Image]) -> set[str]:
    """Digests of which the history of a stream cannot speak any more: neither it nor whom it followed has them."""
    name, found = repository(stream), set()
    for digest, origin in origins(stream).items():
        own = Image(name, digest)
        if own in gone or (own not in images and Image(origin, digest) in gone):
            found.add(digest)
    return found


def place_of(document: Mapping[str, Any]) -> str:
    return str(document["metadata"].get("namespace", ""))


def path_of(document: Mapping[str, Any], kind: Kind) -> str:
    return kind.path(place_of(document), str(document["metadata"]["name"]))


def as_kept(item: Mapping[str, Any], kind: Kind) -> Document:
    return kept_stream(item) if kind is STREAMS else kept(item, kind)


def over(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> Document:
    """The object that is wanted, as the next state of the one that is there."""
    own = there["metadata"]
    state = {key: own[key] for key in ("uid", "resourceVersion", "finalizers", "ownerReferences") if key in own}
    rest = {"status": there["status"]} if "status" in there else {}
    return {**rest, **wanted, "metadata": {**wanted["metadata"], **state}}


def is_marked(document: Mapping[str, Any]) -> bool:
    """Whether a stream is not whole yet."""
    return RESTORING in (document["metadata"].get("annotations") or {})


def as_there(document: Document, there: Mapping[str, Any]) -> Document:
    """Where a registry keeps its bytes and tables is not brought back: a running one would begin anew in another place.

    Only ``registry_config`` changes that, with its own question (``storage_change``).
    """
    if document["kind"] != "Config":
        return document
    living = there.get("spec") or {}
    spec = {key: value for key, value in (document.get("spec") or {}).items() if key not in PLACES}
    return {**document, "spec": {**spec, **{key: living[key] for key in PLACES if key in living}}}


def marked(document: Mapping[str, Any]) -> Document:
    """A stream that is not whole yet."""
    metadata = document["metadata"]
    return {
        **document,
        "metadata": {**metadata, "annotations": {**(metadata.get("annotations") or {}), RESTORING: "true"}},
    }


def sent_for(
    images: Collection[Image], known: Collection[Image], changed: Collection[Document], streams: Collection[Document]
) -> list[Sent]:
    """Everything by its digest, but what tags of streams mean that are to change: that goes under these tags.

    What a tag follows in another stream it gets from there again. What it took from elsewhere, or earlier, has to be
    held by its own stream: the registry lets no history speak of an image that could not be pulled there.
    """
    tags, borrowed = dict[Image, list[str]](), []
    meant = {f"{repository(one)}:{tag}": digest for one in streams for tag, digest in current(one).items()}
    for stream in changed:
        name, followed = repository(stream), _followed(stream, images, meant)
        for tag, digest in current(stream).items():
            tags.setdefault(Image(name, digest), []).append(tag)
        for digest, origin in origins(stream).items():
            if Image(name, digest) not in known and Image(origin, digest) in known and digest not in followed:
                borrowed.append(Sent(Image(origin, digest), name))
    return [Sent(image, image.repository, tag) for image in images for tag in tags.get(image) or [""]] + borrowed


def _followed(stream: Document, images: Collection[Image], meant: Mapping[str, str]) -> set[str]:
    """What tags mean that follow another stream, where that stream holds it and its own tag means the same.

    A tag can have stopped to follow, as when the other one became a pointer: then it would get something else.
    """
    now, found = current(stream), set()
    for tag in stream["spec"].get("tags") or ():
        source = tag.get("from") or {}
        digest = now.get(tag["name"])
        if digest is None or source.get("kind") not in ("ImageStreamTag", "ImageStreamImage"):
            continue
        name = f"{source.get('namespace') or place_of(stream)}/{source['name']}"
        same = digest == name.partition("@")[2] or digest == meant.get(name)
        if same and Image(re.split("[:@]", name)[0], digest) in images:
            found.add(digest)
    return found
