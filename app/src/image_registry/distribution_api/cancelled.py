"""Sessions that were cancelled before anything was stored: nothing else says so.

They are few, so each process knows them all, asks for news at most once a second, and asks for nothing when the
database is down: what then begins anew is an upload of somebody who may push.
"""

from __future__ import annotations

import time
from contextlib import suppress

from image_registry.imagestreams.errors import ImageStreamsError
from image_registry.imagestreams.service import ImageStreams
from image_registry.oci.reference import Repository

FRESH = 1.0
"""Seconds for which what was read is believed."""


class Cancelled:
    """The names of those sessions."""

    def __init__(self, streams: ImageStreams) -> None:
        self._streams = streams
        self._names: frozenset[str] = frozenset()
        self._read = float("-inf")

    def __contains__(self, upload_id: object) -> bool:
        if time.monotonic() - self._read > FRESH:
            self._read = time.monotonic()  # also when it fails: nobody is to wait for a database that is down
            with suppress(ImageStreamsError):
                self._names = self._streams.sessions.cancelled()
        return upload_id in self._names

    def add(self, repository: Repository, upload_id: str) -> None:
        """Cancel one. Raises :class:`ImageStreamsError` when it cannot be remembered."""
        self._streams.sessions.cancel(repository, upload_id)
        self._names |= {upload_id}
