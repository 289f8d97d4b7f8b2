"""A push: the one transaction in which a manifest becomes an Image, a held manifest and perhaps a tag event.

Order inside of the transaction, the same for every writer so that nobody waits in a circle: the lock of the
repository, that of new streams in its namespace, that of the namespace where limits are, the row of the image, what
the door has to do in storage, the revision counter, commit. The links of tags follow the commit
(:mod:`~image_registry.imagestreams.echo`).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Connection

from image_registry.imagestreams import cleaning, rows, tag_writes
from image_registry.imagestreams.accounting import Accounts
from image_registry.imagestreams.limits import NO_LIMITS, Limits
from image_registry.imagestreams.model import TagEvent
from image_registry.imagestreams.tag_events import Effect
from image_registry.imagestreams.tag_writes import Newest
from image_registry.metadata import images, revisions, specs, streams
from image_registry.metadata.database import Database, DatabaseUnavailable
from image_registry.metadata.revisions import Change
from image_registry.metadata.tables import Record
from image_registry.oci.digest import Digest
from image_registry.oci.manifest import Manifest
from image_registry.oci.reference import Repository

FIRST_GENERATION = 1

RENEWED = timedelta(minutes=1)
"""Age at which a manifest without a tag is made young by being pushed again: a repeated push a moment later writes
nothing."""

REMEMBERED = 10_000
"""Repositories whose stream a process remembers."""


@dataclass(frozen=True, slots=True)
class PushOutcome:
    """What a push changed; ``previous`` is what the tag meant before, if it meant something else."""

    created_stream: bool
    created_image: bool
    changed_tag: bool
    previous: Digest | None


@dataclass(frozen=True, slots=True)
class Push:
    """What is pushed, by whom, and what the door has to say about it.

    ``authorize_create`` runs before a stream is made and may raise. ``before_commit`` runs under the lock of the
    repository when nothing but the commit is left: the door makes sure that the blobs are still linked and writes its
    links there; it must not call back into the database. Whatever either raises undoes the push.
    """

    repository: Repository
    manifest: Manifest
    tag: str | None
    config: bytes | None
    pushed_by: str
    authorize_create: Callable[[], None]
    before_commit: Callable[[], None]
    precondition: Callable[[Digest | None], None] | None = None
    """Told under the lock what the tag means; may raise."""
    limits: Limits = NO_LIMITS
    linked: bool = False
    """The door has linked the manifest already: whatever goes wrong, its links are to be compared with the tables."""
    confirm_create: Callable[[], None] = lambda: None
    """Asked under the lock of the namespace's new streams, however lately ``authorize_create`` was; may raise."""


class KnownStreams:
    """Repositories that had a stream a moment ago: asking again whether one would be made is not worth a question."""

    def __init__(self) -> None:
        self._names: dict[Repository, None] = {}

    def __contains__(self, repository: Repository) -> bool:
        return repository in self._names

    def add(self, repository: Repository) -> None:
        """Remember one; what was remembered longest is forgotten."""
        if len(self._names) >= REMEMBERED:
            self._names.clear()
        self._names[repository] = None


def push(
    database: Database,
    request: Push,
    *,
    reference: str,
    now: datetime,
    known: KnownStreams | None = None,
    accounts: Accounts | None = None,
) -> PushOutcome:
    """Apply the push; ``reference`` is the pull specification of the manifest in this repository."""
    repository, accounts = request.repository, accounts or Accounts(database)
    linking, may_create = request.linked, False

    def link() -> None:
        nonlocal linking
        linking = True
        request.before_commit()

    def apply(connection: Connection) -> PushOutcome:
        streams.lock(database, connection, repository.namespace, repository.name)
        digest = str(request.manifest.digest)
        row = streams.standing(connection, repository.namespace, repository.name, digest, request.tag)
        if row is None:
            if not may_create:  # deleted since we looked
                request.authorize_create()
            streams.lock_creations(database, connection, repository.namespace, shared=True)
            request.confirm_create()
        return _apply(database, connection, request, row, link, accounts, reference=reference, now=now)

    try:
        if known is None or repository not in known:
            # asked outside of the transaction where possible: an answer may take a round trip to the API server
            with database.read() as connection:
                may_create = streams.find_id(connection, repository.namespace, repository.name) is None
            if may_create:
                request.authorize_create()
        outcome = database.write_together(apply)
    except BaseException:
        # the door may have written links for rows that do not exist now; if the database is gone, a later cleaning
        # of this repository or the next push of the tag puts them right
        if linking:
            with suppress(DatabaseUnavailable):
                cleaning.request(database, repository, now)
        raise
    if known is not None:
        known.add(repository)
    return outcome


def _apply(
    database: Database,
    connection: Connection,
    request: Push,
    row: Record | None,
    link: Callable[[], None],
    accounts: Accounts,
    *,
    reference: str,
    now: datetime,
) -> PushOutcome:
    repository, manifest, digest = request.repository, request.manifest, str(request.manifest.digest)
    known = row is not None and row.event is not None
    if request.precondition is not None and request.tag is not None:
        request.precondition(rows.meaning(row.image) if row is not None and known else None)
    held_before = accounts.begin_push(connection, repository, request.limits, [digest])
    stream, generation = (row.id, row.generation) if row else (_new_stream(connection, request, now), FIRST_GENERATION)
    created_image, new_image = False, row is None or row.held is None
    if new_image:  # what a stream holds is an image, and nobody can delete it meanwhile
        created_image = _hold(database, connection, request, stream, reference=reference, now=now)
    # a part of an index that follows must not be pruned before it comes; the history of a tag says its own age
    renewed = not new_image and request.tag is None and images.renew(connection, stream, digest, now, now - RENEWED)
    changed_tag, previous, new_tag = False, None, False
    if request.tag is not None:
        event = TagEvent(now, manifest.digest, reference, generation)
        changed_tag, previous, new_tag = _record(connection, stream, request.tag, event, row)
        if new_tag and request.limits:  # one that is wanted already has been counted
            new_tag = specs.find(connection, stream, request.tag) is None
    accounts.end_push(
        connection,
        repository,
        manifest,
        request.limits,
        held_before,
        now,
        stream=stream,
        new_stream=row is None,
        new_image=new_image,
        new_tag=new_tag,
    )
    link()
    changes = []
    if created_image:
        changes.append(Change(revisions.IMAGE, "", digest, "ADDED"))
    # who keeps the list of what refers to an image is told that it grew, though no tag changed; and who is about to
    # take an image out of the stream, because it is old, names the revision at which it was
    changed = row is None or changed_tag or renewed or (new_image and manifest.subject is not None)
    if changed:
        event_type: Literal["ADDED", "MODIFIED"] = "ADDED" if row is None else "MODIFIED"
        changes.append(Change(revisions.STREAM, repository.namespace, repository.name, event_type))
    numbers = revisions.append(database, connection, changes, now)
    if created_image:
        images.changed(connection, digest, numbers[0])
    if changed:
        streams.changed(connection, stream, numbers[-1])
    return PushOutcome(row is None, created_image, changed_tag, previous)


def _hold(
    database: Database, connection: Connection, request: Push, stream: int, *, reference: str, now: datetime
) -> bool:
    """Let the stream hold the manifest; returns whether that made an Image."""
    manifest = request.manifest
    image = rows.image_row(manifest, request.config, uid=str(uuid.uuid4()), created=now, reference=reference)
    created = images.add(database, connection, image)
    held = {
        "stream_id": stream,
        "digest": str(manifest.digest),
        "media_type": manifest.media_type,
        "size": len(manifest.raw),
        "pushed": now,
        "pushed_by": rows.text(request.pushed_by),
    }
    images.hold(connection, held)
    return created


def _new_stream(connection: Connection, request: Push, now: datetime) -> int:
    return streams.add(
        connection,
        {
            "namespace": request.repository.namespace,
            "name": request.repository.name,
            "uid": str(uuid.uuid4()),
            "created": now,
            "labels": {},
            "annotations": {},
            "lookup_local": False,
            "generation": FIRST_GENERATION,
            "resource_version": 0,
        },
    )


def _record(
    connection: Connection, stream: int, tag: str, event: TagEvent, row: Record | None
) -> tuple[bool, Digest | None, bool]:
    """Apply the event to the tag, whose newest event is in ``row``, and to those that go with it.

    Returns whether the tag changed, what it meant before if that was another, and whether it is new.
    """
    newest = None
    if row is not None and row.event is not None:
        newest = TagEvent(event.created, rows.meaning(row.image), row.reference, row.event_generation)
    known = Newest(row.event, newest) if row is not None and newest is not None else None
    if tag_writes.record(connection, stream, tag, event, known) is Effect.NOTHING:
        return False, None, False
    if row is not None and row.concerns:
        tag_writes.settle(connection, stream, tag, event)
    return True, newest.image if newest and newest.image != event.image else None, newest is None
