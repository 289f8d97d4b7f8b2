"""Work between requests: links of deleted things, uploads that nobody finished, pulls that are to be noted."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog

from image_registry.garbage.links import Behind, clean_pending
from image_registry.imagestreams.errors import ImageStreamsError
from image_registry.imagestreams.service import ImageStreams
from image_registry.oci.reference import Repository
from image_registry.storage.blob_store import BlobStore, StorageFault

INTERVAL = 15.0
"""Seconds between two looks."""

ABANDONED = timedelta(days=7)
"""Age at which an unfinished upload is given up, as long as CNCF distribution waits."""


SWEEP_FIRST, SWEEP_AGAIN = 600.0, 24 * 3600.0
"""Seconds from the start to the first look for what belongs to no session, and from one such look to the next."""


class Maintenance:
    """A daemon thread of a worker; several at once are harmless, each piece of work is done under a lock.

    While ``paused`` nothing is removed: a registry that is read-only does not change its storage.
    """

    def __init__(
        self,
        store: BlobStore,
        streams: ImageStreams,
        paused: Callable[[], bool] = lambda: False,
        behind: Behind = lambda: False,
        note_pulls: Callable[[], None] = lambda: None,
    ) -> None:
        self._behind = behind
        self._note_pulls = note_pulls
        self._paused = paused
        self._store = store
        self._streams = streams
        self._sweep_at = time.monotonic() + SWEEP_FIRST * random.uniform(1, 2)  # noqa: S311 - not all Pods at once
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="maintenance", daemon=True)

    def start(self) -> None:
        """Begin; the first look is one interval away."""
        self._thread.start()

    def stop(self) -> None:
        """End soon."""
        self._stop.set()

    def once(self) -> None:
        """One round. What fails is raised at the end: it must not keep the rest from being done."""
        failure: StorageFault | None = None
        for work in (
            self._clean,
            self._sweep,
            self._streams.allowance.forget_expired,
            *map(self._expiry, self._streams.sessions.abandoned(datetime.now(UTC) - ABANDONED)),
        ):
            try:
                work()
            except StorageFault as error:
                failure = error
        if failure is not None:
            raise failure

    def _clean(self) -> None:
        clean_pending(self._store, self._streams, self._behind)

    def _sweep(self) -> None:
        """Uploads have rows, and go with them; this is for what a crash left without one."""
        if time.monotonic() >= self._sweep_at:
            self._sweep_at = time.monotonic() + SWEEP_AGAIN
            if swept := self._store.sweep(datetime.now(UTC) - ABANDONED):
                structlog.get_logger().info("removed what broken uploads left", count=swept)

    def _expiry(self, upload: tuple[Repository, str]) -> Callable[[], None]:
        def expire() -> None:
            self._store.abort_upload(*upload)
            self._streams.sessions.end(*upload)

        return expire

    def _run(self) -> None:
        log = structlog.get_logger()
        while not self._stop.wait(INTERVAL):
            if self._paused():
                continue
            self._note_pulls()
            try:
                self.once()
            except (ImageStreamsError, StorageFault) as error:
                log.warning("maintenance will try again", reason=str(error))
