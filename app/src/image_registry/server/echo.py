"""The thread of a worker that lets the links of tags follow their commits, many at a time.

A push says which repository changed and goes on. What a process could not write before it was killed is found in the
tables by whichever process looks next.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable

import structlog

from image_registry.imagestreams.errors import ImageStreamsError
from image_registry.imagestreams.service import ImageStreams
from image_registry.oci.reference import Repository
from image_registry.storage.blob_store import BlobStore, StorageFault

GATHER = 0.1
"""Seconds for which changes are gathered before they are written: the most that links lag behind while all is well."""

LOOK = 15.0
"""Seconds after which the tables are asked for what other processes left."""

LAST = 5.0
"""Seconds for which a process that ends waits for the last links."""


class Echo:
    """``paused`` while the storage must not be changed."""

    def __init__(self, store: BlobStore, streams: ImageStreams, paused: Callable[[], bool] = lambda: False) -> None:
        self._store, self._streams, self._paused = store, streams, paused
        self._changed: set[Repository] = set()
        self._lock = threading.Lock()
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="echo", daemon=True)

    def start(self) -> None:
        """Begin, and end with the process."""
        self._thread.start()
        atexit.register(self.stop)

    def stop(self) -> None:
        """Write what is waiting, and end."""
        self._stop.set()
        self._wake.set()
        self._thread.join(LAST)

    def __call__(self, repository: Repository) -> None:
        """Some tag of the repository means something else now."""
        with self._lock:
            self._changed.add(repository)
        self._wake.set()

    def once(self) -> None:
        """Write the links of everything that is known to have changed; what fails stays known."""
        while self._changed:
            with self._lock:
                repository = self._changed.pop()
            try:
                self._streams.settle(repository, self._store.write_tags)
            except BaseException:
                self(repository)
                raise

    def _run(self) -> None:
        log = structlog.get_logger()
        looked = time.monotonic() - LOOK
        while True:
            called = self._wake.wait(max(0.0, looked + LOOK - time.monotonic()))
            ending = self._stop.is_set()
            if called and not ending:
                self._stop.wait(GATHER)
            self._wake.clear()
            try:
                if not called and not self._paused():
                    looked = time.monotonic()
                    with self._lock:
                        self._changed.update(self._streams.unechoed())
                if not self._paused():
                    self.once()
            except (ImageStreamsError, StorageFault) as error:
                log.warning("the links of tags lag behind", reason=str(error))
                if not ending:
                    self._stop.wait(1.0)
                    self._wake.set()
            if ending:
                return
