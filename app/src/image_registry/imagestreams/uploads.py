"""Upload sessions: what any replica should know beside the bytes in storage (design, D8).

A session needs no row: its name says whose it is, the storage says how far it is. A row saves hashing a large upload
again when it goes on in another request, and remembers that a session was cancelled. So every write here may be lost
without harm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from image_registry.imagestreams.availability import available
from image_registry.imagestreams.rows import utc
from image_registry.metadata import uploads
from image_registry.metadata.database import Database
from image_registry.oci.reference import Repository

CANCELLED = -1
"""Offset of a session that takes nothing more."""

REMEMBERED = 10_000
"""Cancelled sessions that are remembered: nobody can fill every process by cancelling. An older one could begin again,
which does what beginning a new one does."""


@dataclass(frozen=True, slots=True)
class UploadSession:
    """``offset`` in bytes; ``hash_state`` continues the hash from there, empty where it cannot be continued."""

    offset: int
    algorithm: str
    hash_state: bytes
    started: datetime

    @property
    def cancelled(self) -> bool:
        """Whether somebody ended it without a blob."""
        return self.offset == CANCELLED


class UploadSessions:
    """Every method may raise :class:`MetadataUnavailable`."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime]) -> None:
        self._database, self._clock = database, clock

    def find(self, repository: Repository, upload_id: str) -> UploadSession | None:
        """What is noted about a session of this repository; a session needs no note."""
        with available(), self._database.read() as connection:
            row = uploads.find(connection, repository.namespace, repository.name, upload_id)
        return UploadSession(row.offset, row.algorithm, bytes(row.hash_state), utc(row.started)) if row else None

    def note(self, repository: Repository, upload_id: str, *, algorithm: str, offset: int, hash_state: bytes) -> None:
        """Note how far an upload is, so that nobody need hash its bytes again; its beginning stays."""
        row = {
            "id": upload_id,
            "namespace": repository.namespace,
            "name": repository.name,
            "offset": offset,
            "algorithm": algorithm,
            "hash_state": hash_state,
            "started": self._clock(),
        }
        with available(), self._database.write_quickly() as connection:
            uploads.note(self._database, connection, row)

    def cancel(self, repository: Repository, upload_id: str) -> None:
        """Remember that the session takes nothing more."""
        self.note(repository, upload_id, algorithm="", offset=CANCELLED, hash_state=b"")

    def cancelled(self) -> frozenset[str]:
        """The names of the newest cancelled sessions that are not yet swept."""
        with available(), self._database.read() as connection:
            return frozenset(uploads.at_offset(connection, CANCELLED, REMEMBERED))

    def end(self, repository: Repository, upload_id: str) -> None:
        """Forget a session; nothing happens if it is gone already."""
        with available(), self._database.write_quickly() as connection:
            uploads.remove(connection, repository.namespace, repository.name, upload_id)

    def abandoned(self, before: datetime, limit: int = 100) -> list[tuple[Repository, str]]:
        """Sessions of which something was noted before a time and that never ended, the oldest first."""
        with available(), self._database.read() as connection:
            found = uploads.abandoned(connection, before, limit)
        return [(Repository(row.namespace, row.name), row.id) for row in found]
