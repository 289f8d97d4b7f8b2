"""Numbers under limits: streams, images and tags of a stream and of its namespace, and whether a write fits.

Whoever counts in a namespace holds its lock until the end of the transaction, so parallel writes count one after the
other and can not pass a quota together. A push or an import knows what it adds, and counts only that; a write of what
is wanted may change anything of its stream, and counts before and after. Where no limit is, nothing is counted and
nothing is locked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from sqlalchemy import Connection

from image_registry.imagestreams import limits
from image_registry.imagestreams.limits import Excess, Limits, Scope
from image_registry.metadata import streams, usage
from image_registry.metadata.database import Database
from image_registry.oci.reference import Repository

Place: TypeAlias = tuple[Scope, str]
"""Where what is counted."""

NEW_STREAM: frozenset[Place] = frozenset({(Scope.NAMESPACE, limits.STREAMS)})
NEW_TAG: frozenset[Place] = frozenset({(Scope.NAMESPACE, limits.TAGS), (Scope.STREAM, limits.TAGS)})


@dataclass(frozen=True, slots=True)
class Standing:
    """What there was before a write, of what is limited; ``borrowed`` are images that tags mean and others hold."""

    counts: Mapping[Place, int]
    borrowed: frozenset[str]


def lock(database: Database, connection: Connection, namespace: str, given: Limits) -> None:
    """Let nobody else count in the namespace, if anything there is limited."""
    if limits.of_scope(given, Scope.NAMESPACE):
        usage.lock(database, connection, namespace)


def begin(database: Database, connection: Connection, repository: Repository, given: Limits) -> Standing | None:
    """Before anything of a stream is written, under its lock."""
    if not given:
        return None
    lock(database, connection, repository.namespace, given)
    stream = streams.find_id(connection, repository.namespace, repository.name)
    return Standing(_counts(connection, repository, stream, given), _borrowed(connection, stream, given))


def end(connection: Connection, repository: Repository, given: Limits, before: Standing | None) -> None:
    """When all of it is written and the commit is near. Raises :class:`LimitExceeded`."""
    if before is None:
        return
    stream = streams.find_id(connection, repository.namespace, repository.name)
    came = _borrowed(connection, stream, given) - before.borrowed
    for size in usage.sizes(connection, came).values() if came else ():
        limits.check_image(given, repository.namespace, size)
    after = _counts(connection, repository, stream, given)
    limits.refuse(_found(given, before.counts, after), repository.namespace, f"repository {repository}")


def check_growth(
    database: Database,
    connection: Connection,
    repository: Repository,
    stream: int,
    given: Limits,
    grew: Collection[Place],
) -> None:
    """One came of each kind. Raises :class:`LimitExceeded`."""
    lock(database, connection, repository.namespace, given)
    found = beyond(connection, repository, given, stream, grew)
    limits.refuse(found, repository.namespace, f"repository {repository}")


def beyond(
    connection: Connection, repository: Repository, given: Limits, stream: int, grew: Collection[Place]
) -> list[Excess]:
    """Limits that are exceeded now that one came of each kind."""
    wanted = tuple(limit for limit in given if (limit.scope, limit.resource) in grew)
    after = _counts(connection, repository, stream, wanted)
    return _found(wanted, {place: number - 1 for place, number in after.items()}, after)


def _found(given: Limits, before: Mapping[Place, int], after: Mapping[Place, int]) -> list[Excess]:
    return [
        excess
        for limit in given
        if (place := (limit.scope, limit.resource)) in after
        for excess in limits.beyond([limit], before=before[place], after=after[place])
    ]


def _counts(connection: Connection, repository: Repository, stream: int | None, given: Limits) -> Mapping[Place, int]:
    """What there is of everything that is limited by number."""
    namespace = repository.namespace
    counts: Mapping[Place, Callable[[], int]] = {
        (Scope.NAMESPACE, limits.STREAMS): partial(usage.streams_in, connection, namespace),
        (Scope.NAMESPACE, limits.IMAGES): partial(usage.images_in, connection, namespace),
        (Scope.NAMESPACE, limits.TAGS): partial(usage.tags_in, connection, namespace),
        (Scope.STREAM, limits.IMAGES): lambda: usage.images_of(connection, stream) if stream else 0,
        (Scope.STREAM, limits.TAGS): lambda: usage.tags_of(connection, stream) if stream else 0,
    }
    wanted = {(limit.scope, limit.resource) for limit in given}
    return {place: count() for place, count in counts.items() if place in wanted}


def _borrowed(connection: Connection, stream: int | None, given: Limits) -> frozenset[str]:
    if stream is None or not limits.of_scope(given, Scope.IMAGE, limits.SIZE):
        return frozenset()
    return usage.borrowed_of(connection, stream)
