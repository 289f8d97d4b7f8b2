"""Blobs on a file system: a PVC, an NFS share, a folder on a laptop.

How a change is made durable and atomic is in :mod:`~image_registry.storage.durable`, what one link or one upload is in
:mod:`~image_registry.storage.folder_links` and :mod:`~image_registry.storage.folder_uploads`; here is what lies where,
and what must be linked before what.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from image_registry.oci.digest import Digest, Hasher
from image_registry.oci.reference import InvalidName, Repository
from image_registry.storage import layout
from image_registry.storage.blob_store import (
    RENEWED,
    BlobMissing,
    Held,
    Linked,
    Links,
    OffsetMismatch,
    Readable,
    Stored,
    UploadMissing,
)
from image_registry.storage.disk_faults import GONE, fault, faults
from image_registry.storage.durable import DurableFolder
from image_registry.storage.folder_links import FolderLinks
from image_registry.storage.folder_uploads import FolderUploads
from image_registry.storage.journal import is_local
from image_registry.storage.link_folders import LinkFolders
from image_registry.storage.trash import Trash


class FilesystemStore:
    """A :class:`~image_registry.storage.blob_store.BlobStore` below one folder."""

    def __init__(self, root: Path, *, renew_after: float = RENEWED) -> None:
        self.root = root
        self._renew_after = renew_after
        self._trash = Trash(os.fspath(root))
        self._local: bool | None = None
        self._disk = DurableFolder(os.fspath(root), staging=layout.STAGING, lasting=layout.lasting)
        self._links = FolderLinks(self._disk)
        self._uploads = FolderUploads(self._disk)

    # blobs

    def stat(self, digest: Digest) -> int | None:
        if (size := self._size(digest)) is None:
            self._trash.take_back(digest)
            size = self._size(digest)
        return size

    def open(self, digest: Digest) -> BinaryIO:
        path = self._disk.path(layout.blob_data(digest))
        for taken_back in (False, True):
            try:
                return open(path, "rb", buffering=0)
            except GONE:
                if not taken_back:
                    self._trash.take_back(digest)
            except OSError as error:
                raise fault("open", layout.blob_data(digest), error) from error
        raise BlobMissing(str(digest))

    def read(self, digest: Digest) -> bytes:
        with self.open(digest) as file, faults("read", layout.blob_data(digest)):
            return file.read()

    def location(self, digest: Digest) -> str | None:  # noqa: ARG002 - nobody but us can read a folder
        return None

    def put(self, data: bytes, digest: Digest) -> None:
        self._put(data, digest, None)

    def put_blob(self, repository: Repository, data: bytes, digest: Digest) -> None:
        if not self._put(data, digest, layout.layer(repository, digest)):
            self.renew_blob(repository, digest)

    def put_manifest(self, repository: Repository, data: bytes, digest: Digest) -> None:
        self._put(data, digest, layout.revision(repository, digest))

    # links

    def link_blob(self, repository: Repository, digest: Digest) -> None:
        self._links.link(layout.layer(repository, digest), digest)
        self.renew_blob(repository, digest)

    def present(self, digest: Digest) -> bool:
        return self.stat(digest) is not None

    def renew_blob(self, repository: Repository, digest: Digest) -> None:
        link = f"{layout.layer(repository, digest)}/link"
        path = self._disk.path(link)
        with faults("renew", link), suppress(*GONE):
            if time.time() - os.stat(path).st_mtime > self._renew_after:
                os.utime(path)

    def blob_linked_at(self, repository: Repository, digest: Digest) -> datetime | None:
        return self._disk.written(f"{layout.layer(repository, digest)}/link")

    def blob_linked(self, repository: Repository, digest: Digest) -> bool:
        return self._links.linked(layout.layer(repository, digest), digest)

    def witnesses(self, repository: Repository, digest: Digest) -> tuple[str, str] | None:
        """The files that say that the repository has this blob, its bytes last: as long as both are the same files, it
        has it. ``None`` where a look at a file may take long, on another machine."""
        if not self._looks_are_quick():
            return None
        link = f"{layout.layer(repository, digest)}/link"
        return self._disk.path(link), self._disk.path(layout.blob_data(digest))

    def tag_witness(self, repository: Repository, tag: str) -> str | None:
        """The file that says what a tag means, likewise."""
        return self._disk.path(layout.tag_current(repository, tag)) if self._looks_are_quick() else None

    def _looks_are_quick(self) -> bool:
        if self._local is None:
            found = self._disk.path(layout.ROOT)
            self._local = is_local(found if os.path.isdir(found) else os.fspath(self.root))
        return self._local

    def surely_lacks(self, repository: Repository, digest: Digest) -> bool:
        """Whether it is certain at once, by one look at this machine, that the repository has not got this blob."""
        found = self.witnesses(repository, digest)
        if found is None:
            return False
        try:
            os.stat(found[0])
        except GONE:
            return True
        except OSError:
            return False
        return False

    def unlink_blob(self, repository: Repository, digest: Digest) -> bool:
        return self._links.unlink(layout.layer(repository, digest), digest)

    def link_manifest(self, repository: Repository, digest: Digest) -> None:
        self._links.link(layout.revision(repository, digest), digest)

    def manifest_linked(self, repository: Repository, digest: Digest) -> bool:
        return self._links.linked(layout.revision(repository, digest), digest)

    def unlink_manifest(self, repository: Repository, digest: Digest) -> bool:
        return self._links.unlink(layout.revision(repository, digest), digest)

    def link_all(self, repository: Repository, manifests: Iterable[Digest], blobs: Iterable[Digest]) -> None:
        places = [(layout.layer(repository, digest), digest) for digest in blobs]
        self._links.link_all(places + [(layout.revision(repository, digest), digest) for digest in manifests])

    def write_tag(self, repository: Repository, tag: str, digest: Digest) -> None:
        self._links.write_tags(repository, {tag: digest})

    def write_tags(self, repository: Repository, tags: Mapping[str, Digest]) -> None:
        self._links.write_tags(repository, tags)

    def read_tag(self, repository: Repository, tag: str) -> Digest | None:
        return self._links.read_tag(repository, tag)

    def remove_tag(self, repository: Repository, tag: str) -> bool:
        return self._links.remove_tag(repository, tag)

    def tags(self, repository: Repository) -> list[str]:
        return self._links.tags(repository)

    def held(self, repository: Repository) -> Held:
        return self._links.held(repository)

    def links(self, repository: Repository) -> Links:
        return LinkFolders(self.root).links(repository)

    def all_linked(self) -> Iterator[Linked]:
        return LinkFolders(self.root).everything()

    def strays(self) -> Iterator[str]:
        return LinkFolders(self.root).strays()

    # garbage

    def blobs(self, wanted: Callable[[str, str], bool]) -> Iterator[Stored]:
        return self._trash.blobs(wanted)

    def throw_away(self, digest: Digest, before: datetime) -> bool:
        return self._trash.throw_away(digest, before)

    def in_place(self, digest: Digest) -> bool:
        return self._size(digest) is not None

    def take_back(self, digest: Digest) -> bool:
        return self._trash.take_back(digest)

    def trash(self) -> Iterator[Stored]:
        return self._trash.entries()

    def remove_for_good(self, digest: Digest) -> bool:
        return self._trash.remove(digest)

    def quarantine(self, blob: Stored) -> bool:
        return self._trash.quarantine(blob)

    def quarantined(self) -> Iterator[Stored]:
        return self._trash.quarantined()

    def repositories(self, namespace: str | None = None) -> Iterator[Repository]:
        for found in self._disk.names(layout.NAMESPACES) if namespace is None else [namespace]:
            for name in self._disk.names(f"{layout.NAMESPACES}/{found}"):
                with suppress(InvalidName):
                    yield Repository.of(found, name)

    # records

    def write_records(self, records: Mapping[str, bytes]) -> None:
        if records:
            self._disk.seal([(layout.record(name), data) for name, data in records.items()])

    def read_record(self, name: str) -> bytes | None:
        try:
            with open(self._disk.path(layout.record(name)), "rb") as file:
                return file.read()
        except GONE:
            return None
        except OSError as error:
            raise fault("read", layout.record(name), error) from error

    def remove_records(self, names: Iterable[str]) -> None:
        for name in names:
            self._disk.remove_file(layout.record(name))

    def record_names(self, folder: str) -> Iterator[str]:
        base = self._disk.path(layout.RECORDS)
        for at, _, names in os.walk(f"{base}/{folder}"):
            for name in names:
                yield f"{at}/{name}".removeprefix(f"{base}/")

    # uploads

    def begin_upload(self, repository: Repository, upload_id: str) -> None:
        self._uploads.begin(repository, upload_id)

    def upload_size(self, repository: Repository, upload_id: str) -> int:
        return self._uploads.size(repository, upload_id)

    def append(
        self, repository: Repository, upload_id: str, offset: int, source: Readable, hasher: Hasher | None
    ) -> int:
        return self._uploads.append(repository, upload_id, offset, source, hasher)

    def open_upload(self, repository: Repository, upload_id: str) -> BinaryIO:
        return self._uploads.open(repository, upload_id)

    def commit_upload(self, repository: Repository, upload_id: str, digest: Digest, size: int) -> None:
        data, folder = layout.blob_data(digest), layout.layer(repository, digest)
        with self._uploads.hold(repository, upload_id) as file:
            # who holds the file now keeps everybody else from adding to a blob that is visible already
            if (actual := os.fstat(file.fileno()).st_size) != size:
                raise OffsetMismatch(actual)
            if there := self._size(digest) == size:  # already, or it arrived by another door a moment ago
                self._disk.settle(data)
                self.link_blob(repository, digest)
            if not there or self.stat(digest) != size:  # or it was garbage until it was linked
                self._uploads.sync(repository, upload_id, file)
                try:
                    self._disk.seal([(f"{folder}/link", str(digest).encode())], moved=(file.name, data))
                except FileNotFoundError:  # cancelled meanwhile
                    raise UploadMissing(upload_id) from None
        self._uploads.clear(repository, upload_id)

    def abort_upload(self, repository: Repository, upload_id: str) -> None:
        self._uploads.abort(repository, upload_id)

    def sweep(self, before: datetime) -> int:
        swept = self._disk.sweep_staging(before.timestamp())
        return swept + sum(self._uploads.sweep(repository, before) for repository in self.repositories())

    def probe(self) -> None:
        self._disk.try_out(b"probe")

    # what the methods above share

    def _put(self, data: bytes, digest: Digest, folder: str | None) -> bool:
        """Bytes and their link on one way to the disk, without what is there already; true if nothing was."""
        place, links = layout.blob_data(digest), [] if folder is None else [(f"{folder}/link", str(digest).encode())]
        if self._size(digest) != len(data):  # hardly anybody has linked what was not there
            self._disk.seal([(place, data), *links])
            return True
        self._disk.settle(place)
        if folder is not None:
            self._links.link(folder, digest)
        if self.stat(digest) != len(data):  # it was garbage until it was linked
            self._disk.write(place, data)
        return False

    def _size(self, digest: Digest) -> int | None:
        """As :meth:`stat`, without a look into the trash."""
        try:
            return os.stat(self._disk.path(layout.blob_data(digest))).st_size
        except GONE:
            return None
        except OSError as error:
            raise fault("look at", layout.blob_data(digest), error) from error
