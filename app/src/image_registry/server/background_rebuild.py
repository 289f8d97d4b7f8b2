"""Making the tables from storage behind the requests, wherever they are not whole.

Every worker looks; the database lets exactly one of all replicas work, and lets another go on when that one dies.
"""

from __future__ import annotations

import threading
import time

import structlog

from image_registry.imagestreams.errors import ImageStreamsError
from image_registry.oci.reference import Repository
from image_registry.rebuilding.rebuild import Counts, Rebuild
from image_registry.storage.blob_store import StorageFault

INTERVAL = 10.0
"""Seconds between two looks; the first is made at once."""

REPORTED_EVERY = 30.0
"""Seconds between two lines in the log."""


class BackgroundRebuild:
    """A daemon thread of a worker."""

    def __init__(self, rebuild: Rebuild, interval: float = INTERVAL) -> None:
        self._rebuild = rebuild
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rebuild", daemon=True)
        self._reported = time.monotonic()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the repository that is under way."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        log = structlog.get_logger()
        said = ""
        while not self._stop.is_set():
            try:
                outcome = self._rebuild.run(self._stop, self._report)
            except (ImageStreamsError, StorageFault) as error:
                if str(error) != said:  # a database that is being set up is worth one line, not one for each look
                    log.warning("the index of the storage will be completed later", reason=str(error))
                said = str(error)
            else:
                said = ""
                if outcome is not None and outcome.counts.repositories:
                    log.info(
                        "the index of the storage is complete" if outcome.complete else "the index is not complete",
                        **vars(outcome.counts),
                        **({"unreadable": list(outcome.unreadable[:10])} if outcome.unreadable else {}),
                    )
            self._stop.wait(self._interval)

    def _report(self, counts: Counts, repository: Repository) -> None:
        if time.monotonic() - self._reported >= REPORTED_EVERY:
            self._reported = time.monotonic()
            structlog.get_logger().info("indexing the storage", at=str(repository), **vars(counts))
