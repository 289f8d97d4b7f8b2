"""Uploads on a file system: one file each, which grows, and one writer at a time across threads and Pods.

How bytes come into that file is in :mod:`~image_registry.storage.appending`; how a finished one becomes a blob is the
store's to say, because links and garbage have a word in that.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import BinaryIO, TypeVar

from image_registry.oci.digest import Hasher
from image_registry.oci.reference import Repository
from image_registry.storage import appending, layout
from image_registry.storage.blob_store import OffsetMismatch, Readable, UploadMissing
from image_registry.storage.direct import WORTH, Buffers, Filling
from image_registry.storage.disk_faults import GONE, fault
from image_registry.storage.durable import DurableFolder
from image_registry.storage.hashing import Beside
from image_registry.storage.syncing import write_all

HASHERS = max(2, os.cpu_count() or 2)
"""Threads of a process that hash what others receive."""

T = TypeVar("T")


class FolderUploads:
    """The running uploads below one folder. Raises :class:`~image_registry.storage.blob_store.StorageFault`."""

    def __init__(self, disk: DurableFolder) -> None:
        self._disk = disk
        self.buffers = Buffers()
        """Memory for long bodies."""
        self._hashers = ThreadPoolExecutor(HASHERS, thread_name_prefix="hash")

    def begin(self, repository: Repository, upload_id: str) -> None:
        """Make the session; distribution's cleaning reads the time."""
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
            self.abort(repository, upload_id)
            raise fault("begin an upload in", folder, error) from error

    def size(self, repository: Repository, upload_id: str) -> int:
        """Bytes received so far. Raises :class:`UploadMissing`."""
        return self._with_data(repository, upload_id, lambda path: os.stat(path).st_size)

    def append(
        self, repository: Repository, upload_id: str, offset: int, source: Readable, hasher: Hasher | None
    ) -> int:
        """As :meth:`~image_registry.storage.blob_store.BlobStore.append` says."""
        with self.hold(repository, upload_id) as file, Beside(hasher, self._hashers) as hashing:
            place = layout.upload(repository, upload_id)
            size = file.seek(0, os.SEEK_END)
            if size != offset:
                raise OffsetMismatch(size)
            length = (source.left or 0) if isinstance(source, Filling) else 0
            if isinstance(source, Filling) and length >= WORTH:
                with self.buffers.taken(length) as buffers:
                    if buffers is not None:
                        return appending.receive(source, file.fileno(), size, hashing, buffers, place)
            return appending.copy(source, file.fileno(), size, hashing, place)

    def open(self, repository: Repository, upload_id: str) -> BinaryIO:
        """What was received, to be read. Raises :class:`UploadMissing`."""
        return self._with_data(repository, upload_id, lambda path: open(path, "rb", buffering=0))

    def hold(self, repository: Repository, upload_id: str) -> BinaryIO:
        """The same for its one writer. Raises :class:`UploadMissing`, :class:`UploadBusy`."""
        return self._with_data(repository, upload_id, lambda path: appending.hold(path, upload_id))

    def sync(self, repository: Repository, upload_id: str, file: BinaryIO) -> None:
        """Bring the bytes to the disk. After a failure the kernel may forget what it could not write and then report
        success, so the upload ends here: the client must send the bytes again."""
        try:
            self._disk.write_out([file.fileno()])
        except OSError as error:
            self.abort(repository, upload_id)
            raise fault("store the upload", upload_id, error) from error

    def clear(self, repository: Repository, upload_id: str) -> None:
        """Take away what is left of an upload whose bytes are where they belong; a rest is swept."""
        path = self._disk.path(layout.upload(repository, upload_id))
        with suppress(OSError):
            for name in os.listdir(path):
                os.unlink(f"{path}/{name}")
            os.rmdir(path)

    def abort(self, repository: Repository, upload_id: str) -> None:
        """End the session; nothing happens without one."""
        with suppress(ValueError):
            self._disk.remove_tree(layout.upload(repository, upload_id), first="data")

    def sweep(self, repository: Repository, before: datetime) -> int:
        """Remove sessions that nothing came into since then; returns how many."""
        swept, folder = 0, layout.uploads(repository)
        for upload_id in self._disk.names(folder):
            if self._last_written(f"{folder}/{upload_id}") < before:
                self._disk.remove_tree(f"{folder}/{upload_id}", first="data")
                swept += 1
        return swept

    def _with_data(self, repository: Repository, upload_id: str, action: Callable[[str], T]) -> T:
        try:
            return action(self._disk.path(f"{layout.upload(repository, upload_id)}/data"))
        except (*GONE, ValueError):
            raise UploadMissing(upload_id) from None
        except OSError as error:
            raise fault("use the upload", upload_id, error) from error

    def _last_written(self, folder: str) -> datetime:
        """When something last came into a session; the present for one that is just beginning or going."""
        times = [self._disk.written(f"{folder}/{name}") for name in ("data", "startedat")]
        return max((time for time in times if time), default=self._disk.written(folder) or datetime.now(UTC))
