"""What a repository has in storage: read only, every link looked at, every manifest parsed, nothing fatal.

What cannot be taken into the tables becomes a finding with a reason. It stays where it is, so that the program that
wrote the tree still finds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from image_registry.imagestreams.adoption import Finding, FoundManifest, FoundTag
from image_registry.imagestreams.docker_image import MAX_CONFIG
from image_registry.oci import media_types
from image_registry.oci.digest import Digest
from image_registry.oci.manifest import InvalidManifest, Manifest
from image_registry.oci.reference import Repository
from image_registry.oci.stored_manifest import parse_stored_manifest
from image_registry.storage.blob_store import BlobMissing, BlobStore, Links

LARGEST_MANIFEST = 4 << 20
"""Bytes; what is larger was never a manifest that a registry accepted."""

DAMAGED_LINK = "damaged link"
DAMAGED_MANIFEST = "damaged manifest"
MISSING_MANIFEST = "missing manifest"
MISSING_BLOB = "missing blob"
UNLINKED_BLOB = "unlinked blob"
WRONG_SIZE = "wrong size"
DANGLING_TAG = "dangling tag"
STRANGE_NAME = "strange name"


class _Lost(Exception):
    """A manifest that cannot be read."""

    def __init__(self, kind: str, digest: Digest, detail: str) -> None:
        super().__init__(detail)
        self.finding = Finding(kind, str(digest), detail)


@dataclass
class Survey:
    """One repository: :meth:`manifests` once, then what it has become to know."""

    store: BlobStore
    repository: Repository
    links: Links
    sizes: dict[Digest, int | None] = field(default_factory=dict)
    """Sizes of blobs that are known already; several repositories share their layers."""
    findings: list[Finding] = field(default_factory=list)
    readable: set[Digest] = field(default_factory=set)
    blobs: set[Digest] = field(default_factory=set)

    @staticmethod
    def of(store: BlobStore, repository: Repository, sizes: dict[Digest, int | None]) -> Survey:
        """Begin: reads every link. Raises ``StorageFault``."""
        links = store.links(repository)
        findings = [Finding(DAMAGED_LINK, _subject(path), path) for path in links.damaged]
        return Survey(store, repository, links, sizes, findings)

    def manifests(self) -> Iterator[FoundManifest]:
        """Every manifest that can be read; the others become findings. Raises ``StorageFault``."""
        for digest, linked in sorted(self.links.manifests.items()):
            try:
                manifest = self._manifest(digest)
            except _Lost as lost:
                self.findings.append(lost.finding)
                continue
            self.readable.add(digest)
            self._look_at_blobs(manifest)
            yield FoundManifest(manifest, self._config(manifest), linked)

    def tags(self) -> dict[str, FoundTag]:
        """Every tag that means a manifest that can be read; ask after :meth:`manifests`."""
        found = {}
        for tag, links in self.links.tags.items():
            if links.current is None:
                continue  # a finding already: the link is damaged
            if links.current in self.readable:
                found[tag] = FoundTag(links.current, links.since, _within(links.past, self.readable))
            else:
                self.findings.append(Finding(DANGLING_TAG, tag, f"it means {links.current}, which cannot be served"))
        return found

    def _manifest(self, digest: Digest) -> Manifest:
        size = self.store.stat(digest)
        if size is None:
            raise _Lost(MISSING_MANIFEST, digest, "its bytes are not in the storage")
        if size > LARGEST_MANIFEST:
            raise _Lost(DAMAGED_MANIFEST, digest, f"it has {size} bytes")
        try:
            raw = self.store.read(digest)
        except BlobMissing:
            raise _Lost(MISSING_MANIFEST, digest, "its bytes are not in the storage") from None
        if Digest.of(raw, digest.algorithm) != digest:
            raise _Lost(DAMAGED_MANIFEST, digest, f"its {size} bytes have another digest")
        try:
            return parse_stored_manifest(raw, digest)
        except InvalidManifest as error:
            raise _Lost(DAMAGED_MANIFEST, digest, str(error)) from None

    def _look_at_blobs(self, manifest: Manifest) -> None:
        """A manifest whose blobs are lost is held all the same: its tag exists, and one may push what is missing."""
        for blob in manifest.required_blobs:
            self.blobs.add(blob.digest)
            if blob.digest not in self.sizes:
                self.sizes[blob.digest] = self.store.stat(blob.digest)
            size = self.sizes[blob.digest]
            of = f"{blob.digest}, needed by the manifest"
            if size is None:
                self.findings.append(Finding(MISSING_BLOB, str(manifest.digest), f"{of}, is not in the storage"))
            elif blob.size not in (size, 0):
                said = f"{of}, has {size} bytes instead of {blob.size}"
                self.findings.append(Finding(WRONG_SIZE, str(manifest.digest), said))
            elif blob.digest not in self.links.blobs:
                self.findings.append(Finding(UNLINKED_BLOB, str(manifest.digest), f"{of}, is not linked here"))

    def _config(self, manifest: Manifest) -> bytes | None:
        config = manifest.config
        if config is None or config.media_type not in media_types.CONFIG_TYPES:
            return None
        size = self.sizes.get(config.digest)
        if size is None or size > MAX_CONFIG:
            return None
        try:
            return self.store.read(config.digest)
        except BlobMissing:
            return None


def _within(past: Mapping[Digest, datetime], readable: set[Digest]) -> dict[Digest, datetime]:
    return {digest: since for digest, since in past.items() if digest in readable}


def _subject(path: str) -> str:
    """The tag or the digest that a damaged link is of: cleaning leaves that alone."""
    parts = path.split("/")
    if "tags" in parts:
        return parts[parts.index("tags") + 1]
    return ":".join(parts[-3:-1]) if parts[-1] == "link" else ":".join(parts[-2:])
