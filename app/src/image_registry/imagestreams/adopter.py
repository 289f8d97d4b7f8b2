"""Making the tables of a repository from what lies in storage, as one object.

What :class:`~image_registry.imagestreams.service.ImageStreams` is for the registry's door and for reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from image_registry.imagestreams import adoption
from image_registry.imagestreams.adoption import Finding, FoundManifest, FoundTag, Links, Taken
from image_registry.imagestreams.availability import available
from image_registry.imagestreams.records import Recalled
from image_registry.metadata.database import Database
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository

NOTHING = Recalled()


class Adopter:
    """Every method may raise :class:`MetadataUnavailable`."""

    def __init__(self, database: Database, *, internal_hostname: str, clock: Callable[[], datetime]) -> None:
        self._database, self._host, self._clock = database, internal_hostname, clock

    def manifests(self, repository: Repository, found: Sequence[FoundManifest], recalled: Recalled = NOTHING) -> Taken:
        """Let a repository that was not reached yet hold what storage has: a portion of it, no digest twice."""
        with available():
            return adoption.hold(
                self._database, repository, found, recalled, reference=f"{self._host}/{repository}", now=self._clock()
            )

    def tags(
        self,
        repository: Repository,
        found: Sequence[FoundManifest],
        tags: Mapping[str, FoundTag],
        manifests: frozenset[Digest],
        findings: Sequence[Finding],
        links: Links,
        recalled: Recalled = NOTHING,
        *,
        rehearsal: bool = False,
    ) -> Taken:
        """The last step for a repository: from now on its tables speak for it; nothing happens if they did before.

        ``found`` is the last portion of its ``manifests``; ``recalled`` is what records say beside. A ``rehearsal``
        answers the same and changes nothing.
        ``links`` are looked up under the lock of the repository wherever the tables say otherwise.
        """
        with available():
            return adoption.finish(
                self._database,
                repository,
                found,
                tags,
                manifests,
                findings,
                links,
                recalled,
                reference=f"{self._host}/{repository}",
                now=self._clock(),
                rehearsal=rehearsal,
            )

    def images(self, recorded: Sequence[Mapping[str, Any]]) -> int:
        """Make Images again that no stream holds, from their records; returns how many are new."""
        with available():
            return adoption.remember_images(self._database, recorded, self._clock())
