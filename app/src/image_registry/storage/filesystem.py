"""Blobs on a file system: a PVC, an NFS share, a folder on a laptop.

Crash safety in one sentence: content is written beside its place, synced, renamed into place, and the folder synced;
a reader sees nothing or everything (registries reference 4.2).
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, TypeVar

from image_registry.oci.digest import Digest, Hasher, InvalidDigest
from image_registry.oci.reference import InvalidName, InvalidTag, Repository, parse_tag
from image_registry.storage import layout
from image_registry.storage.blob_store import (
    BlobMissing,
    Held,
    OffsetMismatch,
    OutOfSpace,
    Readable,
    StorageFault,
    UploadBusy,
    UploadMissing,
)

CHUNK = 1 << 20
"""Bytes read from a request at a time: what one ``recv`` of the server hands over at most."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_GONE = (FileNotFoundError, NotADirectoryError)

T = TypeVar("T")


class FilesystemStore:
    """A :class:`~image_registry.storage.blob_store.BlobStore` below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._base = os.fspath(root)

    # blobs

    def stat(self, digest: Digest) -> int | None:
        try:
            return os.stat(self._path(layout.blob_data(digest))).st_size
        except _GONE:
            return None
        except OSError as error:
            raise _fault("look at", layout.blob_data(digest), error) from error

    def open(self, digest: Digest) -> BinaryIO:
        try:
            return open(self._path(layout.blob_data(digest)), "rb", buffering=0)
        except _GONE:
            raise BlobMissing(str(digest)) from None
        except OSError as error:
            raise _fault("open", layout.blob_data(digest), error) from error

    def read(self, digest: Digest) -> bytes:
        with self.open(digest) as file:
            return file.read()

    def put(self, data: bytes, digest: Digest) -> None:
        if self.stat(digest) != len(data):
            self._write(layout.blob_data(digest), data)

    # links

    def link_blob(self, repository: Repository, digest: Digest) -> None:
        self._link(layout.layer(repository, digest), digest)

    def blob_linked(self, repository: Repository, digest: Digest) -> bool:
        return self._linked(layout.layer(repository, digest), digest)

    def unlink_blob(self, repository: Repository, digest: Digest) -> bool:
        return self._remove(layout.layer(repository, digest))

    def link_manifest(self, repository: Repository, digest: Digest) -> None:
        self._link(layout.revision(repository, digest), digest)

    def manifest_linked(self, repository: Repository, digest: Digest) -> bool:
        return self._linked(layout.revision(repository, digest), digest)

    def unlink_manifest(self, repository: Repository, digest: Digest) -> bool:
        return self._remove(layout.revision(repository, digest))

    def write_tag(self, repository: Repository, tag: str, digest: Digest) -> None:
        self._write(layout.tag_index(repository, tag, digest), str(digest).encode())
        self._write(layout.tag_current(repository, tag), str(digest).encode())

    def read_tag(self, repository: Repository, tag: str) -> Digest | None:
        return self._read_link(layout.tag_current(repository, tag))

    def remove_tag(self, repository: Repository, tag: str) -> bool:
        return self._remove(f"{layout.tags(repository)}/{tag}")

    def tags(self, repository: Repository) -> list[str]:
        return sorted(name for name in self._names(layout.tags(repository)) if _is_tag(name))

    def held(self, repository: Repository) -> Held:
        base = layout.repository(repository)
        return Held(
            tags=frozenset(self.tags(repository)),
            manifests=frozenset(self._digests(f"{base}/_manifests/revisions")),
            blobs={
                digest: self._modified(layout.layer(repository, digest)) for digest in self._digests(f"{base}/_layers")
            },
        )

    def repositories(self) -> Iterator[Repository]:
        top = f"{layout.ROOT}/repositories"
        for namespace in self._names(top):
            for name in self._names(f"{top}/{namespace}"):
                with suppress(InvalidName):
                    yield Repository.of(namespace, name)

    # uploads

    def begin_upload(self, repository: Repository, upload_id: str) -> None:
        folder = layout.upload(repository, upload_id)
        with _faults("begin an upload in", folder):
            path = self._path(folder)
            os.makedirs(path, exist_ok=True)
            with open(f"{path}/startedat", "w", encoding="ascii") as file:
                file.write(datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
            with open(f"{path}/data", "ab"):
                pass

    def upload_size(self, repository: Repository, upload_id: str) -> int:
        return self._in_upload(repository, upload_id, lambda path: os.stat(path).st_size)

    def append(
        self, repository: Repository, upload_id: str, offset: int, source: Readable, hasher: Hasher | None
    ) -> int:
        file = self._in_upload(repository, upload_id, _open_to_extend)
        with file:
            _hold(file.fileno(), upload_id)
            size = file.seek(0, os.SEEK_END)
            if size != offset:
                raise OffsetMismatch(size)
            place = layout.upload(repository, upload_id)
            while chunk := source.read(CHUNK):
                with _faults("write to", place):
                    _write_all(file, chunk)
                if hasher is not None:
                    hasher.update(chunk)
                size += len(chunk)
        return size

    def open_upload(self, repository: Repository, upload_id: str) -> BinaryIO:
        return self._in_upload(repository, upload_id, _open_to_read)

    def commit_upload(self, repository: Repository, upload_id: str, digest: Digest) -> int:
        target = layout.blob_data(digest)

        def sync(path: str) -> int:
            with open(path, "rb") as file:
                os.fsync(file.fileno())
                return os.fstat(file.fileno()).st_size

        size = self._in_upload(repository, upload_id, sync)
        if self.stat(digest) != size:  # the same blob may have arrived by another door meanwhile
            with _faults("store", target):
                self._make_folder(os.path.dirname(target))
                os.replace(self._path(f"{layout.upload(repository, upload_id)}/data"), self._path(target))
                _sync_folder(os.path.dirname(self._path(target)))
        self.link_blob(repository, digest)
        self.abort_upload(repository, upload_id)
        return size

    def abort_upload(self, repository: Repository, upload_id: str) -> None:
        with suppress(ValueError):
            self._remove(layout.upload(repository, upload_id))

    def probe(self) -> None:
        self._write(f"{layout.ROOT}/.probe-{os.getpid()}-{uuid.uuid4().hex}", b"probe", keep=False)

    def _digests(self, relative: str) -> list[Digest]:
        found = []
        for algorithm in self._names(relative):
            for value in self._names(f"{relative}/{algorithm}"):
                with suppress(InvalidDigest):
                    found.append(Digest.parse(f"{algorithm}:{value}"))
        return found

    def _modified(self, folder: str) -> datetime:
        try:
            return datetime.fromtimestamp(os.stat(self._path(f"{folder}/link")).st_mtime, UTC)
        except OSError:
            return datetime.fromtimestamp(0, UTC)

    # the disk

    def _path(self, relative: str) -> str:
        return f"{self._base}/{relative}"

    def _in_upload(self, repository: Repository, upload_id: str, action: Callable[[str], T]) -> T:
        try:
            path = self._path(f"{layout.upload(repository, upload_id)}/data")
            return action(path)
        except (*_GONE, ValueError):
            raise UploadMissing(upload_id) from None
        except OSError as error:
            raise _fault("use the upload", upload_id, error) from error

    def _link(self, folder: str, digest: Digest) -> None:
        if not self._linked(folder, digest):
            self._write(f"{folder}/link", str(digest).encode())

    def _linked(self, folder: str, digest: Digest) -> bool:
        return self._read_link(f"{folder}/link") == digest

    def _read_link(self, relative: str) -> Digest | None:
        try:
            with open(self._path(relative), "rb", buffering=0) as file:
                return Digest.parse(file.read(256).decode("ascii").strip())
        except (*_GONE, InvalidDigest, UnicodeDecodeError):
            return None
        except OSError as error:
            raise _fault("read", relative, error) from error

    def _write(self, relative: str, data: bytes, *, keep: bool = True) -> None:
        """Durable and atomic: written beside its place, synced, renamed, the folder synced."""
        target = self._path(relative)
        temporary = f"{target}.{uuid.uuid4().hex}.tmp"
        with _faults("write", relative):
            self._make_folder(os.path.dirname(relative))
            try:
                with open(temporary, "wb", buffering=0) as file:
                    _write_all(file, data)
                    os.fsync(file.fileno())
                if keep:
                    os.replace(temporary, target)
                    _sync_folder(os.path.dirname(target))
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(temporary)

    def _make_folder(self, relative: str) -> None:
        """Create missing folders and make their names durable, the parents first."""
        path = self._path(relative)
        try:
            os.mkdir(path)
        except FileExistsError:
            return
        except FileNotFoundError:
            parent = os.path.dirname(relative)
            if not parent:
                os.makedirs(path, exist_ok=True)
                return
            self._make_folder(parent)
            with suppress(FileExistsError):
                os.mkdir(path)
        _sync_folder(os.path.dirname(path))

    def _remove(self, relative: str) -> bool:
        path = self._path(relative)
        with _faults("remove", relative):
            if not os.path.isdir(path):
                return False
            # a link that is half removed must not be half readable: first out of its place, then away
            grave = f"{path}.{uuid.uuid4().hex}.removed"
            try:
                os.rename(path, grave)
            except FileNotFoundError:
                return False
            _sync_folder(os.path.dirname(path))
            shutil.rmtree(grave, ignore_errors=True)
        return True

    def _names(self, relative: str) -> list[str]:
        try:
            with os.scandir(self._path(relative)) as entries:
                return [entry.name for entry in entries if entry.is_dir()]
        except _GONE:
            return []
        except OSError as error:
            raise _fault("list", relative, error) from error


def _open_to_read(path: str) -> BinaryIO:
    return open(path, "rb", buffering=0)


def _open_to_extend(path: str) -> BinaryIO:
    return open(path, "r+b", buffering=0)


def _is_tag(name: str) -> bool:
    if name.endswith(".removed"):
        return False
    try:
        parse_tag(name)
    except InvalidTag:
        return False
    return True


def _hold(descriptor: int, upload_id: str) -> None:
    """One writer per upload, across threads and Pods; a second one is told that the session is busy."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UploadBusy(upload_id) from None


def _write_all(file: object, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]  # type: ignore[attr-defined]


def _sync_folder(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _faults(action: str, place: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _fault(action, place, error) from error


def _fault(action: str, place: str, error: OSError) -> StorageFault:
    kind = OutOfSpace if error.errno in _FULL else StorageFault
    return kind(f"cannot {action} {place}: {error.strerror or error}")
