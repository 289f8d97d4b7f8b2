"""Creating and changing streams as somebody wants them: one transaction each, by the same order of locks as a push.

A dry run is the same transaction, rolled back before it is logged.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection

from image_registry.imagestreams import counting, coverage, reads, rows, spec_rules, tag_writes
from image_registry.imagestreams.counting import Standing
from image_registry.imagestreams.errors import MODIFIED, Conflict, StreamExists, StreamUnknown
from image_registry.imagestreams.limits import NO_LIMITS, Limits
from image_registry.imagestreams.model import ImageStream, TagEvent, TagSpec
from image_registry.imagestreams.problems import Problems
from image_registry.imagestreams.spec_rules import DOCKER_IMAGE, STREAM_TAG, Planned, StreamDraft
from image_registry.metadata import cleanups, images, revisions, specs, streams
from image_registry.metadata.database import Database
from image_registry.metadata.revisions import Change
from image_registry.metadata.tables import Record
from image_registry.oci.reference import Repository

MayPull = Callable[[Repository], bool]
"""Whether the caller may pull from a stream; asked before the transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """How to write: when, under which host this registry is known, and who may see which stream."""

    now: datetime
    host: str
    may_pull: MayPull
    confirm_create: Callable[[], None] = lambda: None
    """Asked under the lock of the namespace's new streams; may raise."""
    dry_run: bool = False
    limits: Limits = NO_LIMITS
    """Of the namespace that is written to."""


def check_sources(draft: StreamDraft, old: ImageStream | None, may_pull: MayPull) -> None:
    """Tags of other streams show what is in those: the caller must be able to pull from them.

    Raises :class:`InvalidObject`. What the stream said before is not asked again.
    """
    problems, asked = Problems(), {draft.repository: True}
    known = {spec.name: spec.source for spec in old.specs} if old else {}
    for spec in draft.tags:
        if spec.source is None or known.get(spec.name) == spec.source:
            continue
        source = spec_rules.source_repository(draft.repository, spec.source)
        if source is None:
            continue
        if source not in asked:
            asked[source] = may_pull(source)
        if not asked[source]:
            problems.forbidden(
                f"spec.tags[{spec.name}].from", f"you may not pull from {source} (get imagestreams/layers)"
            )
    problems.check()


def create(database: Database, draft: StreamDraft, writer: Writer) -> ImageStream:
    """Make a stream. Raises :class:`StreamExists`, :class:`InvalidObject`, :class:`LimitExceeded`."""
    check_sources(draft, None, writer.may_pull)
    with database.write(undo=writer.dry_run) as connection:
        repository = draft.repository
        streams.lock(database, connection, repository.namespace, repository.name)
        coverage.require(connection, repository)
        if streams.find_id(connection, repository.namespace, repository.name) is not None:
            raise StreamExists(f"ImageStream {repository} exists")
        streams.lock_creations(database, connection, repository.namespace, shared=True)
        writer.confirm_create()
        before = counting.begin(database, connection, repository, writer.limits)
        planned = spec_rules.plan(draft, None)
        row = {
            "namespace": repository.namespace,
            "name": repository.name,
            "uid": str(uuid.uuid4()),
            "created": writer.now,
            "resource_version": 0,
            "generate_name": draft.generate_name or None,
            **_columns(draft, planned.generation),
        }
        stream = streams.add(connection, row)
        _write_tags(connection, stream, draft, planned, None, writer)
        return done(database, connection, repository, stream, "ADDED", writer, before)


def update(database: Database, draft: StreamDraft, writer: Writer, *, uid: str, resource_version: int) -> ImageStream:
    """Change the stream that was read as ``uid`` at ``resource_version``.

    Raises :class:`StreamUnknown`, :class:`Conflict` when it is not the one that was read, :class:`InvalidObject`,
    :class:`LimitExceeded`.
    """
    repository = draft.repository
    with database.read() as connection:
        before = found(connection, repository)
        known = reads.whole(connection, before)
    check_sources(draft, known, writer.may_pull)
    with database.write(undo=writer.dry_run) as connection:
        streams.lock(database, connection, repository.namespace, repository.name)
        coverage.require(connection, repository)
        row = found(connection, repository)
        old = reads.whole(connection, row)
        if (old.meta.uid, old.meta.resource_version) != (uid, resource_version):
            raise Conflict(MODIFIED)
        planned = spec_rules.plan(draft, old)
        if old.meta.deleted is not None and not draft.finalizers:
            database.be_patient(connection)
            streams.remove(connection, row.id)
            if not writer.dry_run:
                cleanups.request(connection, repository.namespace, repository.name, writer.now, blobs=True)
                gone = rows.last_state(old.meta)
                change = Change(revisions.STREAM, repository.namespace, repository.name, "DELETED", gone)
                revisions.append(database, connection, [change], writer.now)
            return replace(old, meta=replace(old.meta, finalizers=(), managed_fields=tuple(draft.managed_fields)))
        if not _differs(draft, planned, old):
            return old
        # a tag that means the same as before, or is not wanted any more, adds nothing
        counted = counting.begin(database, connection, repository, writer.limits) if planned.changed else None
        specs.write_stream(connection, row.id, _columns(draft, planned.generation))
        _write_tags(connection, row.id, draft, planned, old, writer)
        last = {"labels": dict(old.meta.labels)} if old.meta.labels != draft.labels else None
        return done(database, connection, repository, row.id, "MODIFIED", writer, counted, last)


def found(connection: Connection, repository: Repository) -> Record:
    """The row of a stream. Raises :class:`StreamUnknown`."""
    row = streams.find(connection, repository.namespace, repository.name)
    if row is None:
        raise StreamUnknown(f"no ImageStream {repository}")
    return row


def _columns(draft: StreamDraft, generation: int) -> dict[str, Any]:
    return {
        "labels": dict(draft.labels),
        "annotations": dict(draft.annotations),
        "lookup_local": draft.lookup_local,
        "generation": generation,
        "owner_references": [dict(owner) for owner in draft.owner_references] or None,
        "finalizers": list(draft.finalizers) or None,
        "managed_fields": [dict(entry) for entry in draft.managed_fields] or None,
        "source_repository": draft.source_repository or None,
    }


def _differs(draft: StreamDraft, planned: Planned, old: ImageStream) -> bool:
    meta = old.meta
    return (
        planned.generation != meta.generation
        or planned.tags != old.specs
        or dict(draft.labels) != dict(meta.labels)
        or dict(draft.annotations) != dict(meta.annotations)
        or draft.owner_references != meta.owner_references
        or draft.finalizers != meta.finalizers
        or draft.managed_fields != meta.managed_fields
    )


def _write_tags(
    connection: Connection,
    stream: int,
    draft: StreamDraft,
    planned: Planned,
    old: ImageStream | None,
    writer: Writer,
) -> None:
    known = {spec.name: spec for spec in old.specs} if old else {}
    wanted = {spec.name: spec for spec in planned.tags}
    specs.remove(connection, stream, known.keys() - wanted.keys())
    different = [spec for spec in planned.tags if known.get(spec.name) != spec]
    specs.put(
        connection,
        stream,
        [rows.spec_row(spec, follows=spec_rules.follows(draft.repository, spec)) for spec in different],
    )
    for spec in planned.tags:
        if spec.name in planned.changed:
            resolve(connection, stream, draft.repository, spec, writer)


def resolve(connection: Connection, stream: int, repository: Repository, spec: TagSpec, writer: Writer) -> bool:
    """Let a tag mean what it is to take from a stream of this registry; false if that is nothing yet, or no change.

    What comes from another registry is imported by others; a tag that only points there says so.
    """
    if spec.source is None:
        return False
    if spec.reference and spec.source.kind == DOCKER_IMAGE:
        # the link of what it meant before has to go
        cleanups.request(connection, repository.namespace, repository.name, writer.now)
        event = TagEvent(writer.now, None, spec.source.name, spec.generation or 1)
        return tag_writes.put(connection, stream, spec.name, event)
    source = spec_rules.source_repository(repository, spec.source)
    if source is None:
        return False
    found = _meaning(connection, source, spec, writer.host)
    if found is None:
        return False
    digest, reference = found
    event = TagEvent(writer.now, rows.meaning(digest), reference, spec.generation or 1)
    return tag_writes.put(connection, stream, spec.name, event)


def _meaning(connection: Connection, source: Repository, spec: TagSpec, host: str) -> tuple[str, str] | None:
    """Digest and pull specification of what the source of a tag means now; no digest if it is a pointer itself."""
    assert spec.source is not None  # noqa: S101 - the caller looked
    number = streams.find_id(connection, source.namespace, source.name)
    if number is None:
        return None
    if spec.source.kind == STREAM_TAG:
        named = spec_rules.tag_source(spec.source)
        newest = streams.newest_event(connection, number, named[1]) if named else None
        return (newest.image, newest.reference) if newest is not None else None
    image = spec_rules.image_source(spec.source)
    if image is None or not images.held_of(connection, number, [image[1]]):
        return None
    return image[1], f"{host}/{source}@{image[1]}"


def done(
    database: Database,
    connection: Connection,
    repository: Repository,
    stream: int,
    event: Literal["ADDED", "MODIFIED"],
    writer: Writer,
    before: Standing | None,
    last: Mapping[str, Any] | None = None,
) -> ImageStream:
    """Log the change, unless it is a dry run or goes beyond a limit, and return the stream as it is then.

    ``before`` is what was counted before the first write. Raises :class:`LimitExceeded`.
    """
    counting.end(connection, repository, writer.limits, before)
    if not writer.dry_run:
        change = Change(revisions.STREAM, repository.namespace, repository.name, event, last)
        streams.changed(connection, stream, revisions.append(database, connection, [change], writer.now)[0])
    return reads.whole(connection, found(connection, repository))
