"""A repository of a registry."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from image_registry.mirroring.places import Place
from image_registry.mirroring.repositories import Attached
from image_registry.oci.digest import Digest
from image_registry.oci.manifest import Descriptor, Manifest
from image_registry.oci.reference import is_referrers_tag, referrers_tag
from image_registry.remote.asking import Access
from image_registry.remote.contents import InRegistry
from image_registry.remote.errors import Forbidden, NotARegistry, NotFound, Unauthorized
from image_registry.remote.reference import RemoteReference
from image_registry.remote.referrers import list_with, listed_referrers, tagged_referrers
from image_registry.remote.registry import Registries
from image_registry.remote.sending import Content, Telling
from image_registry.remote.uploads import Upload
from image_registry.remote.writing import Writing

MOST_TAGS = 1_000_000

COSIGN = (".sig", ".att", ".sbom")
"""Ends of the tags under which cosign keeps what is about a manifest."""


@dataclass(frozen=True, slots=True)
class Client:
    """How registries are reached; ``mounts`` is false where tokens for two repositories cannot be had."""

    registries: Registries
    writing: Writing
    access: Access
    mounts: bool = True


class RegistryRepository:
    """Thread-safe."""

    def __init__(self, place: Place, client: Client) -> None:
        self.place, self._client = place, client
        self._name = RemoteReference(place.root, place.path)
        self._lock = threading.Lock()
        self._tags: list[str] | None = None
        self._asked = False
        self._lists: bool | None = None
        """Whether the registry answers the question for referrers."""

    def tags(self) -> list[str] | None:
        with self._lock:
            if not self._asked:
                try:
                    self._tags = self._client.registries.tags(self._name, self._client.access, most=MOST_TAGS)
                except NotFound:
                    self._tags = None
                self._asked = True
            return self._tags

    def digest(self, wanted: Digest | str) -> Digest | None:
        return self._client.writing.manifest_digest(self._name.at(wanted), self._client.access)

    def manifest(self, wanted: Digest | str) -> Manifest:
        return self._client.registries.manifest(self._name.at(wanted), self._client.access).manifest

    def attached(self, subject: Digest) -> Attached:
        client, named = self._client, self._name.at(subject)
        listed = None
        if self._lists is not False:
            listed = listed_referrers(client.registries.questions, named, client.access)
            self._lists = listed is not None
        about = referrers_tag(subject)
        tags = tuple(tag for tag in self._listed() if tag.startswith(about))
        if listed is None and about in tags:
            kept = tagged_referrers(client.registries, named, client.access)
            listed = kept.manifests if kept else ()
        return Attached(listed or (), tuple(tag for tag in tags if tag.removeprefix(about) in COSIGN))

    def _listed(self) -> list[str]:
        try:
            return self.tags() or []
        except (Forbidden, Unauthorized, NotARegistry):  # then there are the registry's own answers alone
            return []

    def content(self, blob: Descriptor) -> Content:
        return InRegistry(self._client.registries, self._name.at(blob.digest), blob.size, self._client.access)

    def blob_size(self, digest: Digest) -> int | None:
        return self._client.writing.blob_size(self._name.at(digest), self._client.access)

    def mount(self, blob: Descriptor, origin: Place) -> Upload | None:
        return self._client.writing.uploads.mount(self._name.at(blob.digest), origin.path, self._client.access)

    def put_blob(self, digest: Digest, content: Content, upload: Upload | None, telling: Telling) -> int:
        named = self._name.at(digest)
        return self._client.writing.put_blob(named, content, self._client.access, upload=upload, telling=telling)

    def put_manifest(self, wanted: Digest | str, manifest: Manifest) -> bool:
        return self._client.writing.put_manifest(self._name.at(wanted), manifest, self._client.access).lists_subject

    def list_referrers(self, subject: Digest, referrers: Sequence[Manifest]) -> None:
        client, named = self._client, self._name.at(subject)
        with self._lock:
            wanted = list_with(tagged_referrers(client.registries, named, client.access), referrers)
            if wanted is not None:
                client.writing.put_manifest(named.at(referrers_tag(subject)), wanted, client.access)


def is_attached_tag(tag: str) -> bool:
    """Whether a tag is one of those that tools make of digests; they go with what they are about."""
    return is_referrers_tag(next((tag.removesuffix(end) for end in COSIGN if tag.endswith(end)), tag))
