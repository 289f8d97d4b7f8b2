"""Whether everything is there that the registry says it has: links, manifests, blobs, children of indexes.

Nothing is changed, and nothing stops for it. What is found while others push and delete may be over a moment later, so
a repository with findings is looked at again, and only what is found twice is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from time import sleep
from typing import Any

from image_registry.imagestreams.inventory import Inventory
from image_registry.oci.digest import Digest, InvalidDigest
from image_registry.oci.manifest import Descriptor, InvalidManifest, Manifest
from image_registry.oci.reference import Repository
from image_registry.oci.stored_manifest import parse_stored_manifest
from image_registry.storage.blob_store import BlobMissing, BlobStore, Links, StorageFault
from image_registry.upkeep.asking import Refused
from image_registry.upkeep.hashing import Hashing, Wrong

SECOND_LOOK = 2.0
"""Seconds until a repository with findings is looked at again: a push or a cleaning that is on its way is over."""

LARGEST = 64 << 20
"""Bytes of a manifest that is read; nobody has been able to push a larger one."""

FAULTS = {
    "missing": "bytes are not there",
    "corrupt": "bytes are not those of the digest",
    "unreadable": "the storage cannot read it",
    "unlinked": "the bytes are there, the link that lets the repository read them is not",
    "damaged": "a link or a manifest says nothing sensible",
    "tag-differs": "the link of a tag says something else than the metadata",
}
"""What must not be; whoever finds one ends with status 1."""

NOTES = {
    "orphaned": "nothing refers to it: garbage collection takes it when it is old",
    "unknown": "linked in the storage, and the metadata does not know it",
    "elsewhere": "imported and not fetched yet: the first pull does",
    "child-elsewhere": "an index lists it and the repository does not hold it",
    "wrong-size": "a manifest says another size than the blob has, whose bytes are right: clients may refuse it",
}
"""What may be, and is told because people ask."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """``subject`` is a digest, a tag or a link of the repository, which is empty for what belongs to none."""

    kind: str
    repository: str
    subject: str
    detail: str = ""


@dataclass
class Verified:
    """What was looked at and found."""

    repositories: int = 0
    manifests: int = 0
    blobs: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether no fault was found."""
        return not any(finding.kind in FAULTS for finding in self.findings)


Progress = Callable[[str, int], None]


class Verifier:
    """Methods may raise ``StorageFault`` and ``DatabaseUnavailable``; ``deep`` reads every byte, by this."""

    def __init__(
        self,
        store: BlobStore,
        inventory: Inventory,
        *,
        deep: Hashing | None = None,
        progress: Progress = lambda _stage, _count: None,
        second_look: float = SECOND_LOOK,
    ) -> None:
        self._store, self._inventory, self._deep, self._progress = store, inventory, deep, progress
        self._second_look = second_look
        self._sizes: dict[Digest, int | None] = {}
        self._wrong: dict[Digest, Finding] = {}
        self._read: set[Digest] = set()
        """Blobs that were read without ``deep``, because they are not as long as a manifest says."""
        self._report = Verified()

    def run(self, namespace: str = "", repository: str = "") -> Verified:
        """Verify a repository, a namespace, or everything. Raises :class:`Refused`."""
        if not self._inventory.whole():
            raise Refused(
                "the metadata is being made from storage: until that is done nobody knows what must be there; "
                "see `image-registry metadata rebuild`, then run this again"
            )
        for found in self._repositories(namespace, repository):
            self._progress("repositories", self._report.repositories)
            self._report.repositories += 1
            self._report.findings += self._twice(found)
        if not namespace:
            self._report.findings += self._images()
            self._report.findings += self._others()
        self._report.blobs = sum(size is not None for size in self._sizes.values())
        return self._report

    def _repositories(self, namespace: str, name: str) -> list[Repository]:
        if name:
            return [Repository.of(namespace, name)]
        return sorted({*self._inventory.repositories(namespace), *self._store.repositories(namespace or None)})

    def _twice(self, repository: Repository) -> list[Finding]:
        first = self._once(repository)
        if not any(finding.kind in FAULTS for finding in first):
            self._report.manifests += self._seen
            return first
        sleep(self._second_look)
        for finding in first:  # they are looked at again
            self._forget(finding)
        again = set(self._once(repository))
        self._report.manifests += self._seen
        return [finding for finding in first if finding in again]

    def _forget(self, finding: Finding) -> None:
        try:
            digest = Digest.parse(finding.subject)
        except InvalidDigest:
            return
        self._sizes.pop(digest, None)
        self._wrong.pop(digest, None)
        self._read.discard(digest)

    def _once(self, repository: Repository) -> list[Finding]:
        name, links = str(repository), self._store.links(repository)
        kept, imported = self._inventory.kept(repository), self._inventory.imported(repository)
        found = [Finding("damaged", name, link) for link in links.damaged]
        found += self._tags(name, links, kept.tags)
        needed: set[Digest] = set()
        self._seen = 0
        for digest in sorted(kept.manifests | frozenset(links.manifests)):
            self._seen += 1
            if digest not in kept.manifests:
                found.append(Finding("unknown", name, str(digest)))
            elif digest not in links.manifests and str(digest) not in imported:
                found.append(Finding("unlinked", name, str(digest)))
            manifest, wrong = self._manifest(name, digest, elsewhere=str(digest) in imported)
            found += wrong
            if manifest is not None:
                needed |= {blob.digest for blob in manifest.required_blobs}
                found += self._content(name, manifest, links, elsewhere=str(digest) in imported)
                found += self._children(name, manifest, kept.manifests)
        extra = links.blobs - needed - kept.blobs
        return found + [Finding("orphaned", name, str(digest), "a link") for digest in sorted(extra)]

    def _tags(self, name: str, links: Links, kept: Mapping[str, Digest]) -> Iterator[Finding]:
        for tag in sorted({*kept, *links.tags}):
            meant = links.tags[tag].current if tag in links.tags else None
            if tag not in kept:
                yield Finding("unknown", name, tag, f"means {meant} in the storage")
            elif meant is not None and meant != kept[tag]:
                yield Finding("tag-differs", name, tag, f"{kept[tag]} in the metadata, {meant} in the storage")

    def _manifest(self, name: str, digest: Digest, *, elsewhere: bool) -> tuple[Manifest | None, list[Finding]]:
        size = self._size(digest)
        if size is None:
            return None, [Finding("elsewhere" if elsewhere else "missing", name, str(digest), "the manifest")]
        if size > LARGEST:
            return None, [Finding("damaged", name, str(digest), f"a manifest of {size} bytes")]
        try:
            data = self._store.read(digest)
        except BlobMissing:
            return None, [Finding("missing", name, str(digest), "the manifest")]
        except StorageFault as error:
            return None, [Finding("unreadable", name, str(digest), str(error))]
        if Digest.of(data, digest.algorithm) != digest:
            return None, [Finding("corrupt", name, str(digest), "the manifest")]
        try:
            return parse_stored_manifest(data, digest), []
        except InvalidManifest as error:
            return None, [Finding("damaged", name, str(digest), str(error))]

    def _content(self, name: str, manifest: Manifest, links: Links, *, elsewhere: bool) -> Iterator[Finding]:
        of = f"of {manifest.digest}"
        for blob in {blob.digest: blob for blob in manifest.required_blobs}.values():
            size = self._size(blob.digest)
            if size is None:
                yield Finding("elsewhere" if elsewhere else "missing", name, str(blob.digest), of)
                continue
            if blob.digest not in links.blobs and not elsewhere:
                yield Finding("unlinked", name, str(blob.digest), of)
            yield from self._bytes(name, blob, size, of)

    def _bytes(self, name: str, blob: Descriptor, size: int, of: str) -> Iterator[Finding]:
        if blob.size and size != blob.size and self._right(blob.digest):
            yield Finding("wrong-size", name, str(blob.digest), f"{size} bytes, {blob.size} {of}")
        wrong = self._wrong.get(blob.digest)
        if wrong is not None:
            yield Finding(wrong.kind, name, str(blob.digest), wrong.detail)

    def _children(self, name: str, manifest: Manifest, held: Iterable[Digest]) -> Iterator[Finding]:
        known = set(held) if manifest.manifests else set()
        for child in manifest.manifests:
            if child.digest not in known:
                yield Finding("child-elsewhere", name, str(child.digest), f"of {manifest.digest}")

    def _images(self) -> Iterator[Finding]:
        """Images that no stream holds: nobody can pull them, so what they lack is no fault."""
        for text in self._inventory.digests():
            digest = Digest.parse(text)
            if digest not in self._sizes and self._size(digest) is None:
                yield Finding("elsewhere", "", text, "of an Image that no stream holds, or of another platform")

    def _others(self) -> Iterator[Finding]:
        """Blobs that nothing refers to."""
        linked: set[str] = set()
        for found in self._store.all_linked():
            linked.update(found.values)
            if found.lost:
                yield Finding("damaged", "", found.name, "a symbolic link that leads nowhere")
        count = 0

        def strange(_algorithm: str, value: str) -> bool:
            nonlocal count
            count += 1
            if count % 1000 == 0:
                self._progress("blobs", count)
            return value not in linked

        for blob in self._store.blobs(strange):
            if blob.digest not in self._sizes:
                self._size(blob.digest)
                yield Finding("orphaned", "", str(blob.digest), f"{blob.size} bytes")
                if (wrong := self._wrong.get(blob.digest)) is not None:
                    yield wrong

    def _size(self, digest: Digest) -> int | None:
        """Of a blob, and once for each whether its bytes are right."""
        if digest not in self._sizes:
            size = self._store.stat(digest)
            self._sizes[digest] = size
            if size is not None and self._deep is not None:
                self._progress("blobs read", len(self._sizes))
                self._sizes[digest] = self._hash(self._deep, digest, size)
        return self._sizes[digest]

    def _right(self, digest: Digest) -> bool:
        """Whether the bytes are those of the digest: either they or a manifest that says another size is wrong."""
        if self._deep is None and digest not in self._read:
            self._read.add(digest)
            self._hash(Hashing(self._store, tick=lambda: self._progress("blobs read", len(self._read))), digest, None)
        return digest not in self._wrong

    def _hash(self, hashing: Hashing, digest: Digest, size: int | None) -> int | None:
        try:
            return hashing.check(digest)
        except Wrong as error:
            kind = "unreadable" if error.unreadable else "corrupt"
            self._wrong[digest] = Finding(kind, "", str(digest), str(error))
            return size


def document(
    found: Verified, scope: str, spent: float, read: int | None, *, at_most: int | None = None
) -> dict[str, Any]:
    """The report; ``read`` are the bytes that were read, its findings are cut after ``at_most``, faults first."""
    ordered = sorted(found.findings, key=lambda finding: (finding.kind not in FAULTS, finding))
    return {
        "scope": scope or "everything",
        "deep": read is not None,
        "clean": found.clean,
        "seconds": round(spent, 3),
        "repositories": found.repositories,
        "manifests": found.manifests,
        "blobs": found.blobs,
        "bytesRead": read or 0,
        "totals": dict(sorted(Counter(finding.kind for finding in found.findings).items())),
        "findings": [
            {"kind": each.kind, "repository": each.repository, "subject": each.subject, "detail": each.detail}
            for each in ordered[:at_most]
        ],
    }
