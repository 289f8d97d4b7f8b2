"""The thread of a worker that lets records follow the tables.

Every worker looks; the database lets one of all replicas write at a time. What takes long is made up for by longer
pauses, so that records never take more than a small part of a disk or of a processor.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from image_registry.imagestreams.errors import ImageStreamsError
from image_registry.rebuilding.recording import Followed, Recorder
from image_registry.storage.blob_store import StorageFault

INTERVAL = 10.0
"""Seconds between two looks: how far records lag behind while there is little to write."""

SHARE = 10
"""A look that writes is followed by a pause of so many times its length."""

LONGEST = 60.0
"""Seconds of the longest pause."""


class BackgroundRecords:
    """A daemon thread. While ``paused`` nothing is written: a registry that is read-only leaves its storage alone."""

    def __init__(
        self, recorder: Recorder, paused: Callable[[], bool] = lambda: False, interval: float = INTERVAL
    ) -> None:
        self._recorder, self._paused, self._interval = recorder, paused, interval
        self._stop = threading.Event()
        self._said = ""
        self._thread = threading.Thread(target=self._run, name="records", daemon=True)

    def start(self) -> None:
        """Begin; the first look is one interval away."""
        self._thread.start()

    def stop(self) -> None:
        """End after the portion that is under way."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        pause = self._interval
        while not self._stop.wait(pause):
            started = time.monotonic()
            if not self._paused():
                self._look()
            pause = min(max(self._interval, SHARE * (time.monotonic() - started)), LONGEST)

    def _look(self) -> None:
        try:
            while (followed := self._recorder.once()) is Followed.PART and not self._stop.is_set():
                pass
        except (ImageStreamsError, StorageFault) as error:
            self._say(str(error))
        else:
            behind = (
                f"{followed.value}: compare by `image-registry metadata rebuild`, or keep the tables by "
                "`image-registry metadata record --discard`"
            )
            self._say(behind if followed is Followed.BEHIND else "")

    def _say(self, reason: str) -> None:
        """What goes on being wrong is worth one line."""
        if reason and reason != self._said:
            structlog.get_logger().warning("records of the metadata lag behind", reason=reason)
        self._said = reason
