"""What one worker is watched by: numbers shared with the other workers, an observer of requests, a timed storage."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from image_registry.server import metrics
from image_registry.server.hot_reads import HotReads
from image_registry.server.log_lines import AccessLog
from image_registry.server.measured_store import measured
from image_registry.server.numbers import SharedNumbers
from image_registry.server.observation import Audit, Observer
from image_registry.server.peer import WSGIApplication
from image_registry.server.pull_notes import PullNotes
from image_registry.server.request_log import RequestLog
from image_registry.storage.blob_store import BlobStore

MEMORY = Path("/dev/shm")  # noqa: S108 - the one file system that is memory everywhere
"""Where the workers of a process keep the numbers that they share."""


class Observability:
    """Made in the worker, after the fork; ``folder`` is shared with the other workers."""

    def __init__(
        self,
        audit: Audit,
        folder: Path | None = None,
        *,
        access: AccessLog = AccessLog.ALL,
        process: str = "image-registry",
    ) -> None:
        self.shared = SharedNumbers(metrics.FAMILIES, folder)
        self.numbers = self.shared.own
        self.pulled = PullNotes()
        self.observer = Observer(
            audit=audit,
            access=access,
            meter=metrics.RequestMeter(self.numbers, process),
            pulled=self.pulled.take,
        )
        self.shared.start()

    def store(self, store: BlobStore) -> BlobStore:
        """The storage, timed."""
        return measured(store, self.numbers)

    def around(self, application: WSGIApplication, hot: HotReads | None = None) -> RequestLog:
        """The application, watched; ``hot`` learns from it."""
        log = RequestLog(application, self.observer, hot)
        self.numbers.watch(metrics.HTTP_IN_FLIGHT, (), lambda: log.running)
        if hot is not None:
            self.numbers.watch(metrics.GIVEN_AGAIN, (), lambda: hot.given)
        return log

    def page(self, accept: str) -> tuple[bytes, str]:
        """What Prometheus reads, of all workers, and its media type."""
        self.observer.flush()
        registry = CollectorRegistry()
        registry.register(_Collected(list(self.shared.collect())))
        encode, content_type = choose_encoder(accept)
        return encode(registry), content_type


class _Collected(Collector):
    def __init__(self, found: list[Metric]) -> None:
        self._found = found

    def collect(self) -> Iterator[Metric]:
        return iter(self._found)


def shared_folder() -> Path:
    """A folder for the workers of the process that calls; it goes when that process ends."""
    folder = Path(tempfile.mkdtemp(prefix="image-registry-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None))
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder
