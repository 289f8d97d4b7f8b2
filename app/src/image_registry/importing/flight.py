"""One blob on its way from another registry into the storage, and everybody who waits for it.

Whoever waits in this process reads what has arrived while the rest is coming, where the storage shows unfinished
uploads as files; elsewhere they read the finished blob. The last part arrives when the whole is verified, so nobody
ever has all bytes of something wrong.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from io import UnsupportedOperation
from typing import BinaryIO

from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.remote.errors import Unreachable
from image_registry.storage.blob_store import BlobMissing, BlobStore, StorageFault, UploadMissing

CHUNK = 1 << 18
SILENCE = 120.0
"""Seconds without a new byte after which a reader gives up; the one who fetches gives up before."""


class Flight:
    """Thread-safe; one thread writes, any number read."""

    def __init__(self, store: BlobStore, repository: Repository, digest: Digest, size: int, upload_id: str) -> None:
        self._store, self.repository, self.digest, self.size = store, repository, digest, size
        self.upload_id = upload_id
        self._changed = threading.Condition()
        self._arrived = 0
        self._begun = self._finished = False
        self._failure: Exception | None = None

    # the one who fetches

    def begin(self) -> None:
        """The other registry has it and sends it."""
        with self._changed:
            self._begun = True
            self._changed.notify_all()

    def arrived(self, count: int) -> None:
        """So many bytes are in the upload."""
        with self._changed:
            self._arrived = count
            self._changed.notify_all()

    def finish(self) -> None:
        """It is a blob of the repository now."""
        with self._changed:
            self._begun = self._finished = True
            self._changed.notify_all()

    def fail(self, failure: Exception) -> None:
        """It will not come."""
        with self._changed:
            self._failure = failure
            self._changed.notify_all()

    # those who wait

    def opened(self, patience: float) -> None:
        """Wait until it is coming. Raises what :meth:`fail` was given, and :class:`Unreachable` after that time."""
        deadline = time.monotonic() + patience
        with self._changed:
            while not self._begun and self._failure is None:
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    raise Unreachable(f"blob {self.digest} of {self.repository} is not on its way yet; try again")
            if self._failure is not None and not self._finished:
                raise self._failure

    def wait(self) -> None:
        """Wait until all of it is here. Raises as :meth:`opened` does."""
        offset = 0
        while not self._finished:
            offset = self._wait_beyond(offset)

    def chunks(self) -> Iterator[bytes]:
        """All bytes. Raises in the middle when the rest does not come: then nobody may think they have it."""
        offset = 0
        file = self._growing()
        try:
            while file is not None and offset < self.size:
                until = self._wait_beyond(offset)
                while offset < until:
                    data = file.read(min(CHUNK, until - offset))
                    if not data:
                        raise StorageFault(f"upload {self.upload_id} of {self.repository} is shorter than it was")
                    offset += len(data)
                    yield data
        finally:
            if file is not None:
                file.close()
        if file is None:
            self.wait()
            yield from _read(self._store, self.digest)

    def _growing(self) -> BinaryIO | None:
        """The upload as a file that gets longer; ``None`` where the storage has none."""
        self._wait_beyond(0)
        try:
            file = self._store.open_upload(self.repository, self.upload_id)
        except UploadMissing:  # it is a blob by now
            return None
        try:
            file.fileno()
        except (UnsupportedOperation, OSError, AttributeError):
            file.close()
            return None
        return file

    def _wait_beyond(self, offset: int) -> int:
        """How much has arrived, once that is more than ``offset`` or all."""
        deadline = time.monotonic() + SILENCE
        with self._changed:
            while self._arrived <= offset and not self._finished:
                if self._failure is not None:
                    raise self._failure
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    raise Unreachable(f"no more bytes of blob {self.digest} arrived for {SILENCE:.0f} seconds")
            return self.size if self._finished else self._arrived


class Incoming:
    """The parts of a blob as the storage reads them; tells the flight how much has been written."""

    def __init__(self, parts: Iterator[bytes], flight: Flight, alive: Callable[[], None]) -> None:
        self._parts, self._flight, self._alive = parts, flight, alive
        self._rest = memoryview(b"")
        self._given = 0

    def read(self, size: int, /) -> bytes:
        """The next bytes; whoever asks for more has written what it got before."""
        if self._given:
            self._flight.arrived(self._given)
        self._alive()
        if not self._rest:
            self._rest = memoryview(next(self._parts, b""))
        data, self._rest = bytes(self._rest[:size]), self._rest[size:]
        self._given += len(data)
        return data


def _read(store: BlobStore, digest: Digest) -> Iterator[bytes]:
    try:
        file = store.open(digest)
    except BlobMissing:
        raise StorageFault(f"blob {digest} was removed a moment after it came") from None
    with file:
        while data := file.read(CHUNK):
            yield data
