"""A folder in the form of the OCI image layout, which skopeo, crane, podman and oras read: one repository of its own.

Names are annotations of entries of ``index.json``. What refers to another manifest is an entry without a name, so that
it is found by who reads the index alone.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from image_registry.mirroring.files import commit, read, read_manifest, write_blob
from image_registry.mirroring.places import Place
from image_registry.mirroring.repositories import Attached
from image_registry.oci import media_types
from image_registry.oci.digest import Digest
from image_registry.oci.manifest import Descriptor, InvalidManifest, Manifest, parse_manifest
from image_registry.oci.reference import referrers_tag
from image_registry.remote.contents import InFile
from image_registry.remote.errors import NotFound, Unusable
from image_registry.remote.sending import Content, Telling
from image_registry.remote.uploads import Upload

NAME = "org.opencontainers.image.ref.name"
_EMPTY: dict[str, Any] = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": []}


class LayoutRepository:
    """Thread-safe, but for two processes that write to one folder."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._folder = Path(place.root)
        self._lock = threading.Lock()

    def tags(self) -> list[str] | None:
        if not (self._folder / "index.json").is_file():
            return None
        return [name for entry in self._entries().manifests if (name := entry.annotations.get(NAME))]

    def digest(self, wanted: Digest | str) -> Digest | None:
        if isinstance(wanted, Digest):
            return wanted if self._blob(wanted).is_file() else None
        entries = self._entries().manifests
        named = [entry.digest for entry in entries if entry.annotations.get(NAME) == wanted]
        if not named and wanted == "latest" and len(entries) == 1:  # the only image needs no name
            return entries[0].digest
        return named[-1] if named else None

    def manifest(self, wanted: Digest | str) -> Manifest:
        digest = self.digest(wanted)
        if digest is None:
            raise NotFound(f"there is no image {wanted} in {self._folder}")
        return read_manifest(self._blob(digest), digest)

    def attached(self, subject: Digest) -> Attached:
        found = []
        for entry in self._entries().manifests:
            about = self.manifest(entry.digest).subject
            if about is not None and about.digest == subject:
                found.append(entry)
        tags = [tag for tag in self.tags() or () if tag.startswith(f"{referrers_tag(subject)}.")]
        return Attached(tuple(found), tuple(tags))

    def content(self, blob: Descriptor) -> Content:
        return InFile(self._blob(blob.digest), blob.size)

    def blob_size(self, digest: Digest) -> int | None:
        try:
            return self._blob(digest).stat().st_size
        except OSError:
            return None

    def mount(self, blob: Descriptor, origin: Place) -> Upload | None:
        raise NotFound(f"{origin} and {self.place} share their blobs already, and {blob.digest} is not there")

    def put_blob(self, digest: Digest, content: Content, upload: Upload | None, telling: Telling) -> int:
        del upload
        return write_blob(self._blob(digest), digest, content, telling)

    def put_manifest(self, wanted: Digest | str, manifest: Manifest) -> bool:
        commit(self._blob(manifest.digest), manifest.raw)
        if isinstance(wanted, str) or manifest.subject is not None:
            self._add(manifest, wanted if isinstance(wanted, str) else "")
        return True

    def list_referrers(self, subject: Digest, referrers: Sequence[Manifest]) -> None:
        """They are entries of the index."""

    def _add(self, manifest: Manifest, name: str) -> None:
        with self._lock:
            path = self._folder / "index.json"
            document = json.loads(self._entries().raw)  # what is no index is not added to
            entry: dict[str, Any] = {
                "mediaType": manifest.media_type,
                "digest": str(manifest.digest),
                "size": len(manifest.raw),
            }
            if name:
                entry["annotations"] = {NAME: name}
            if manifest.artifact_type:
                entry["artifactType"] = manifest.artifact_type
            kept = [
                other
                for other in document["manifests"]
                if other["digest"] != entry["digest"]
                or (other.get("annotations") or {}).get(NAME, "") not in ("", name)
            ]
            if name:
                kept = [other for other in kept if (other.get("annotations") or {}).get(NAME) != name]
            document["manifests"] = [*kept, entry]
            commit(self._folder / "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
            commit(path, json.dumps(document).encode())

    def _entries(self) -> Manifest:
        path = self._folder / "index.json"
        if not path.is_file():
            return parse_manifest(json.dumps(_EMPTY).encode(), media_types.OCI_INDEX)
        try:
            return parse_manifest(read(path), media_types.OCI_INDEX)
        except InvalidManifest as error:
            raise Unusable(f"{path} is no index of an image layout: {error}") from None

    def _blob(self, digest: Digest) -> Path:
        return self._folder / "blobs" / digest.algorithm / digest.hex
