"""Changes of a folder that survive a power cut.

Content is written beside everything that is read (the staging folder), synced, renamed into place, and the new names
synced: a reader sees nothing or everything (registries reference 4.2). What belongs together goes together: all bytes
are on their way to the disk before the first of them is waited for, and names are synced once for all of them. Where
one log of the file system has everything in order, that last sync is the only one: bytes are only written out before
(ADR 48). What goes, goes by one system call first, and its rests afterwards.
"""

from __future__ import annotations

import itertools
import os
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from image_registry.storage import syncing
from image_registry.storage.disk_faults import GONE, fault, faults
from image_registry.storage.journal import is_one_device, keeps_order
from image_registry.storage.syncing import sync_folder, write_all

FORSAKEN = 60.0
"""Seconds after which nobody comes any more to put a file into an empty folder."""

SETTLED = 60.0
"""Age in seconds at which a name needs no sync of ours: every file system writes names back within half of that."""

_ATTEMPTS = 30
"""Times a write begins again because its folder was removed in between; each time somebody else made progress."""

FEW = 256
"""Files that are synced one by one where that is needed; for more the whole file system is asked, which may have much
to do for others."""

_OPEN = 64
"""Files of one change that are open at once."""

_REMEMBERED = 16_384
"""Names whose durability is remembered at most."""


class DurableFolder:
    """Every path is relative to ``base``; content that is on its way lies in the folder ``staging``.

    ``lasting`` knows the folders that nobody ever removes. Raises
    :class:`~image_registry.storage.blob_store.StorageFault` (``OutOfSpace`` where it is that) unless told otherwise.
    """

    def __init__(self, base: str, *, staging: str, lasting: Callable[[str], bool] = lambda _: False) -> None:
        self._base = base
        self._staging = staging
        self._lasting = lasting
        self._in_order: bool | None = None
        self._durable: dict[str, int] = {}
        self._prefix, self._number = os.urandom(8).hex(), itertools.count()

    def path(self, relative: str) -> str:
        """Where it lies on the disk."""
        return f"{self._base}/{relative}"

    def write(self, relative: str, data: bytes) -> None:
        """Put ``data`` there, whole or not at all; durable on return."""
        self.seal([(relative, data)])

    def seal(self, files: Sequence[tuple[str, bytes]], *, moved: tuple[str, str] | None = None) -> None:
        """Put files in place, one after the other in the order given; all of them are durable on return.

        ``moved`` is a file whose content is durable already, with its new place: it goes first. Raises
        ``FileNotFoundError`` if that file is gone.
        """
        staged: list[tuple[str, str]] = []
        waiting = moved
        try:
            self._stage(files, staged)
            if waiting is not None:
                self._move(*waiting)
                waiting = None
            while staged:
                self._move(*staged[0])
                del staged[0]
            self._sync_names([*([moved[1]] if moved else []), *(relative for relative, _ in files)])
        except OSError as error:
            if waiting is not None and isinstance(error, FileNotFoundError) and not os.path.lexists(waiting[0]):
                raise
            raise fault("write", files[-1][0] if files else (moved or ("", ""))[1], error) from error
        finally:
            _discard(staged)

    def try_out(self, data: bytes) -> None:
        """Write and sync as :meth:`write` does, and leave nothing."""
        staged: list[tuple[str, str]] = []
        with faults("write to", self._staging):
            try:
                self._stage([("", data)], staged)
                sync_folder(self.path(self._staging))
            finally:
                _discard(staged)

    def settle(self, relative: str) -> None:
        """Make durable what somebody may have moved there a moment ago; free for what is old, or was settled here."""
        with faults("store", relative):
            try:
                status = os.stat(self.path(relative))
            except GONE:
                return
            if self._durable.get(relative) == status.st_ino or time.time() - status.st_ctime > SETTLED:
                return
            self._sync_names([relative])
            if len(self._durable) > _REMEMBERED:
                self._durable.clear()
            self._durable[relative] = status.st_ino

    def remove_file(self, relative: str) -> None:
        """Remove a file and its folder, unless the folder holds or is being given something else."""
        path = self.path(relative)
        folder = os.path.dirname(path)
        self._durable.pop(relative, None)
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

    def written(self, relative: str) -> datetime | None:
        """When a file or folder was last written; ``None`` if nobody can say."""
        try:
            return datetime.fromtimestamp(os.stat(self.path(relative)).st_mtime, UTC)
        except OSError:
            return None

    def sweep_staging(self, before: float) -> int:
        """Remove what a process that was killed before this time left on its way; returns how many files went."""
        removed = 0
        try:
            with os.scandir(self.path(self._staging)) as entries:
                for entry in entries:
                    with suppress(*GONE):
                        if entry.stat(follow_symlinks=False).st_mtime < before:
                            os.unlink(entry.path)
                            removed += 1
        except GONE:
            pass
        except OSError as error:
            raise fault("sweep", self._staging, error) from error
        return removed

    def write_out(self, descriptors: Sequence[int]) -> None:
        """Bring the bytes of files to the disk; durable with the next :meth:`seal`. Raises ``OSError``."""
        if not self._is_ordered() or syncing.start_writing is None or syncing.wait_for_writing is None:
            for descriptor in descriptors:
                os.fsync(descriptor)
            return
        for descriptor in descriptors if len(descriptors) > 1 else ():
            syncing.start_writing(descriptor)
        for descriptor in descriptors:
            syncing.wait_for_writing(descriptor)

    def _is_ordered(self) -> bool:
        if self._in_order is None:
            home = os.path.dirname(self.path(self._staging))
            while not os.path.isdir(home) and len(home) > len(self._base):
                home = os.path.dirname(home)
            self._in_order = keeps_order(home) and is_one_device(home)
        return self._in_order

    def _stage(self, files: Sequence[tuple[str, bytes]], staged: list[tuple[str, str]]) -> None:
        """Write every file and then bring them to the disk; ``staged`` says at any moment what has to be removed."""
        opened: list[int] = []
        at_once = len(files) > FEW and syncing.sync_file_system is not None and not self._is_ordered()
        try:
            for relative, data in files:
                temporary = f"{self._base}/{self._staging}/{self._prefix}-{os.getpid()}-{next(self._number)}.tmp"
                opened.append(self._open_new(temporary))
                staged.append((temporary, relative))
                write_all(opened[-1], data)
                if at_once and len(opened) > 1:
                    os.close(opened.pop())
                elif len(opened) >= _OPEN:
                    self.write_out(opened)
                    _close(opened)
            if at_once and syncing.sync_file_system is not None:
                syncing.sync_file_system(opened[0])
            else:
                self.write_out(opened)
        finally:
            _close(opened)

    def _open_new(self, path: str) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            return os.open(path, flags, 0o666)
        except FileNotFoundError:
            self._make_folder(self._staging)
            return os.open(path, flags, 0o666)

    def _move(self, source: str, relative: str) -> None:
        """Rename into place; begin again if :meth:`remove_file` takes the folder away in between."""
        target, folder = self.path(relative), os.path.dirname(relative)
        for attempt in range(_ATTEMPTS):
            self._make_folder(folder)
            try:
                os.replace(source, target)
            except FileNotFoundError:
                if attempt == _ATTEMPTS - 1 or not os.path.lexists(source):
                    raise
            else:
                return

    def _make_folder(self, relative: str) -> None:
        """Create missing folders."""
        path = self.path(relative)
        try:
            os.mkdir(path)
        except FileExistsError:
            pass
        except FileNotFoundError:
            parent = os.path.dirname(relative)
            if not parent:
                os.makedirs(path, exist_ok=True)
                return
            self._make_folder(parent)
            with suppress(FileExistsError):
                os.mkdir(path)

    def _sync_names(self, places: Sequence[str]) -> None:
        """Make the names of these files durable, and those of the folders that they are in, whoever made them."""
        if self._is_ordered():  # the last name was written last, so it takes all earlier ones along
            self._sync_nearest(os.path.dirname(places[-1]))
        else:
            done: set[str] = set()
            for place in places:
                self._sync_upwards(os.path.dirname(place), done)

    def _sync_nearest(self, folder: str) -> None:
        """Sync a folder, or the one above it if somebody has removed it since."""
        while True:
            try:
                return sync_folder(self.path(folder))
            except GONE:
                if not folder:
                    raise
                folder = os.path.dirname(folder)

    def _sync_upwards(self, folder: str, done: set[str]) -> None:
        """Sync a folder and those above it, as far as one whose name is known to be durable."""
        while folder not in done:
            with suppress(*GONE):
                sync_folder(self.path(folder))
            done.add(folder)
            if not folder or folder in self._durable:
                return
            if self._lasting(folder):
                self._durable[folder] = 0
            folder = os.path.dirname(folder)


def _close(opened: list[int]) -> None:
    while opened:
        os.close(opened.pop())


def _discard(staged: Sequence[tuple[str, str]]) -> None:
    """Remove what did not get to its place; what cannot be removed now is swept later."""
    for temporary, _ in staged:
        with suppress(OSError):
            os.unlink(temporary)


def _forsaken(folder: str) -> bool:
    """Whether a folder without its file was left by a crash, and is not just being made for a write."""
    try:
        return time.time() - os.stat(folder).st_mtime > FORSAKEN
    except OSError:
        return False
