"""The rules for what comes from other registries, as one object: importing it, finding it again, fetching it once.

What :class:`~image_registry.imagestreams.service.ImageStreams` is for the registry's door and for reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from image_registry.imagestreams import imports, rows
from image_registry.imagestreams.accounting import Accounts
from image_registry.imagestreams.availability import available
from image_registry.imagestreams.imports import Import, ImportOutcome
from image_registry.imagestreams.limits import Limits
from image_registry.imagestreams.model import TagSpec
from image_registry.metadata import attempts, origins
from image_registry.metadata.database import Database
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository

SOURCES = 5
"""Places that are tried for one blob."""

IMPORTING = timedelta(minutes=3)
"""The same for one that imports tags of a stream."""

_IMPORT = "import"
"""What stands in place of a digest in the claim of an import."""

BELIEVED = timedelta(seconds=30)
"""How long a process that fetches is believed to live after it last said so."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A repository of another registry, ``quay.io/team/app``, that has something; ``size`` in bytes where known."""

    name: str
    insecure: bool
    size: int = 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A wanted tag that may be due: when it was last tried, if ever, in which generation, and how that went."""

    repository: Repository
    spec: TagSpec
    attempted: datetime | None
    tried_generation: int = 0
    failures: int = 0
    again: bool = False


class Imports:
    """Every method may raise :class:`MetadataUnavailable`."""

    def __init__(
        self, database: Database, *, accounts: Accounts, clock: Callable[[], datetime], limits: Callable[[str], Limits]
    ) -> None:
        self._database, self._accounts, self._clock, self._limits = database, accounts, clock, limits

    def limits(self, namespace: str) -> Limits:
        """What holds there. Raises :class:`LimitsUnknown`."""
        return self._limits(namespace)

    def apply(self, request: Import) -> ImportOutcome:
        """See :func:`image_registry.imagestreams.imports.apply`."""
        with available():
            return imports.apply(self._database, request, self._accounts, self._clock())

    def origin(self, repository: Repository, digest: Digest) -> Origin | None:
        """From where a manifest that the repository holds was imported."""
        with available(), self._database.read() as connection:
            row = origins.of_manifest(connection, repository.namespace, repository.name, str(digest))
        return Origin(row.origin, row.insecure) if row else None

    def blob_origins(self, repository: Repository, digest: Digest) -> tuple[Origin, ...]:
        """From where a blob of an imported image may be had, the best place first; empty if it is of none."""
        with available(), self._database.read() as connection:
            found = origins.of_blob(connection, repository.namespace, repository.name, str(digest), SOURCES)
        return tuple(dict.fromkeys(Origin(row.origin, row.insecure, row.size) for row in found))

    def holders(self, digest: Digest) -> tuple[tuple[Repository, bool], ...]:
        """Repositories that imported a blob or a manifest, some of them; true for a manifest."""
        with available(), self._database.read() as connection:
            found = origins.holders(connection, str(digest), SOURCES)
        return tuple((Repository(row.namespace, row.name), bool(row.manifest)) for row in found)

    def now(self) -> datetime:
        """The time that everything here goes by."""
        return self._clock()

    def candidates(self, before: datetime, limit: int) -> list[Candidate]:
        """Tags that were never tried as they are wanted, or not since ``before`` though they may be due again."""
        with available(), self._database.read() as connection:
            found = attempts.candidates(connection, before, limit)
        return [
            Candidate(
                Repository(row.namespace, row.name),
                rows.tag_spec(row),
                rows.utc(row.attempted) if row.attempted else None,
                row.tried_generation or 0,
                row.failures or 0,
                bool(row.again),
            )
            for row in found
        ]

    def claim_import(self, repository: Repository, holder: str) -> bool:
        """Become the one process that imports tags of this stream; false while another one does."""
        return self._claim(repository, _IMPORT, holder, IMPORTING)

    def end_import(self, repository: Repository, holder: str) -> None:
        """It is done."""
        self._end(repository, _IMPORT, holder)

    def any_of(self, repository: Repository) -> bool:
        """Whether the repository holds an imported image."""
        with available(), self._database.read() as connection:
            return origins.any_of(connection, repository.namespace, repository.name)

    def claim_fetch(self, repository: Repository, digest: Digest, holder: str) -> bool:
        """Become the one process that fetches this, or say that it goes on; false while another one does."""
        return self._claim(repository, str(digest), holder, BELIEVED)

    def end_fetch(self, repository: Repository, digest: Digest, holder: str) -> None:
        """It is there, or it failed."""
        self._end(repository, str(digest), holder)

    def _claim(self, repository: Repository, what: str, holder: str, believed: timedelta) -> bool:
        now = self._clock()
        row = {
            "namespace": repository.namespace,
            "name": repository.name,
            "digest": what,
            "holder": holder,
            "held_until": now + believed,
        }
        with available(), self._database.write_quickly() as connection:
            return origins.claim(self._database, connection, row, now)

    def _end(self, repository: Repository, what: str, holder: str) -> None:
        with available(), self._database.write_quickly() as connection:
            origins.end(connection, repository.namespace, repository.name, what, holder)
