"""For which repositories the tables speak.

After an adoption, or when the database was lost, the tables are filled from storage, one repository after the other.
For one that they have not reached the links in storage are the truth: reading from the tables would hide images, and
cleaning by them would remove what was only not read yet. So every rule that concludes something from the *absence* of a
row asks here first.
"""

from __future__ import annotations

import threading
import time

from sqlalchemy import Connection

from image_registry.imagestreams.errors import IndexUnfinished
from image_registry.metadata import rebuilds
from image_registry.metadata.database import Database
from image_registry.oci.reference import Repository

FRESH = 1.0
"""Seconds for which an answer is good while a rebuild is under way; an old one only means asking storage once more."""

FRESH_WHEN_WHOLE = 15.0
"""The same when the tables are whole: somebody may begin to make them anew."""


class Coverage:
    """What one process knows about it. Methods may raise ``DatabaseUnavailable``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._good_until = 0.0
        self._whole = False
        self._reached = ("", "")

    def covers(self, repository: Repository) -> bool:
        """Whether they speak for this one."""
        self._refresh()
        if self._whole or (repository.namespace, repository.name) <= self._reached:
            return True
        with self._database.read() as connection:
            return rebuilds.covers(connection, repository.namespace, repository.name)

    def require(self, repository: Repository) -> None:
        """Raises :class:`IndexUnfinished` for a repository that has not been reached."""
        if not self.covers(repository):
            raise unfinished(repository)

    def _refresh(self) -> None:
        if time.monotonic() < self._good_until:
            return
        with self._lock:
            if time.monotonic() < self._good_until:
                return
            with self._database.read() as connection:
                row = rebuilds.state(connection)
            self._whole, self._reached = row.finished is not None, (row.after_namespace, row.after_name)
            self._good_until = time.monotonic() + (FRESH_WHEN_WHOLE if self._whole else FRESH)


def require(connection: Connection, repository: Repository) -> None:
    """The same inside of a transaction that is about to remove something; not remembered."""
    if not rebuilds.covers(connection, repository.namespace, repository.name):
        raise unfinished(repository)


def unfinished(repository: Repository) -> IndexUnfinished:
    """What to tell who must wait."""
    return IndexUnfinished(f"the index of {repository} is being made from storage; try again in a few seconds")
