"""Work for the process that has the storage: its links are made to say what the tables say."""

from __future__ import annotations

from collections.abc import Callable

from image_registry.imagestreams import cleaning, echo
from image_registry.imagestreams.availability import available
from image_registry.imagestreams.cleaning import Kept
from image_registry.metadata.database import Database
from image_registry.oci.reference import Repository


class StorageWork:
    """A part of :class:`~image_registry.imagestreams.service.ImageStreams`."""

    _database: Database

    def pending_cleanups(self, limit: int = 100) -> list[Repository]:
        """Repositories whose links in storage may say more than they hold, those that wait longest first."""
        with available():
            return cleaning.pending(self._database, limit)

    def clean(self, repository: Repository, sweep: Callable[[Kept], bool]) -> bool:
        """Let ``sweep`` remove every link that is not kept, under the lock of the repository; true when clean.

        ``sweep`` returns false to go on another time (so that pushes need not wait for a long removal), and must not
        call this object. See :mod:`~image_registry.imagestreams.cleaning`.
        """
        with available():
            return cleaning.clean(self._database, repository, sweep)

    def unechoed(self, limit: int = 100) -> list[Repository]:
        """Repositories with tags whose links in storage may lag behind."""
        with available():
            return echo.waiting(self._database, limit)

    def settle(self, repository: Repository, write: echo.Write) -> int:
        """Let the links of the repository's tags say what they mean; returns how many were written.

        ``write`` makes them durable and must not call this object. See :mod:`~image_registry.imagestreams.echo`.
        """
        with available():
            return echo.settle(self._database, repository, write)
