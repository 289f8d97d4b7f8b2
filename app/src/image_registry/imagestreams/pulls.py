"""When images were last pulled: noted to the hour, by workers, beside the requests (ADR 92).

It is known of an image of a stream since when nobody has pulled it: since its last pull, at most since it was pushed
there, and at most since pulls are noted without a gap. A time in which nobody noted, because the registry was down, was
read-only or of an older version, or had no database, begins the last of these anew: it may have been pulled then.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from datetime import datetime, timedelta

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from image_registry.imagestreams.availability import available
from image_registry.imagestreams.rows import utc
from image_registry.metadata import pulls
from image_registry.metadata.database import Database

RESOLUTION = timedelta(hours=1)
"""A later pull is written down when the one that is known is as old as this."""

SAID = timedelta(minutes=10)
"""Age at which it is written down again that pulls are noted."""

GAP = timedelta(minutes=30)
"""If nobody wrote that for so long, pulls may have gone unnoticed. Shorter than RESOLUTION, which readers allow for."""

AT_ONCE = 100
"""Pulls of one question."""


class Pulls:
    """Methods may raise :class:`MetadataUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, pulled: Collection[tuple[str, str, str]], now: datetime) -> int:
        """Namespaces, streams and digests that were pulled up to ``now``; returns how many times were written."""
        written = 0
        ordered = sorted(pulled)
        for start in range(0, len(ordered), AT_ONCE):
            with available():
                written += self._portion(ordered[start : start + AT_ONCE], now)
        return written

    def say(self, now: datetime, *, anew: bool = False) -> None:
        """Pulls are noted up to now; ``anew`` if some of those before were lost."""
        with available():
            with self._database.read() as connection:
                if not anew and (row := pulls.noted(connection)) is not None and now - utc(row.until) < SAID:
                    return
            with self._database.write() as connection:
                self._database.lock(connection, "pulls")
                row = pulls.noted(connection)
                goes_on = not anew and row is not None and now - utc(row.until) < GAP
                pulls.say_noted(connection, utc(row.since) if goes_on and row is not None else now, now)

    def _portion(self, pulled: list[tuple[str, str, str]], now: datetime) -> int:
        with self._database.read() as connection:
            due = pulls.due(connection, pulled, now - RESOLUTION)
        for row in due:
            # one by one: who deletes a stream locks its rows in any order, and must never wait in a circle with this
            with suppress(IntegrityError), self._database.write_quickly() as connection:  # another worker has noted it
                pulls.note(connection, row.stream_id, row.digest, now)
        return len(due)


def noted_since(connection: Connection) -> datetime | None:
    """Since when every pull was noted; ``None`` if nobody can say."""
    row, rebuilt = pulls.noted(connection), pulls.rebuilt(connection)
    return max(utc(row.since), utc(rebuilt)) if row is not None and rebuilt is not None else None


def unpulled_since(since: datetime | None, pushed: datetime | None, pulled: datetime | None) -> datetime | None:
    """Since when nobody has pulled an image from a stream; ``None`` if nobody can say."""
    if since is None or pushed is None:
        return None
    return max(since, utc(pushed), utc(pulled)) if pulled is not None else max(since, utc(pushed))
