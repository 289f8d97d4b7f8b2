"""Changes of a folder that survive a power cut, and failures of the disk in words.

Content is written beside its place, synced, renamed into place, and the folder synced: a reader sees nothing or
everything (registries reference 4.2). What goes, goes by one system call first, and its rests afterwards.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from image_registry.storage.blob_store import OutOfSpace, StorageFault

GONE = (FileNotFoundError, NotADirectoryError)

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

_NO_FOLDER_SYNC = {errno.EBADF, errno.EINVAL}
"""What file systems answer that cannot sync a folder; their servers order names themselves."""

FORSAKEN = 60.0
"""Seconds after which nobody comes any more to put a file into an empty folder."""

_ATTEMPTS = 30
"""Times a write begins again because its folder was removed in between; each time somebody else made progress."""


class DurableFolder:
    """Every path is relative to ``base``.

    Raises :class:`StorageFault` and :class:`OutOfSpace` unless told otherwise.
    """

    def __init__(self, base: str) -> None:
        self._base = base

    def path(self, relative: str) -> str:
        """Where it lies on the disk."""
        return f"{self._base}/{relative}"

    def write(self, relative: str, data: bytes) -> None:
        """Put ``data`` there, whole or not at all; durable on return."""
        self._written(relative, data, keep=True)

    def try_out(self, relative: str, data: bytes) -> None:
        """Write and sync as :meth:`write` does, and leave nothing."""
        self._written(relative, data, keep=False)

    def adopt(self, source: str, relative: str) -> None:
        """Move a file, whose content is durable already, to its place; durable on return.

        Raises ``FileNotFoundError`` if the source is gone.
        """
        target = self.path(relative)
        try:
            changed = self._make_folder(os.path.dirname(relative))
            os.replace(source, target)
            for folder in (*changed, os.path.dirname(target)):
                sync_folder(folder)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not os.path.exists(target):
                raise
            raise fault("store", relative, error) from error

    def settle(self, relative: str) -> None:
        """Make durable what somebody else may have moved there a moment ago."""
        with faults("store", relative):
            sync_folder(os.path.dirname(self.path(relative)))

    def remove_file(self, relative: str) -> None:
        """Remove a file and its folder, unless the folder holds or is being given something else."""
        path = self.path(relative)
        folder = os.path.dirname(path)
        with faults("remove", relative):
            try:
                os.unlink(path)
            except GONE:
                if not _forsaken(folder):
                    return
            else:
                with suppress(*GONE):
                    sync_folder(folder)
            with suppress(OSError):
                os.rmdir(folder)

    def remove_tree(self, relative: str, *, first: str) -> None:
        """Remove a folder; ``first`` is the file in it whose absence means that the whole is gone."""
        path = self.path(relative)
        with faults("remove", relative):
            try:
                os.unlink(f"{path}/{first}")
                sync_folder(os.path.dirname(f"{path}/{first}"))
            except GONE:
                pass
            shutil.rmtree(path, ignore_errors=True)

    def names(self, relative: str) -> list[str]:
        """Folders in a folder, in no particular order; none if it is missing."""
        try:
            with os.scandir(self.path(relative)) as entries:
                return [entry.name for entry in entries if entry.is_dir()]
        except GONE:
            return []
        except OSError as error:
            raise fault("list", relative, error) from error

    def _make_folder(self, relative: str) -> list[str]:
        """Create missing folders; returns the folders that got a new name, which is not durable yet."""
        path = self.path(relative)
        try:
            os.mkdir(path)
        except FileExistsError:
            return []
        except FileNotFoundError:
            parent = os.path.dirname(relative)
            if not parent:
                os.makedirs(path, exist_ok=True)
                return []
            changed = self._make_folder(parent)
            with suppress(FileExistsError):
                os.mkdir(path)
            return [*changed, os.path.dirname(path)]
        return [os.path.dirname(path)]

    def _written(self, relative: str, data: bytes, *, keep: bool) -> None:
        """Write beside the place; begin again if :meth:`remove_file` takes the folder away in between.

        Folders are synced after there is something in them: from then on nobody takes them away.
        """
        target = self.path(relative)
        with faults("write", relative):
            for attempt in range(_ATTEMPTS):
                try:
                    changed = self._make_folder(os.path.dirname(relative))
                    with _beside(target, data) as temporary:
                        for folder in changed:
                            sync_folder(folder)
                        if keep:
                            os.replace(temporary, target)
                            sync_folder(os.path.dirname(target))
                except FileNotFoundError:
                    if attempt == _ATTEMPTS - 1:
                        raise
                else:
                    return


@contextmanager
def _beside(target: str, data: bytes) -> Iterator[str]:
    """The path of a synced temporary file with ``data`` in the folder of ``target``; gone afterwards."""
    temporary = f"{target}.{uuid.uuid4().hex}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        yield temporary
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)


def _forsaken(folder: str) -> bool:
    """Whether a folder without its file was left by a crash, and is not just being made for a write."""
    try:
        return time.time() - os.stat(folder).st_mtime > FORSAKEN
    except OSError:
        return False


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte. Raises ``OSError``."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def begin_writeback(descriptor: int, offset: int, length: int) -> None:
    """Let the disk begin with these bytes while the next ones arrive: the sync at the end has little to wait for.

    That is what Linux does on this advice with bytes it has not written yet; elsewhere it may mean nothing.
    """
    with suppress(OSError, AttributeError):
        os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_DONTNEED)


def sync_folder(path: str) -> None:
    """Make the names in a folder durable. Raises ``OSError``."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


@contextmanager
def faults(action: str, place: str) -> Iterator[None]:
    """Say of an ``OSError`` what could not be done where."""
    try:
        yield
    except OSError as error:
        raise fault(action, place, error) from error


def fault(action: str, place: str, error: OSError) -> StorageFault:
    """The failure to raise for ``error``."""
    kind = OutOfSpace if error.errno in _FULL else StorageFault
    return kind(f"cannot {action} {place}: {error.strerror or error}")
