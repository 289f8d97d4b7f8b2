"""A named fake of stores of images: repositories in memory, held to the protocol, which fail when they are told to."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from image_registry.mirroring.places import Place
from image_registry.mirroring.repositories import Attached
from image_registry.oci.digest import Digest
from image_registry.oci.manifest import Descriptor, Manifest
from image_registry.oci.reference import referrers_tag
from image_registry.remote.errors import Mismatch, NotFound, Refused
from image_registry.remote.referrers import list_with
from image_registry.remote.running import Running
from image_registry.remote.sending import Content, Telling
from image_registry.remote.uploads import Upload


@dataclass
class Memory:
    """Everything that all stores hold, and what was asked of them."""

    repositories: dict[Place, MemoryRepository] = field(default_factory=dict)
    lists_subjects: bool = True
    before: Callable[[str, Place, str], None] = lambda _what, _place, _name: None
    """Called before each question; a place for failures."""
    sent: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Blobs that were sent whole, by store and digest."""
    asked: list[tuple[str, Place, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self, place: Place) -> MemoryRepository:
        with self.lock:
            return self.repositories.setdefault(place.repository, MemoryRepository(place.repository, self))

    def note(self, what: str, place: Place, name: object) -> None:
        with self.lock:
            self.asked.append((what, place, str(name)))
        self.before(what, place, str(name))


@dataclass
class MemoryRepository:
    """A repository; it exists with its first blob."""

    place: Place
    memory: Memory
    blobs: dict[Digest, bytes] = field(default_factory=dict)
    manifests: dict[Digest, Manifest] = field(default_factory=dict)
    names: dict[str, Digest] = field(default_factory=dict)

    def tags(self) -> list[str] | None:
        self.memory.note("tags", self.place, "")
        return list(self.names) if self.blobs or self.manifests else None

    def digest(self, wanted: Digest | str) -> Digest | None:
        self.memory.note("digest", self.place, wanted)
        if isinstance(wanted, Digest):
            return wanted if wanted in self.manifests else None
        return self.names.get(wanted)

    def manifest(self, wanted: Digest | str) -> Manifest:
        self.memory.note("manifest", self.place, wanted)
        digest = wanted if isinstance(wanted, Digest) else self.names.get(wanted)
        if digest not in self.manifests:
            raise NotFound(f"there is no {wanted} in {self.place}")
        return self.manifests[digest]

    def attached(self, subject: Digest) -> Attached:
        self.memory.note("attached", self.place, subject)
        about = [m for m in self.manifests.values() if m.subject and m.subject.digest == subject]
        tags = tuple(name for name in self.names if name.startswith(f"{referrers_tag(subject)}."))
        return Attached(tuple(Descriptor(m.media_type, m.digest, len(m.raw)) for m in about), tags)

    def content(self, blob: Descriptor) -> Content:
        return MemoryContent(self, blob)

    def blob_size(self, digest: Digest) -> int | None:
        self.memory.note("blob", self.place, digest)
        return len(self.blobs[digest]) if digest in self.blobs else None

    def mount(self, blob: Descriptor, origin: Place) -> Upload | None:
        self.memory.note("mount", self.place, blob.digest)
        there = self.memory.repositories.get(origin.repository)
        assert origin.store == self.place.store
        if there is None or blob.digest not in there.blobs:
            return Upload("there is no such blob")
        self.blobs[blob.digest] = there.blobs[blob.digest]
        return None

    def put_blob(self, digest: Digest, content: Content, upload: Upload | None, telling: Telling) -> int:
        del upload
        self.memory.note("send", self.place, digest)
        with content.open(0) as parts:
            data = Running(digest, content.size, str(self.place)).whole(parts)
        self.memory.note("sent", self.place, digest)
        telling.sent(len(data))
        with self.memory.lock:
            self.memory.sent[self.place.store, str(digest)] += 1
        self.blobs[digest] = data
        return len(data)

    def put_manifest(self, wanted: Digest | str, manifest: Manifest) -> bool:
        self.memory.note("put", self.place, wanted)
        for blob in manifest.required_blobs:
            if blob.digest not in self.blobs:
                raise Refused(f"MANIFEST_BLOB_UNKNOWN: {blob.digest}", "MANIFEST_BLOB_UNKNOWN")
        for child in manifest.manifests:
            if child.digest not in self.manifests and not isinstance(wanted, str):
                raise Refused(f"MANIFEST_UNKNOWN: {child.digest}", "MANIFEST_UNKNOWN")
        if isinstance(wanted, Digest) and wanted != manifest.digest:
            raise Mismatch("another manifest than its name says")
        self.manifests[manifest.digest] = manifest
        if isinstance(wanted, str):
            self.names[wanted] = manifest.digest
        return self.memory.lists_subjects

    def list_referrers(self, subject: Digest, referrers: Sequence[Manifest]) -> None:
        tag = referrers_tag(subject)
        with self.memory.lock:
            wanted = list_with(self.manifests[self.names[tag]] if tag in self.names else None, referrers)
            if wanted is not None:
                self.manifests[wanted.digest], self.names[tag] = wanted, wanted.digest


@dataclass(frozen=True)
class MemoryContent:
    """A blob of a repository."""

    repository: MemoryRepository
    blob: Descriptor

    @property
    def size(self) -> int:
        return self.blob.size

    @contextmanager
    def open(self, offset: int) -> Iterator[Iterator[bytes]]:
        self.repository.memory.note("read", self.repository.place, self.blob.digest)
        if self.blob.digest not in self.repository.blobs:
            raise NotFound(f"there is no blob {self.blob.digest}")
        yield iter([self.repository.blobs[self.blob.digest][offset:]])
