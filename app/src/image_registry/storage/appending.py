"""Who may write to an upload on a file system, and how its bytes come to the disk."""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack, closing
from itertools import cycle
from typing import BinaryIO

from image_registry.storage.blob_store import Readable, UploadBusy
from image_registry.storage.direct import DirectFile, Filling
from image_registry.storage.disk_faults import faults
from image_registry.storage.hashing import Beside
from image_registry.storage.syncing import begin_writeback, write_all

CHUNK = 1 << 20
"""Bytes read from a request at a time: what one ``recv`` of the server hands over at most."""

PIECE = 256 << 10
"""Bytes of a short body that are hashed as they come: they are still in the processor's cache."""

SHORT = 4 << 20
"""Bytes of a body up to which that is better than a second thread, which costs more than it saves."""


def copy(source: Readable, descriptor: int, size: int, hashing: Beside, place: str) -> int:
    """Write what the source gives; returns the new size."""
    while chunk := source.read(CHUNK):
        hashing.feed(chunk)
        with faults("write to", place):
            write_all(descriptor, chunk)
            begin_writeback(descriptor, size, len(chunk))
        size += len(chunk)
    return size


def receive(
    source: Filling, descriptor: int, size: int, hashing: Beside, buffers: tuple[memoryview, ...], place: str
) -> int:
    """The same through aligned buffers: feeding one waits until the one before is hashed, which is then free."""
    fill = _fill_and_hash if (source.left or 0) <= SHORT else _fill
    with closing(DirectFile(descriptor)) as file:
        for buffer in cycle(buffers):
            length = fill(source, buffer, hashing)
            if not length:
                break
            with faults("write to", place):
                file.write(buffer[:length], size)
            size += length
    hashing.wait()
    return size


def _fill(source: Filling, buffer: memoryview, hashing: Beside) -> int:
    length = source.readinto(buffer)
    if length:
        hashing.feed(buffer[:length])
    return length


def _fill_and_hash(source: Filling, buffer: memoryview, hashing: Beside) -> int:
    filled = wanted = 0
    while filled == wanted < len(buffer):  # less than was wanted is the end
        wanted = min(filled + PIECE, len(buffer))
        length = source.readinto(buffer[filled:wanted])
        if length:
            hashing.feed(buffer[filled : filled + length])
        filled += length
    return filled


def hold(path: str, upload_id: str) -> BinaryIO:
    """Open an upload for its one writer, across threads and Pods; a second one is told that the session is busy.

    Who waited at the door while the upload became a blob has opened that blob: it must not be written to.
    """
    with ExitStack() as opened:
        file = opened.enter_context(open(path, "r+b", buffering=0))
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UploadBusy(upload_id) from None
        if not os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
            raise FileNotFoundError(path)
        opened.pop_all()
        return file
