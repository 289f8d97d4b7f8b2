"""Calls by which bytes and names come to the disk, and those of Linux that Python has no names for."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from contextlib import suppress

_NO_FOLDER_SYNC = {errno.EBADF, errno.EINVAL}
"""What file systems answer that cannot sync a folder; their servers order names themselves."""


def write_all(descriptor: int, data: bytes | memoryview) -> None:
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


_WAIT_BEFORE, _WRITE, _WAIT_AFTER = 1, 2, 4
"""Flags of ``sync_file_range(2)``."""

_NO_RANGES = {errno.ENOSYS, errno.EINVAL, errno.EPERM}
"""What systems answer that do not have that call, or forbid it."""


def _range_sync(flags: int) -> Callable[[int], None] | None:
    """A call about all bytes of a file, given its descriptor. It says nothing to the log of the file system."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "sync_file_range", None)
    if call is None:
        return None
    call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)

    def sync(descriptor: int) -> None:
        if call(descriptor, 0, 0, flags):
            number = ctypes.get_errno()
            if number not in _NO_RANGES:
                raise OSError(number, os.strerror(number))
            os.fsync(descriptor)

    return sync


start_writing = _range_sync(_WRITE)
"""Let the disk begin with the bytes of a file."""

wait_for_writing = _range_sync(_WAIT_BEFORE | _WRITE | _WAIT_AFTER)
"""Wait until the disk has taken every byte of a file; raises what it says about them."""


def _syncfs() -> Callable[[int], None] | None:
    call = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if call is None:
        return None

    def sync(descriptor: int) -> None:
        if call(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    return sync


sync_file_system = _syncfs()
"""Make everything durable that a file system holds, given a file of it (Linux)."""


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
