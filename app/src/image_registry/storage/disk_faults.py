"""Failures of a disk in words: what could not be done where, and what an administrator can do about it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from image_registry.storage.blob_store import OutOfSpace, StorageFault

GONE = (FileNotFoundError, NotADirectoryError)
"""What is raised where something is not there, or no longer."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


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
    cure = _CURES.get(error.errno or 0, "").format(user=os.geteuid(), group=os.getegid())
    return kind(f"cannot {action} {place}: {error.strerror or error}{cure}")


_NOT_OURS = (
    "; the registry runs as user {user} and group {group}: let it read and write there (chown, or fsGroup of the Pod)"
)
_CURES = {
    errno.EACCES: _NOT_OURS,
    errno.EPERM: _NOT_OURS,
    errno.EROFS: "; the file system is mounted read-only: look why, and make the registry read-only until then",
    errno.EIO: "; the disk fails, or who serves it: look at the log of the kernel",
    errno.ESTALE: "; the server of the file system has forgotten it: restart the Pod, so that it is mounted anew",
}
"""What an administrator can do about it."""
