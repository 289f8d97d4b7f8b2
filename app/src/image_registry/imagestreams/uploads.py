"""Upload sessions: how far an upload is, so that any replica can take the next chunk (design, D8).

Every write here may be lost in a power cut without harm: the bytes in storage say how far the upload really is, and
a client that finds no session begins again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from image_registry.imagestreams.errors import UploadUnknown
from image_registry.imagestreams.rows import utc
from image_registry.metadata import uploads
from image_registry.metadata.database import Database
from image_registry.oci.reference import Repository


@dataclass(frozen=True, slots=True)
class UploadSession:
    """``offset`` in bytes; ``hash_state`` continues the hash from there, empty where it cannot be continued."""

    offset: int
    algorithm: str
    hash_state: bytes
    started: datetime


def begin(database: Database, repository: Repository, upload_id: str, algorithm: str, now: datetime) -> None:
    """Note a new session at offset 0."""
    row = {
        "id": upload_id,
        "namespace": repository.namespace,
        "name": repository.name,
        "offset": 0,
        "algorithm": algorithm,
        "hash_state": b"",
        "started": now,
    }
    with database.write_quickly() as connection:
        uploads.add(connection, row)


def find(database: Database, repository: Repository, upload_id: str) -> UploadSession:
    """Raises :class:`UploadUnknown`."""
    with database.read() as connection:
        row = uploads.find(connection, repository.namespace, repository.name, upload_id)
    if row is None:
        raise _unknown(repository, upload_id)
    return UploadSession(row.offset, row.algorithm, bytes(row.hash_state), utc(row.started))


def advance(database: Database, repository: Repository, upload_id: str, offset: int, state: bytes) -> None:
    """Note how far the session is. Raises :class:`UploadUnknown`."""
    with database.write_quickly() as connection:
        if not uploads.advance(connection, repository.namespace, repository.name, upload_id, offset, state):
            raise _unknown(repository, upload_id)


def end(database: Database, repository: Repository, upload_id: str) -> None:
    """Forget a session; nothing happens if it is gone already."""
    with database.write_quickly() as connection:
        uploads.remove(connection, repository.namespace, repository.name, upload_id)


def abandoned(database: Database, before: datetime, limit: int) -> list[tuple[Repository, str]]:
    """Sessions that began before a time and were never ended, the oldest first."""
    with database.read() as connection:
        found = uploads.abandoned(connection, before, limit)
    return [(Repository(row.namespace, row.name), row.id) for row in found]


def _unknown(repository: Repository, upload_id: str) -> UploadUnknown:
    return UploadUnknown(f"repository {repository} has no upload {upload_id[:64]!r}; begin the upload again")
