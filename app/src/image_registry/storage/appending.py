"""Who may write to an upload on a file system, and how its bytes come to the disk."""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack, closing
from itertools import cycle
from typing import BinaryIO

from image_registry.storage.blob_store import Readable, UploadBusy
from image_registry.storage.direct import DirectFile, Filling
from image_registry.storage.durable import begin_writeback, faults, write_all
from image_registry.storage.hashing import Beside

CHUNK = 1 << 20
"""Bytes read from a request at a time: what one ``recv`` of the server hands over at most."""


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
    with closing(DirectFile(descriptor)) as file:
        for buffer in cycle(buffers):
            length = source.readinto(buffer)
            if not length:
                break
            hashing.feed(buffer[:length])
            with faults("write to", place):
                file.write(buffer[:length], size)
            size += length
    hashing.wait()
    return size


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
