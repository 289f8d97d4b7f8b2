"""What the engine needs of a store of images: one repository of a registry, of a folder, of a layout.

One contract for all of them; the tests hold each kind to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from image_registry.mirroring.places import Place
from image_registry.oci.digest import Digest
from image_registry.oci.manifest import Descriptor, Manifest
from image_registry.remote.sending import Content, Telling
from image_registry.remote.uploads import Upload


@dataclass(frozen=True, slots=True)
class Attached:
    """What refers to a manifest: by its subject, and by a tag that is made of its digest."""

    referrers: tuple[Descriptor, ...] = ()
    tags: tuple[str, ...] = ()


class Repository(Protocol):
    """Thread-safe. All of it raises :class:`~image_registry.remote.errors.RemoteError`."""

    place: Place

    def tags(self) -> list[str] | None:
        """All tags; ``None`` if there is no such repository."""

    def digest(self, wanted: Digest | str) -> Digest | None:
        """What a tag or digest means now; ``None`` if it means nothing."""

    def manifest(self, wanted: Digest | str) -> Manifest:
        """Verified if it is asked for by its digest."""

    def attached(self, subject: Digest) -> Attached:
        """What refers to a manifest."""

    def content(self, blob: Descriptor) -> Content:
        """The bytes of a blob."""

    def blob_size(self, digest: Digest) -> int | None:
        """Bytes of a blob; ``None`` if it is not there."""

    def mount(self, blob: Descriptor, origin: Place) -> Upload | None:
        """Take a blob over from another repository of the same store; an upload if that cannot be."""

    def put_blob(self, digest: Digest, content: Content, upload: Upload | None, telling: Telling) -> int:
        """Send a blob; the bytes that were sent."""

    def put_manifest(self, wanted: Digest | str, manifest: Manifest) -> bool:
        """Send a manifest; whether the store lists it by its subject, if it has one."""

    def list_referrers(self, subject: Digest, referrers: Sequence[Manifest]) -> None:
        """Keep the list of referrers of a store that does not make it itself."""
