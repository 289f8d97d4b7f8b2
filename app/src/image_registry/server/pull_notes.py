"""What was pulled since it was last written down: a set in the memory of each worker, filled beside the requests.

The pull has been answered by then, from the tables, from storage or from memory; it costs the one who pulls nothing.
What a worker has not written when it ends is lost: about a minute, and the next pull is noted again.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime

import structlog

from image_registry.imagestreams.errors import ImageStreamsError
from image_registry.imagestreams.pulls import Pulls
from image_registry.server.log_lines import Record

INTERVAL = 45.0
"""Seconds between two times of writing, at least; maintenance looks every fifteen."""

MOST = 20_000
"""Manifests that are remembered; with more between two writings, noting begins anew."""


class PullNotes:
    """One for each worker. Thread-safe."""

    def __init__(self) -> None:
        self._pulled: set[tuple[str, str, str]] = set()
        self._lost = False
        self._lock = threading.Lock()
        self._write_at = time.monotonic()
        self._said = ""

    def take(self, record: Record) -> None:
        """Somebody got a manifest."""
        namespace, _, name = record.repository.partition("/")
        if not (namespace and name and record.digest):
            return
        with self._lock:
            if len(self._pulled) < MOST:
                self._pulled.add((namespace, name, record.digest))
            else:
                self._lost = True

    def write(self, pulls: Pulls) -> None:
        """Write them down if it is time; what cannot be written is kept for the next time."""
        if time.monotonic() < self._write_at:
            return
        self._write_at = time.monotonic() + INTERVAL
        with self._lock:
            pulled, self._pulled = self._pulled, set()
            lost, self._lost = self._lost, False
        try:
            now = datetime.now(UTC)
            pulls.note(pulled, now)
            pulls.say(now, anew=lost)
        except ImageStreamsError as error:
            with self._lock:
                self._lost |= lost or len(pulled) + len(self._pulled) > MOST
                if not self._lost:
                    self._pulled |= pulled
            self._say(str(error))
        else:
            self._say("")

    def _say(self, reason: str) -> None:
        if reason and reason != self._said:
            structlog.get_logger().warning("pulls will be noted later", reason=reason)
        self._said = reason
