"""Everything that the tables know, for who goes through all of it.

Rules that conclude something from the absence of a row ask first whether the tables are whole
(:mod:`~image_registry.imagestreams.coverage`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from image_registry.imagestreams import echo
from image_registry.imagestreams.cleaning import Kept, kept_by
from image_registry.metadata import cleanups, inventory, origins, rebuilds, streams
from image_registry.metadata.database import Database
from image_registry.oci.reference import Repository

PAGE = 1000
"""Images that are read at once."""


class Inventory:
    """Every method may raise ``DatabaseUnavailable``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def whole(self) -> bool:
        """Whether the tables speak for all repositories."""
        with self._database.read() as connection:
            return rebuilds.state(connection).finished is not None

    def digests(self) -> Iterator[str]:
        """All that images are: manifests, configurations, layers, what an index lists. Held by a stream or not."""
        after = ""
        while True:
            with self._database.read() as connection:
                page = inventory.contents(connection, after=after, limit=PAGE)
            for row in page:
                yield row.digest
                if row.config:
                    yield row.config
                for layer in row.layers:
                    yield layer[0]
                for manifest in row.manifests:
                    yield manifest[0]
            if len(page) < PAGE:
                return
            after = page[-1].digest

    def kept(self, repository: Repository) -> Kept:
        """What a repository holds at the moment; nobody is kept from changing it."""
        with self._database.read() as connection:
            return _kept(connection, repository, None)

    def imported(self, repository: Repository) -> frozenset[str]:
        """Manifests of a repository that another registry has as well, and whose bytes may still be there."""
        with self._database.read() as connection:
            stream = streams.find_id(connection, repository.namespace, repository.name)
            return frozenset(origins.of_stream(connection, stream)) if stream is not None else frozenset()

    def repositories(self, namespace: str = "") -> Iterator[Repository]:
        """All that the tables know, or those of a namespace, in order."""
        after = ("", "")
        while True:
            with self._database.read() as connection:
                page = inventory.names(connection, namespace, after=after, limit=PAGE)
            for row in page:
                yield Repository(row.namespace, row.name)
            if len(page) < PAGE:
                return
            after = (page[-1].namespace, page[-1].name)

    def to_be_cleaned(self) -> frozenset[Repository]:
        """Repositories of which something was deleted a moment ago, and whose links are still there."""
        with self._database.read() as connection:
            return frozenset(Repository(row.namespace, row.name) for row in cleanups.places(connection))

    def compare(self, repository: Repository, before: datetime, sweep: Callable[[Kept], bool]) -> bool:
        """Let ``sweep`` remove links to blobs that are not kept, under the lock of the repository.

        Those that are older than ``before``, and none unless everything in the repository was understood. False where
        the tables do not speak for it.
        """
        namespace, name = repository.namespace, repository.name
        with self._database.write() as connection:
            streams.lock(self._database, connection, namespace, name)
            if not rebuilds.covers(connection, namespace, name):
                return False
            kept = _kept(connection, repository, before)
            with self._database.alone_too(connection, echo.key(repository)):
                return sweep(kept)


def _kept(connection: Connection, repository: Repository, before: datetime | None) -> Kept:
    """Unlike after a deletion, which somebody wanted, nothing goes here that was not understood, nor what it needs."""
    kept = kept_by(connection, repository, before)
    found = frozenset(row.subject for row in rebuilds.findings_of(connection, repository.namespace, repository.name))
    return replace(kept, left_alone=found, blobs_before=None) if found else kept
