"""How many uploads of a namespace may be unfinished at once.

A session costs nothing before its first byte; from then on it costs a file until it ends or a week has passed. Whoever
begins them without end would fill the storage with nothing. Each process counts those that began in it: a wall against
floods, not a quota. What ended elsewhere is noticed when the wall is reached.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from image_registry.oci.errors import TooManyRequests
from image_registry.oci.reference import Repository
from image_registry.storage.blob_store import BlobStore, UploadMissing

MOST = 2000
"""Unfinished uploads of a namespace in each process: a hundred clients that push twenty layers each at once."""

LOOKED_AT = 50
"""Sessions, the oldest, that are looked for in the storage when there seem to be too many."""

RETRY_AFTER = 30
"""Seconds after which a refused client may try again."""


class OpenUploads:
    """Thread-safe."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._open: dict[str, OrderedDict[str, Repository]] = {}

    def begin(self, repository: Repository, upload_id: str) -> None:
        """One more has its first byte. Raises :class:`TooManyRequests`."""
        namespace = repository.namespace
        with self._lock:
            of_namespace = self._open.setdefault(namespace, OrderedDict())
            if len(of_namespace) < MOST:
                of_namespace[upload_id] = repository
                return
            oldest = list(of_namespace.items())[:LOOKED_AT]
        for other, place in oldest:
            if self._has_ended(place, other):
                self.end(place, other)
            else:
                with self._lock:
                    if other in of_namespace:
                        of_namespace.move_to_end(other)
        with self._lock:
            of_namespace = self._open.setdefault(namespace, OrderedDict())
            if len(of_namespace) < MOST:
                of_namespace[upload_id] = repository
                return
        raise TooManyRequests(
            f"namespace {namespace} has {MOST} uploads that nobody has finished or cancelled: finish or cancel some, "
            "then try again",
            headers={"Retry-After": str(RETRY_AFTER)},
        )

    def end(self, repository: Repository, upload_id: str) -> None:
        """One has ended, however."""
        with self._lock:
            of_namespace = self._open.get(repository.namespace)
            if of_namespace is not None:
                of_namespace.pop(upload_id, None)
                if not of_namespace:
                    del self._open[repository.namespace]

    def _has_ended(self, repository: Repository, upload_id: str) -> bool:
        try:
            self._store.upload_size(repository, upload_id)
        except UploadMissing:
            return True
        return False
