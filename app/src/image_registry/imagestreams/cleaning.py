"""Making the links in storage agree with the tables again after something was deleted.

Deleting happens in any process, cleaning in the one that has the storage, later, perhaps after new content was pushed
to the same name. So the outbox names repositories only; *what* goes is everything in storage that the tables do not
hold at the time of cleaning, compared under the lock of the repository. A push writes its links under the same lock,
after its rows: it is either seen whole here, or it waits and finds out under the lock which blobs are left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from image_registry.imagestreams import echo
from image_registry.imagestreams.rows import utc
from image_registry.metadata import cleanups, images, rebuilds, streams
from image_registry.metadata.database import Database
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository


@dataclass(frozen=True, slots=True)
class Kept:
    """What a repository holds by the tables.

    Every other link goes, those of blobs only if they were written before ``blobs_before``; a link of a tag that
    means another digest is written anew.
    """

    tags: Mapping[str, Digest]
    manifests: frozenset[Digest]
    blobs: frozenset[Digest]
    blobs_before: datetime | None
    left_alone: frozenset[str] = frozenset()
    """Tags and digests that were found in storage and not understood: not ours to remove while the stream is there."""


def pending(database: Database, limit: int) -> list[Repository]:
    """Repositories to clean, those that wait longest first."""
    with database.read() as connection:
        return [Repository(row.namespace, row.name) for row in cleanups.pending(connection, limit)]


def request(database: Database, repository: Repository, now: datetime) -> None:
    """Ask for a cleaning of tags and manifests."""
    with database.write() as connection:
        streams.lock(database, connection, repository.namespace, repository.name)
        cleanups.request(connection, repository.namespace, repository.name, now)


def clean(database: Database, repository: Repository, sweep: Callable[[Kept], bool]) -> bool:
    """Let ``sweep`` remove what is not kept; true when the repository is clean.

    ``sweep`` runs under the lock of the repository and must not call back into the database. It returns false to stop
    early, so that pushes are not held up by a long removal; then the repository stays pending, as it does when
    ``sweep`` raises.
    """
    namespace, name = repository.namespace, repository.name
    with database.write() as connection:
        streams.lock(database, connection, namespace, name)
        request = cleanups.find(connection, namespace, name)
        if request is None:
            return True
        if not rebuilds.covers(connection, namespace, name):
            return False  # what the tables do not hold may only not have been read yet
        kept = kept_by(connection, repository, utc(request.blobs_before) if request.blobs_before else None)
        with database.alone_too(
            connection, echo.key(repository)
        ):  # nobody writes what they read of a tag before it was deleted
            if not sweep(kept):
                return False
        cleanups.done(connection, namespace, name)
    return True


def kept_by(connection: Connection, repository: Repository, blobs_before: datetime | None) -> Kept:
    """What the tables say of a repository; whoever removes the rest holds its lock."""
    stream = streams.find_id(connection, repository.namespace, repository.name)
    if stream is None:
        return Kept({}, frozenset(), frozenset(), blobs_before)
    held = images.content(connection, stream)
    manifests = {Digest.parse(row.digest) for row in held}
    blobs = {Digest.parse(layer[0]) for row in held for layer in row.layers}
    blobs |= {Digest.parse(row.config) for row in held if row.config}
    tags = {tag: Digest.parse(image) for tag, image in streams.tag_images(connection, stream) if image}
    found = rebuilds.findings_of(connection, repository.namespace, repository.name)
    left_alone = frozenset(row.subject for row in found)
    # distribution links the bytes of a manifest like a layer on some paths: they are content of the repository
    return Kept(tags, frozenset(manifests), frozenset(blobs | manifests), blobs_before, left_alone)
