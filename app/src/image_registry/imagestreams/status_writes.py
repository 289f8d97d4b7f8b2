"""Writing the status of a stream: what its tags meant, by somebody who cleans up (parity reference 1.5, "Status
subresource").

Events can be taken away and put into another order, conditions can be set. An event of an image that the stream does
not have is refused: a digest that somebody knows must not open an image that was pushed elsewhere. A tag of another
registry whose newest event is of the generation in which it is wanted has been imported, as everywhere: who brings a
stream back says by that number that nothing is to be imported for it now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from image_registry.imagestreams import counting, reads, spec_writes
from image_registry.imagestreams.errors import MODIFIED, Conflict
from image_registry.imagestreams.model import ImageStream, TagCondition, TagEvent, TagSpec
from image_registry.imagestreams.problems import Problems
from image_registry.imagestreams.spec_rules import DOCKER_IMAGE
from image_registry.imagestreams.spec_writes import Writer
from image_registry.imagestreams.tag_events import HISTORY
from image_registry.metadata import attempts, cleanups, images, specs, streams
from image_registry.metadata.database import Database
from image_registry.oci.reference import Repository


@dataclass(frozen=True, slots=True)
class TagStatus:
    """What a tag is to have meant, the newest first, and what hinders it."""

    events: tuple[TagEvent, ...] = ()
    conditions: tuple[TagCondition, ...] = ()


def update(
    database: Database,
    repository: Repository,
    wanted: Mapping[str, TagStatus],
    writer: Writer,
    *,
    managed_fields: Sequence[Mapping[str, object]],
    uid: str,
    resource_version: int,
) -> ImageStream:
    """Change what was read as ``uid`` at ``resource_version``. Raises as :func:`spec_writes.update`."""
    with database.write(undo=writer.dry_run) as connection:
        streams.lock(database, connection, repository.namespace, repository.name)
        row = spec_writes.found(connection, repository)
        old = reads.whole(connection, row)
        if (old.meta.uid, old.meta.resource_version) != (uid, resource_version):
            raise Conflict(MODIFIED)
        now = {tag: _as_kept(status, old, tag) for tag, status in wanted.items()}
        before = _statuses(old)
        entries = [dict(entry) for entry in managed_fields]
        if now == before and entries == [dict(entry) for entry in old.meta.managed_fields]:
            return old
        _check(connection, row.id, now, before)
        counted = counting.begin(database, connection, repository, writer.limits)
        _write(connection, row.id, now, before)
        for spec in old.specs:
            if now.get(spec.name) != before.get(spec.name) and _is_imported(spec, now.get(spec.name, TagStatus())):
                tried = {"attempted": writer.now, "generation": spec.generation or 1, "failures": 0, "again": False}
                attempts.note(connection, row.id, spec.name, tried)
        specs.write_managed_fields(connection, row.id, entries or None)
        if not writer.dry_run:
            cleanups.request(connection, repository.namespace, repository.name, writer.now)
        return spec_writes.done(database, connection, repository, row.id, "MODIFIED", writer, counted)


def _statuses(stream: ImageStream) -> dict[str, TagStatus]:
    histories = {history.tag: history.events for history in stream.tags}
    return {
        tag: TagStatus(histories.get(tag, ()), tuple(stream.conditions.get(tag, ())))
        for tag in histories.keys() | stream.conditions.keys()
    }


def _as_kept(status: TagStatus, stream: ImageStream, tag: str) -> TagStatus:
    """Times are shown in whole seconds; what is meant is the event as it is kept."""
    history = stream.history(tag)
    known = {
        (event.image, event.reference, event.generation, event.created.replace(microsecond=0)): event
        for event in (history.events if history else ())
    }
    events = tuple(
        known.get((event.image, event.reference, event.generation, event.created.replace(microsecond=0)), event)
        for event in status.events
    )
    conditions = {(c.type, c.transitioned.replace(microsecond=0)): c for c in stream.conditions.get(tag, ())}
    kept = tuple(
        old
        if (old := conditions.get((c.type, c.transitioned.replace(microsecond=0)))) is not None
        and (old.status, old.reason, old.message, old.generation) == (c.status, c.reason, c.message, c.generation)
        else c
        for c in status.conditions
    )
    return TagStatus(events, kept)


def _is_imported(spec: TagSpec, status: TagStatus) -> bool:
    """Whether a tag means what its being wanted as it is now has led to."""
    from_elsewhere = spec.source is not None and spec.source.kind == DOCKER_IMAGE and not spec.reference
    if not from_elsewhere or not status.events or any(one.status == "False" for one in status.conditions):
        return False
    return status.events[0].image is not None and status.events[0].generation == (spec.generation or 1)


def _check(
    connection: Connection, stream: int, wanted: Mapping[str, TagStatus], before: Mapping[str, TagStatus]
) -> None:
    problems = Problems()
    known = {event.image for status in before.values() for event in status.events}
    new = {event.image for status in wanted.values() for event in status.events} - known
    held = set(images.held_of(connection, stream, sorted(str(digest) for digest in new if digest is not None)))
    for tag, status in wanted.items():
        if len(status.events) > HISTORY:
            problems.too_many(f"status.tags[{tag}].items", len(status.events), HISTORY)
        for place, event in enumerate(status.events):
            if event.image in new and event.digest not in held:
                problems.forbidden(f"status.tags[{tag}].items[{place}].image", "the stream does not hold this image")
    problems.check()


def _write(
    connection: Connection, stream: int, wanted: Mapping[str, TagStatus], before: Mapping[str, TagStatus]
) -> None:
    empty = TagStatus()
    histories, marks = {}, {}
    for tag in before.keys() | wanted.keys():
        old, new = before.get(tag, empty), wanted.get(tag, empty)
        if old.events != new.events:
            if new.events:
                histories[tag] = [
                    {
                        "created": event.created,
                        "image": event.digest,
                        "reference": event.reference,
                        "generation": event.generation,
                    }
                    for event in reversed(new.events)
                ]
                marks[tag] = streams.mark()
            else:
                streams.remove_tag(connection, stream, tag)
        if old.conditions != new.conditions:
            specs.clear_conditions(connection, stream, tag)
            for condition in new.conditions[:1]:
                specs.put_condition(
                    connection,
                    stream,
                    tag,
                    {
                        "type": condition.type,
                        "status": condition.status,
                        "transitioned": condition.transitioned,
                        "reason": condition.reason,
                        "message": condition.message,
                        "generation": condition.generation,
                    },
                )
    streams.write_histories(connection, stream, histories, marks)
