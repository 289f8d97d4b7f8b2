"""A folder as a tree of files: see :mod:`~image_registry.storage.tree`."""

from __future__ import annotations

import errno
import itertools
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from image_registry.storage import layout
from image_registry.storage.blob_store import StorageFault
from image_registry.storage.disk_faults import GONE, fault, faults
from image_registry.storage.durable import DurableFolder
from image_registry.storage.object_client import Entry, Incoming, ObjectMissing
from image_registry.storage.syncing import begin_writeback, write_all

MARK = "copy-"
"""How the names of files begin that are on their way here."""

_DEEPEST = 40
"""Folders in folders; a link that leads upwards would never end."""

_TOGETHER = 200
"""Small files that become durable at once."""

_WRITEBACK = 32 << 20
"""Bytes after which the disk is asked to begin with them."""


class FolderTree:
    """A :class:`~image_registry.storage.tree.Tree` below one folder."""

    def __init__(self, root: Path) -> None:
        self._disk = DurableFolder(os.fspath(root), staging=layout.STAGING, lasting=layout.lasting)
        self._mark = f"{MARK}{uuid.uuid4().hex}"
        self._number = itertools.count()

    def folders(self, path: str) -> list[str]:
        return self._disk.names(path)

    def entries(self, path: str) -> Iterator[Entry]:
        waiting = [(path, 0)]
        while waiting:
            folder, depth = waiting.pop()
            try:
                with os.scandir(self._disk.path(folder)) as found:
                    for entry in found:
                        below = f"{folder}/{entry.name}"
                        with suppress(*GONE):
                            if entry.is_dir():
                                waiting += [(below, depth + 1)] if depth < _DEEPEST else []
                            elif entry.is_file():
                                status = entry.stat()
                                modified = datetime.fromtimestamp(status.st_mtime, UTC)
                                yield Entry(below, status.st_size, modified)
            except GONE:
                continue
            except OSError as error:
                if error.errno != errno.ELOOP:
                    raise fault("list", folder, error) from error

    def size(self, path: str) -> int | None:
        try:
            return os.stat(self._disk.path(path)).st_size
        except GONE:
            return None
        except OSError as error:
            raise fault("look at", path, error) from error

    def open(self, path: str, size: int) -> Incoming:  # noqa: ARG002 - an object has to be told how long it is
        return _File(self._disk.path(path), path)

    def read(self, path: str) -> bytes | None:
        try:
            with open(self._disk.path(path), "rb") as file:
                return file.read()
        except (*GONE, IsADirectoryError):
            return None
        except OSError as error:
            raise fault("read", path, error) from error

    def write(self, files: Mapping[str, bytes]) -> None:
        left = list(files.items())
        while left:
            self._disk.seal(left[:_TOGETHER])
            del left[:_TOGETHER]

    def receive(self, path: str, size: int, data: Iterable[bytes]) -> None:
        staged = self._disk.path(f"{layout.STAGING}/{self._mark}-{next(self._number)}.tmp")
        with faults("write", path):
            os.makedirs(os.path.dirname(staged), exist_ok=True)
            descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            self._fill(descriptor, path, size, data)
            self._disk.seal([], moved=(staged, path))
        except FileNotFoundError as error:
            raise fault("write", path, error) from error
        finally:
            os.close(descriptor)
            with suppress(OSError):
                os.unlink(staged)

    def _fill(self, descriptor: int, path: str, size: int, data: Iterable[bytes]) -> None:
        written = begun = 0
        for piece in data:
            with faults("write", path):
                write_all(descriptor, piece)
            written += len(piece)
            if written - begun >= _WRITEBACK:
                begin_writeback(descriptor, begun, written - begun)
                begun = written
        if written != size:
            raise StorageFault(f"{path} has {size} bytes, and {written} came")
        with faults("write", path):
            self._disk.write_out([descriptor])

    def remove(self, paths: Iterable[str]) -> None:
        for path in paths:
            self._disk.remove_file(path)
            folder = os.path.dirname(path)
            with suppress(OSError):  # somebody has something in there
                while folder.count("/") > layout.ROOT.count("/") + 1:
                    if os.path.isdir(self._disk.path(folder)):
                        os.rmdir(self._disk.path(folder))
                    folder = os.path.dirname(folder)

    def free(self) -> int | None:
        place = self._disk.path("")
        while not os.path.isdir(place):
            place = os.path.dirname(place.rstrip("/")) or "/"
        try:
            found = os.statvfs(place)
        except OSError:
            return None
        return found.f_bavail * found.f_frsize

    def clear(self, before: datetime) -> None:
        folder = self._disk.path(layout.STAGING)
        with faults("clear", layout.STAGING), suppress(*GONE), os.scandir(folder) as entries:
            for entry in entries:
                with suppress(*GONE):
                    if entry.name.startswith(MARK) and entry.stat().st_mtime < before.timestamp():
                        os.unlink(entry.path)


class _File:
    """A file whose failures are in our words."""

    def __init__(self, path: str, place: str) -> None:
        self._place = place
        try:
            self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed by close()
        except GONE:
            raise ObjectMissing(place) from None
        except OSError as error:
            raise fault("open", place, error) from error

    def read(self, size: int, /) -> bytes:
        with faults("read", self._place):
            return self._file.read(size)

    def close(self) -> None:
        self._file.close()
