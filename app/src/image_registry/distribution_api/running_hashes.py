"""How far the hash of an unfinished upload is, so that nobody need read again what was just received.

The process that took the last bytes remembers it, because their end mostly comes over the same connection; for large
uploads the tables tell every replica. Both say for how many bytes the hash stands: unless the storage has exactly as
many, and everywhere else, the bytes are read and hashed again. So what is forgotten costs time and nothing else.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import suppress

from image_registry.imagestreams.errors import ImageStreamsError
from image_registry.imagestreams.service import ImageStreams
from image_registry.oci.reference import Repository
from image_registry.storage.blob_store import BlobStore
from image_registry.storage.resumable_hash import ResumableHash, StateRefused

NOTED = 8 << 20
"""Bytes from which the tables are told: hashing fewer again costs less than a row."""

REMEMBERED = 512
"""Uploads of which a process remembers the hash, two kilobytes each."""

CHUNK = 1 << 20


class RunningHashes:
    """Thread-safe. A hash is handed out once: whoever feeds it notes it again."""

    def __init__(self, store: BlobStore, streams: ImageStreams) -> None:
        self._store = store
        self._streams = streams
        self._lock = threading.Lock()
        self._remembered: OrderedDict[tuple[Repository, str], tuple[int, ResumableHash]] = OrderedDict()

    def note(self, repository: Repository, upload_id: str, size: int, running: ResumableHash) -> None:
        """The hash stands behind ``size`` bytes, which are in storage."""
        with self._lock:
            self._remembered[repository, upload_id] = size, running
            if len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
        if size >= NOTED and (state := running.state()):
            with suppress(ImageStreamsError):
                self._streams.sessions.note(
                    repository, upload_id, algorithm=running.algorithm, offset=size, hash_state=state
                )

    def resume(self, repository: Repository, upload_id: str, algorithm: str, size: int) -> ResumableHash:
        """The hash of the ``size`` bytes in storage. Raises what the storage raises."""
        with self._lock:
            remembered = self._remembered.pop((repository, upload_id), None)
        if size == 0:
            return ResumableHash(algorithm)
        if remembered is not None and remembered[0] == size and remembered[1].algorithm == algorithm:
            return remembered[1]
        noted = None
        if size >= NOTED:
            with suppress(ImageStreamsError):
                noted = self._streams.sessions.find(repository, upload_id)
        if noted is not None and (noted.offset, noted.algorithm) == (size, algorithm):
            with suppress(StateRefused):
                return ResumableHash.restore(algorithm, noted.hash_state)
        running = ResumableHash(algorithm)
        with self._store.open_upload(repository, upload_id) as file:
            while chunk := file.read(CHUNK):
                running.update(chunk)
        return running

    def forget(self, repository: Repository, upload_id: str) -> None:
        """The upload was given up."""
        with self._lock:
            self._remembered.pop((repository, upload_id), None)

    def end(self, repository: Repository, upload_id: str, size: int) -> None:
        """The bytes are where they belong; a row left over is swept later."""
        self.forget(repository, upload_id)
        if size >= NOTED:
            with suppress(ImageStreamsError):
                self._streams.sessions.end(repository, upload_id)
