"""Tags that are due for an import: wanted and never tried, tried in vain for a passing reason, or scheduled.

Every process that serves the Image API looks; a claim on the stream keeps two from the same work. How often registries
are asked is bounded three times: each tag by its interval, which doubles with every failure; all tags together by a
number each minute; each host by the budget of the client, which also keeps the pauses that a registry asks for.
"""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

import structlog

from image_registry.imagestreams.errors import ImageStreamsError
from image_registry.imagestreams.importer import Candidate, Imports
from image_registry.imagestreams.model import TagSpec
from image_registry.importing.importer import Importer
from image_registry.oci.reference import Repository
from image_registry.remote.errors import RemoteError

LOOK = 10.0
"""Seconds between two looks, about."""

AGAIN = timedelta(minutes=1)
"""Before what failed for a passing reason is tried again; doubled with each failure."""

DOUBLED = 5
"""Failures after which the wait gets no longer."""

SPREAD = 0.1
"""Part of the interval by which tags differ, so that those that came together do not stay together."""

TOGETHER = 4
"""Streams at once."""

IMPORTER = "system:image-importer"
"""Who pushed an image that nobody asked for at that moment."""


@dataclass(frozen=True, slots=True)
class Pace:
    """``interval`` of scheduled tags, none for never; ``per_minute`` is for all tags of this process."""

    interval: timedelta | None
    per_minute: int


def is_due(found: Candidate, now: datetime, interval: timedelta | None) -> bool:
    """Whether a tag is to be imported now."""
    if found.attempted is None or found.tried_generation < (found.spec.generation or 0):
        return True
    factor: int = 1 << min(found.failures, DOUBLED)
    if found.again and now >= found.attempted + AGAIN * factor:
        return True
    source = found.spec.source
    if not found.spec.scheduled or interval is None or source is None:
        return False
    if "@" in source.name and not found.failures:
        return False  # a digest means the same for ever
    spread = 1 + SPREAD * random.Random(f"{found.repository}:{found.spec.name}").uniform(-1, 1)  # noqa: S311 - no secret
    return bool(now >= found.attempted + interval * factor * spread)


class Schedule:
    """A daemon thread."""

    def __init__(self, importer: Importer, imports: Imports, pace: Pace) -> None:
        self._importer, self._imports, self._pace = importer, imports, pace
        self._holder = uuid.uuid4().hex
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="schedule", daemon=True)

    def start(self) -> None:
        """Begin; the first look is a while away."""
        self._thread.start()

    def stop(self) -> None:
        """End soon."""
        self._stop.set()

    def once(self, most: int) -> int:
        """Import what is due, at most so many tags; how many were tried. Raises :class:`ImageStreamsError`."""
        now = self._imports.now()
        since = min(AGAIN, self._pace.interval or AGAIN)
        found = [
            candidate
            for candidate in self._imports.candidates(now - since * (1 - SPREAD), max(most * 4, 100))
            if is_due(candidate, now, self._pace.interval)
        ][:most]
        with ThreadPoolExecutor(TOGETHER, "scheduled") as pool:
            return sum(pool.map(self._stream, _by_stream(found)))

    def _stream(self, work: tuple[Repository, Sequence[TagSpec]]) -> int:
        repository, specs = work
        if not self._imports.claim_import(repository, self._holder):
            return 0
        try:
            self._importer.again(repository, specs, IMPORTER)
        except (ImageStreamsError, RemoteError) as error:
            structlog.get_logger().warning("an import will be tried again", stream=str(repository), reason=str(error))
        finally:
            self._imports.end_import(repository, self._holder)
        return len(specs)

    def _run(self) -> None:
        share = max(round(self._pace.per_minute * LOOK / 60), 1) if self._pace.per_minute >= 0 else 1000
        while not self._stop.wait(LOOK * random.uniform(0.8, 1.2)):  # noqa: S311 - no secret
            if share == 0:
                continue
            try:
                self.once(share)
            except ImageStreamsError as error:
                structlog.get_logger().warning("scheduled imports wait", reason=str(error))


def _by_stream(found: Iterable[Candidate]) -> list[tuple[Repository, list[TagSpec]]]:
    ordered = sorted(found, key=lambda candidate: candidate.repository)
    return [
        (repository, [candidate.spec for candidate in group])
        for repository, group in groupby(ordered, lambda candidate: candidate.repository)
    ]
