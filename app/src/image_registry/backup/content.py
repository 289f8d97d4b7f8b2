"""Everything that one backup says, and the files in which it says it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from image_registry.backup.kinds import Document

OBJECTS, SECRETS, STREAMS = "objects.json", "secrets.json", "streams.json"
IMAGE_LIST, SIGNATURES = "images.json", "signatures.json"
FILES = frozenset({OBJECTS, SECRETS, STREAMS, IMAGE_LIST, SIGNATURES})
"""No backup has another one beside its manifest, and each has all of them."""


@dataclass(frozen=True, slots=True, order=True)
class Image:
    """One manifest that a repository holds."""

    repository: str
    digest: str

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}"


@dataclass(frozen=True, slots=True)
class Content:
    """Everything that one backup says."""

    objects: tuple[Document, ...] = ()
    secrets: tuple[Document, ...] = field(default=(), repr=False)
    streams: tuple[Document, ...] = ()
    images: tuple[Image, ...] = ()
    signatures: tuple[Document, ...] = ()
    with_images: bool = True
    """Whether their bytes lie in the folder."""
    left_out: tuple[str, ...] = ()
    """Secrets that are not in it, by name: somebody has to bring them back in another way."""
    missing: tuple[str, ...] = ()
    """Images that could not be read, which was accepted."""
    namespaces: tuple[str, ...] = ()
    """What it is limited to; empty for a backup of everything."""

    @property
    def counts(self) -> dict[str, int]:
        """For reports."""
        return {
            "objects": len(self.objects),
            "secrets": len(self.secrets),
            "streams": len(self.streams),
            "tags": sum(len(stream["status"]["tags"]) for stream in self.streams),
            "images": len(self.images),
            "signatures": len(self.signatures),
        }

    def files(self) -> dict[str, bytes]:
        """The same content gives the same bytes."""
        return {
            OBJECTS: as_json(self.objects),
            SECRETS: as_json(self.secrets),
            STREAMS: as_json(self.streams),
            IMAGE_LIST: as_json([[image.repository, image.digest] for image in self.images]),
            SIGNATURES: as_json(self.signatures),
        }

    def told(self) -> dict[str, Any]:
        """What the manifest says beside the files."""
        return {
            "withImages": self.with_images,
            "leftOut": list(self.left_out),
            "missing": list(self.missing),
            "namespaces": list(self.namespaces),
        }


def as_json(value: Any) -> bytes:
    """The same value gives the same bytes."""
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def sorted_documents(found: Iterable[Document]) -> tuple[Document, ...]:
    """In an order that does not depend on who listed them."""
    return tuple(
        sorted(
            found, key=lambda item: (item["kind"], str(item["metadata"].get("namespace", "")), item["metadata"]["name"])
        )
    )
