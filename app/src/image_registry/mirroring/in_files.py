"""A repository in a folder as ``oc image mirror`` lays it down: any web server can serve it, any disk carry it.

``v2/<path>/blobs/<digest>``, ``v2/<path>/manifests/<digest>``, and each tag a link beside those.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from image_registry.mirroring.files import commit, read_manifest, write_blob
from image_registry.mirroring.places import Place
from image_registry.mirroring.repositories import Attached
from image_registry.oci.digest import Digest, InvalidDigest
from image_registry.oci.manifest import Descriptor, Manifest
from image_registry.oci.reference import is_tag, referrers_tag
from image_registry.remote.contents import InFile
from image_registry.remote.errors import NotFound, Unreadable, Unusable
from image_registry.remote.referrers import list_with
from image_registry.remote.sending import Content, Telling
from image_registry.remote.uploads import Upload


class FileRepository:
    """Thread-safe."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._folder = Path(place.root) / "v2" / place.path
        self._lock = threading.Lock()

    def tags(self) -> list[str] | None:
        try:
            return sorted(entry.name for entry in os.scandir(self._folder / "manifests") if entry.is_symlink())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unreadable(f"{self._folder} cannot be read: {error.strerror}") from None

    def digest(self, wanted: Digest | str) -> Digest | None:
        path = self._manifest(wanted)
        try:
            if isinstance(wanted, Digest):
                return wanted if path.is_file() else None
            return Digest.parse(path.readlink().name) if path.is_file() else None
        except (OSError, InvalidDigest):
            return None

    def manifest(self, wanted: Digest | str) -> Manifest:
        digest = self.digest(wanted)
        if digest is None:
            raise NotFound(f"there is no {wanted} in {self._folder}")
        return read_manifest(self._manifest(digest), digest)

    def attached(self, subject: Digest) -> Attached:
        about = referrers_tag(subject)
        found: tuple[Descriptor, ...] = ()
        with suppress(NotFound):
            found = self.manifest(about).manifests
        return Attached(found, tuple(tag for tag in self.tags() or () if tag.startswith(f"{about}.")))

    def content(self, blob: Descriptor) -> Content:
        return InFile(self._blob(blob.digest), blob.size)

    def blob_size(self, digest: Digest) -> int | None:
        try:
            return self._blob(digest).stat().st_size
        except OSError:
            return None

    def mount(self, blob: Descriptor, origin: Place) -> Upload | None:
        there = Path(origin.root) / "v2" / origin.path / "blobs" / str(blob.digest)
        commit(self._blob(blob.digest), there)
        return None

    def put_blob(self, digest: Digest, content: Content, upload: Upload | None, telling: Telling) -> int:
        del upload
        return write_blob(self._blob(digest), digest, content, telling)

    def put_manifest(self, wanted: Digest | str, manifest: Manifest) -> bool:
        blob = self._blob(manifest.digest)
        commit(blob, manifest.raw)
        commit(self._manifest(manifest.digest), blob)
        if isinstance(wanted, str):
            commit(self._manifest(wanted), Path(str(manifest.digest)), symbolic=True)
        return False

    def list_referrers(self, subject: Digest, referrers: Sequence[Manifest]) -> None:
        with self._lock:
            tag = referrers_tag(subject)
            wanted = list_with(self.manifest(tag) if self.digest(tag) else None, referrers)
            if wanted is not None:
                self.put_manifest(tag, wanted)

    def _blob(self, digest: Digest) -> Path:
        return self._folder / "blobs" / str(digest)

    def _manifest(self, wanted: Digest | str) -> Path:
        if isinstance(wanted, str) and not is_tag(wanted):  # named by the other side, and a file is replaced by it
            raise Unusable(f"{wanted[:140]!r} is not a tag, so nothing is called that in {self._folder}")
        return self._folder / "manifests" / str(wanted)
