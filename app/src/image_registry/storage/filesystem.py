"""Blobs on a file system: a PVC, an NFS share, a folder on a laptop.

How a change is made durable and atomic is in :mod:`~image_registry.storage.durable`; here is what lies where, and who
may write to an upload.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, TypeVar

from image_registry.oci.digest import Digest, Hasher, InvalidDigest
from image_registry.oci.reference import InvalidName, InvalidTag, Repository, parse_tag
from image_registry.storage import appending, layout
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
from image_registry.storage.direct import WORTH, Buffers, Filling
from image_registry.storage.durable import GONE, DurableFolder, fault, faults, write_all
from image_registry.storage.hashing import Beside
from image_registry.storage.journal import is_local
from image_registry.storage.link_folders import LinkFolders
from image_registry.storage.trash import Trash

HASHERS = max(2, os.cpu_count() or 2)
"""Threads of a process that hash what others receive."""

T = TypeVar("T")


class FilesystemStore:
    """A :class:`~image_registry.storage.blob_store.BlobStore` below one folder."""

    def __init__(self, root: Path, *, renew_after: float = RENEWED) -> None:
        self.root = root
        self._renew_after = renew_after
        self._trash = Trash(os.fspath(root))
        self._local: bool | None = None
        self._disk = DurableFolder(os.fspath(root), staging=layout.STAGING, lasting=layout.lasting)
        self._buffers = Buffers()
        self._hashers = ThreadPoolExecutor(HASHERS, thread_name_prefix="hash")

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
        self._link(layout.layer(repository, digest), digest)
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
        return self._written(f"{layout.layer(repository, digest)}/link")

    def blob_linked(self, repository: Repository, digest: Digest) -> bool:
        return self._linked(layout.layer(repository, digest), digest)

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
        return self._unlink(layout.layer(repository, digest), digest)

    def link_manifest(self, repository: Repository, digest: Digest) -> None:
        self._link(layout.revision(repository, digest), digest)

    def manifest_linked(self, repository: Repository, digest: Digest) -> bool:
        return self._linked(layout.revision(repository, digest), digest)

    def unlink_manifest(self, repository: Repository, digest: Digest) -> bool:
        return self._unlink(layout.revision(repository, digest), digest)

    def link_all(self, repository: Repository, manifests: Iterable[Digest], blobs: Iterable[Digest]) -> None:
        places = [(layout.layer(repository, digest), digest) for digest in blobs]
        places += [(layout.revision(repository, digest), digest) for digest in manifests]
        missing = [(place, digest) for place, digest in places if not self._linked(place, digest)]
        if missing:
            self._disk.seal([(f"{place}/link", str(digest).encode()) for place, digest in missing])

    def write_tag(self, repository: Repository, tag: str, digest: Digest) -> None:
        self.write_tags(repository, {tag: digest})

    def write_tags(self, repository: Repository, tags: Mapping[str, Digest]) -> None:
        files = []
        for tag, digest in tags.items():
            link = str(digest).encode()
            past = layout.tag_index(repository, tag, digest)
            if self._read_link(past) != digest:
                files.append((past, link))
            files.append((layout.tag_current(repository, tag), link))
        if files:
            self._disk.seal(files)

    def read_tag(self, repository: Repository, tag: str) -> Digest | None:
        return self._read_link(layout.tag_current(repository, tag))

    def remove_tag(self, repository: Repository, tag: str) -> bool:
        was_there = self.read_tag(repository, tag) is not None
        self._disk.remove_tree(layout.tag_folder(repository, tag), first="current/link")
        return was_there

    def tags(self, repository: Repository) -> list[str]:
        return sorted(tag for tag in self._tag_folders(repository) if self.read_tag(repository, tag) is not None)

    def held(self, repository: Repository) -> Held:
        base = layout.repository(repository)
        return Held(
            tags=frozenset(self._tag_folders(repository)),
            manifests=frozenset(self._digests(f"{base}/_manifests/revisions")),
            blobs={
                digest: self._modified(layout.layer(repository, digest)) for digest in self._digests(f"{base}/_layers")
            },
        )

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
        folder = layout.upload(repository, upload_id)
        path = self._disk.path(folder)
        try:
            os.makedirs(path, exist_ok=True)
            for name, text in (("startedat", datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()), ("data", b"")):
                descriptor = os.open(f"{path}/{name}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
                try:
                    write_all(descriptor, text)
                finally:
                    os.close(descriptor)
        except OSError as error:
            self.abort_upload(repository, upload_id)
            raise fault("begin an upload in", folder, error) from error

    def upload_size(self, repository: Repository, upload_id: str) -> int:
        return self._in_upload(repository, upload_id, lambda path: os.stat(path).st_size)

    def append(
        self, repository: Repository, upload_id: str, offset: int, source: Readable, hasher: Hasher | None
    ) -> int:
        held = self._in_upload(repository, upload_id, lambda path: appending.hold(path, upload_id))
        with held as file, Beside(hasher, self._hashers) as hashing:
            place = layout.upload(repository, upload_id)
            size = file.seek(0, os.SEEK_END)
            if size != offset:
                raise OffsetMismatch(size)
            length = (source.left or 0) if isinstance(source, Filling) else 0
            if isinstance(source, Filling) and length >= WORTH:
                with self._buffers.taken(length) as buffers:
                    if buffers is not None:
                        return appending.receive(source, file.fileno(), size, hashing, buffers, place)
            return appending.copy(source, file.fileno(), size, hashing, place)

    def open_upload(self, repository: Repository, upload_id: str) -> BinaryIO:
        return self._in_upload(repository, upload_id, lambda path: open(path, "rb", buffering=0))

    def commit_upload(self, repository: Repository, upload_id: str, digest: Digest, size: int) -> None:
        data, folder = layout.blob_data(digest), layout.layer(repository, digest)
        with self._in_upload(repository, upload_id, lambda path: appending.hold(path, upload_id)) as file:
            # who holds the file now keeps everybody else from adding to a blob that is visible already
            if (actual := os.fstat(file.fileno()).st_size) != size:
                raise OffsetMismatch(actual)
            if there := self._size(digest) == size:  # already, or it arrived by another door a moment ago
                self._disk.settle(data)
                self.link_blob(repository, digest)
            if not there or self.stat(digest) != size:  # or it was garbage until it was linked
                self._sync(repository, upload_id, file)
                try:
                    self._disk.seal([(f"{folder}/link", str(digest).encode())], moved=(file.name, data))
                except FileNotFoundError:  # cancelled meanwhile
                    raise UploadMissing(upload_id) from None
        self._clear(repository, upload_id)

    def abort_upload(self, repository: Repository, upload_id: str) -> None:
        with suppress(ValueError):
            self._disk.remove_tree(layout.upload(repository, upload_id), first="data")

    def sweep(self, before: datetime) -> int:
        swept = self._disk.sweep_staging(before.timestamp())
        for repository in self.repositories():
            folder = layout.uploads(repository)
            for upload_id in self._disk.names(folder):
                if self._last_written(f"{folder}/{upload_id}") < before:
                    self._disk.remove_tree(f"{folder}/{upload_id}", first="data")
                    swept += 1
        return swept

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
            self._link(folder, digest)
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

    def _clear(self, repository: Repository, upload_id: str) -> None:
        """Take away what is left of an upload whose bytes are where they belong; a rest is swept."""
        path = self._disk.path(layout.upload(repository, upload_id))
        with suppress(OSError):
            for name in os.listdir(path):
                os.unlink(f"{path}/{name}")
            os.rmdir(path)

    def _sync(self, repository: Repository, upload_id: str, file: BinaryIO) -> None:
        """Bring the bytes to the disk. After a failure the kernel may forget what it could not write and then report
        success, so the upload ends here: the client must send the bytes again."""
        try:
            self._disk.write_out([file.fileno()])
        except OSError as error:
            self.abort_upload(repository, upload_id)
            raise fault("store the upload", upload_id, error) from error

    def _in_upload(self, repository: Repository, upload_id: str, action: Callable[[str], T]) -> T:
        try:
            return action(self._disk.path(f"{layout.upload(repository, upload_id)}/data"))
        except (*GONE, ValueError):
            raise UploadMissing(upload_id) from None
        except OSError as error:
            raise fault("use the upload", upload_id, error) from error

    def _link(self, folder: str, digest: Digest) -> None:
        if self._linked(folder, digest):
            self._disk.settle(f"{folder}/link")
        else:
            self._disk.write(f"{folder}/link", str(digest).encode())

    def _linked(self, folder: str, digest: Digest) -> bool:
        return self._read_link(f"{folder}/link") == digest

    def _unlink(self, folder: str, digest: Digest) -> bool:
        was_there = self._linked(folder, digest)
        self._disk.remove_file(f"{folder}/link")
        return was_there

    def _read_link(self, relative: str) -> Digest | None:
        try:  # a push reads a dozen links, and a file object asks the system twice as much about each
            descriptor = os.open(self._disk.path(relative), os.O_RDONLY | os.O_CLOEXEC)
            try:
                return layout.read_link(os.read(descriptor, 256))
            finally:
                os.close(descriptor)
        except (*GONE, IsADirectoryError):
            return None
        except OSError as error:
            raise fault("read", relative, error) from error

    def _tag_folders(self, repository: Repository) -> list[str]:
        """Also those whose link is damaged or was half removed: cleaning has to see them."""
        return [name for name in self._disk.names(layout.tags(repository)) if _is_tag(name)]

    def _digests(self, relative: str) -> list[Digest]:
        found = []
        for algorithm in self._disk.names(relative):
            for value in self._disk.names(f"{relative}/{algorithm}"):
                with suppress(InvalidDigest):
                    found.append(Digest.parse(f"{algorithm}:{value}"))
        return found

    def _modified(self, folder: str) -> datetime:
        return self._written(f"{folder}/link") or datetime.fromtimestamp(0, UTC)

    def _last_written(self, folder: str) -> datetime:
        """When something last came into a session; the present for one that is just beginning or going."""
        times = [self._written(f"{folder}/{name}") for name in ("data", "startedat")]
        return max((time for time in times if time), default=self._written(folder) or datetime.now(UTC))

    def _written(self, relative: str) -> datetime | None:
        try:
            return datetime.fromtimestamp(os.stat(self._disk.path(relative)).st_mtime, UTC)
        except OSError:
            return None


def _is_tag(name: str) -> bool:
    try:
        parse_tag(name)
    except InvalidTag:
        return False
    return True
