"""Taking into the tables what storage holds: a tree of CNCF distribution, or our own after the database was lost.

Manifests come first, in portions, because holding one more is always right. The tags come last, together, in the
transaction that makes the tables speak for the repository. Storage was read before that, outside of any lock, and
pushes went on; whatever the tables say otherwise is therefore looked up once more, under the lock that a push takes.

Where records are left of what the tables knew, they add what storage does not say
(:mod:`~image_registry.imagestreams.recall`).

A power cut may lose the newest of these transactions, in their order: then the next rebuild makes them once more.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from sqlalchemy import Connection

from image_registry.imagestreams import recall, rows, tag_events
from image_registry.imagestreams.model import TagEvent
from image_registry.imagestreams.recall import Memory
from image_registry.imagestreams.records import Recalled
from image_registry.metadata import echoes, images, origins, rebuilds, records, revisions, stream_lists, streams
from image_registry.metadata.database import Database
from image_registry.metadata.revisions import Change
from image_registry.oci.digest import Digest
from image_registry.oci.manifest import Manifest
from image_registry.oci.reference import Repository

FIRST_GENERATION = 1
_NOBODY = ""


@dataclass(frozen=True, slots=True)
class FoundManifest:
    """A manifest that a repository has in storage since ``linked``, with its configuration if that can be read."""

    manifest: Manifest
    config: bytes | None
    linked: datetime


@dataclass(frozen=True, slots=True)
class FoundTag:
    """What a tag means in storage since when, and what else it has meant from when on."""

    current: Digest
    since: datetime
    past: Mapping[Digest, datetime]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in storage that cannot be taken into the tables, and is left where it is."""

    kind: str
    subject: str
    detail: str


class Links(Protocol):
    """The links of storage, for a second look under the lock."""

    def read_tag(self, repository: Repository, tag: str) -> Digest | None: ...

    def manifest_linked(self, repository: Repository, digest: Digest) -> bool: ...


@dataclass(frozen=True, slots=True)
class Taken:
    """What an adoption changed."""

    new_images: int = 0
    tags_changed: int = 0
    removed: int = 0


def hold(
    database: Database,
    repository: Repository,
    found: Sequence[FoundManifest],
    recalled: Recalled,
    *,
    reference: str,
    now: datetime,
) -> Taken:
    """Let the repository hold these manifests of different digests; ``reference`` is followed by each digest."""
    with database.write_quickly() as connection:
        streams.lock(database, connection, repository.namespace, repository.name)
        if rebuilds.covers(connection, repository.namespace, repository.name):
            return Taken()
        memory = recall.remember(recalled, streams.find(connection, repository.namespace, repository.name))
        stream, new = _stream(connection, repository, found, memory)
        created, refers = _hold(database, connection, stream, found, memory, reference)
        event: Literal["ADDED", "MODIFIED"] | None = "ADDED" if new else "MODIFIED" if refers else None
        _log(database, connection, repository, stream, created, event, now)
    return Taken(new_images=len(created))


def finish(
    database: Database,
    repository: Repository,
    found: Sequence[FoundManifest],
    tags: Mapping[str, FoundTag],
    manifests: frozenset[Digest],
    findings: Iterable[Finding],
    links: Links,
    recalled: Recalled,
    *,
    reference: str,
    now: datetime,
    rehearsal: bool = False,
) -> Taken:
    """Make the tables speak for the repository: ``found`` are the last of its ``manifests``. Storage wins.

    A ``rehearsal`` does the same whether or not they speak for it, and undoes it.
    """
    namespace, name = repository.namespace, repository.name
    with database.write(undo=True) if rehearsal else database.write_quickly() as connection:
        streams.lock(database, connection, namespace, name)
        if rebuilds.covers(connection, namespace, name) and not rehearsal:
            return Taken()
        rebuilds.mark(connection, namespace, name)
        rebuilds.note(
            connection,
            namespace,
            name,
            [{"kind": entry.kind, "subject": entry.subject, "detail": entry.detail} for entry in findings],
        )
        known = streams.find(connection, namespace, name)
        memory = recall.remember(recalled, known)
        if not found and known is None and memory.stream is None:
            return Taken()
        stream, new = _stream(connection, repository, found, memory)
        created, refers = _hold(database, connection, stream, found, memory, reference)
        created = sorted({*created, *recall.hold_elsewhere(database, connection, stream, memory)})
        lost = _release_lost(connection, repository, stream, manifests | memory.elsewhere, links)
        changed, gone = _tags(connection, repository, stream, tags, links, memory, lost, reference)
        recall.write_parts(connection, stream, memory, images.held_digests(connection, stream))
        remembered = memory.stream is not None
        event: Literal["ADDED", "MODIFIED"] | None = (
            "ADDED" if new else "MODIFIED" if changed or gone or lost or refers or remembered else None
        )
        _log(database, connection, repository, stream, created, event, now)
    return Taken(len(created), changed, len(lost) + gone)


def remember_images(database: Database, recorded: Sequence[Mapping[str, Any]], now: datetime) -> int:
    """Make the Images of these records that are not there; no stream holds them."""
    with database.write_quickly() as connection:
        made = [recall.whole_image_row(row) for row in recorded]
        created = sorted(images.add_all(database, connection, made))
        changes = [Change(revisions.IMAGE, "", digest, "ADDED") for digest in created]
        images.all_changed(
            connection, dict(zip(created, revisions.append(database, connection, changes, now), strict=True))
        )
    return len(created)


def _hold(
    database: Database,
    connection: Connection,
    stream: int,
    found: Sequence[FoundManifest],
    memory: Memory,
    reference: str,
) -> tuple[list[str], bool]:
    """Returns the digests of Images that are new, sorted, and whether one that is new to the stream has a subject."""
    if not found:
        return [], False
    created = images.add_all(
        database,
        connection,
        [
            recall.image_row(
                rows.image_row(
                    entry.manifest,
                    entry.config,
                    uid=str(uuid.uuid4()),
                    created=entry.linked,
                    reference=f"{reference}@{entry.manifest.digest}",
                ),
                memory.recalled.images.get(entry.manifest.digest),
            )
            for entry in found
        ],
    )
    held = []
    for entry in found:
        digest = str(entry.manifest.digest)
        pushed, pushed_by = memory.pushed.get(digest, (entry.linked, _NOBODY))
        row = {"stream_id": stream, "digest": digest, "pushed": pushed, "pushed_by": pushed_by}
        held.append({**row, "media_type": entry.manifest.media_type, "size": len(entry.manifest.raw)})
    taken = images.hold_all(connection, stream, held)
    refers = any(entry.manifest.subject is not None and str(entry.manifest.digest) in taken for entry in found)
    return sorted(created), refers


def _log(
    database: Database,
    connection: Connection,
    repository: Repository,
    stream: int,
    created: Sequence[str],
    event: Literal["ADDED", "MODIFIED"] | None,
    now: datetime,
) -> None:
    changes = [Change(revisions.IMAGE, "", digest, "ADDED") for digest in created]
    if event is not None:
        changes.append(Change(revisions.STREAM, repository.namespace, repository.name, event))
    numbers = revisions.append(database, connection, changes, now)
    images.all_changed(connection, dict(zip(created, numbers, strict=False)))
    if event is not None:
        streams.changed(connection, stream, numbers[-1])


def _stream(
    connection: Connection, repository: Repository, found: Sequence[FoundManifest], memory: Memory
) -> tuple[int, bool]:
    """Its key, and whether it was made now."""
    known = streams.find_id(connection, repository.namespace, repository.name)
    remembered = memory.stream and recall.stream_row(memory.stream, repository.namespace, repository.name)
    if known is not None:
        if remembered:
            records.write_stream(connection, known, remembered)
        return known, False
    row = remembered or {
        "namespace": repository.namespace,
        "name": repository.name,
        "uid": str(uuid.uuid4()),
        "created": min(entry.linked for entry in found),
        "labels": {},
        "annotations": {},
        "lookup_local": False,
        "generation": FIRST_GENERATION,
        "resource_version": 0,
    }
    return streams.add(connection, row), True


def _release_lost(
    connection: Connection, repository: Repository, stream: int, manifests: frozenset[Digest], links: Links
) -> list[Digest]:
    """Manifests that the tables hold and storage does not; one that was pushed meanwhile has its link by now.

    What was imported needs no link: its content lies in another registry.
    """
    lost = [
        digest
        for digest in map(Digest.parse, images.held_digests(connection, stream) - origins.of_stream(connection, stream))
        if digest not in manifests and not links.manifest_linked(repository, digest)
    ]
    for digest in lost:
        images.release(connection, stream, str(digest))
        streams.forget_image(connection, stream, str(digest))
    return lost


def _tags(
    connection: Connection,
    repository: Repository,
    stream: int,
    tags: Mapping[str, FoundTag],
    links: Links,
    memory: Memory,
    lost: Sequence[Digest],
    reference: str,
) -> tuple[int, int]:
    """Write the histories that differ; returns how many tags were changed, and how many are gone."""
    held = {Digest.parse(digest) for digest in images.held_digests(connection, stream)}
    told: dict[str, tuple[TagEvent, ...]] = {
        history.tag: history.events for history in rows.tag_histories(stream_lists.histories(connection, [stream]))
    }
    # a tag without any event left is in ``tags`` alone
    meanings = {tag: Digest.parse(image) for tag, image in streams.tag_images(connection, stream) if image}
    unlinked = {Digest.parse(digest) for digest in origins.of_stream(connection, stream)}
    unlinked |= {image for image in meanings.values() if image not in held and image not in lost}
    lagging = echoes.marks(connection, stream)
    written: dict[str, list[dict[str, object]]] = {}
    gone = 0
    elsewhere = {tag for tag, past in memory.histories.items() if _lies_elsewhere(past[0].image, held, memory)}
    pointing = _pointers(told) | _pointers(memory.histories) - told.keys()
    written.update((tag, _event_rows(memory.histories[tag])) for tag in pointing - told.keys())
    for tag in sorted((meanings.keys() | tags.keys() | elsewhere) - pointing):
        found = tags.get(tag)
        if tag in elsewhere and (found is None or found.current == memory.histories[tag][0].image):
            if told.get(tag) != memory.histories[tag]:
                written[tag] = _event_rows(memory.histories[tag])
            continue
        if meanings.get(tag) in unlinked and (found is None or found.current == meanings[tag]):
            continue  # imported, or in another stream: nothing here can say otherwise
        current = found.current if found else None
        if tag in lagging:
            current = meanings[tag]  # pushed a moment ago: the link follows
        elif tag in meanings and meanings[tag] != current:
            current = links.read_tag(repository, tag)  # a push may have been faster than we read
        if current is None or current not in held:
            if tag in meanings:
                streams.remove_tag(connection, stream, tag)
                gone += 1
            continue
        events = _history(told.get(tag, ()), memory.histories.get(tag, ()))
        past = dict(found.past) if found else {}
        since = found.since if found and found.current == current else None
        merged = tag_events.adopted(
            events,
            TagEvent(
                since or past.get(current) or _latest(events), current, f"{reference}@{current}", FIRST_GENERATION
            ),
            [
                TagEvent(written_at, digest, f"{reference}@{digest}", FIRST_GENERATION)
                for digest, written_at in past.items()
                if digest in held
            ],
        )
        if merged != told.get(tag, ()) or tag not in meanings:
            written[tag] = _event_rows(merged)
    streams.write_histories(connection, stream, written, lagging)
    return len(written), gone


def _pointers(histories: Mapping[str, tuple[TagEvent, ...]]) -> set[str]:
    """Tags that mean no image: if they have a link it is left of what they meant before."""
    return {tag for tag, events in histories.items() if events[0].image is None}


def _lies_elsewhere(image: Digest | None, held: AbstractSet[Digest], memory: Memory) -> bool:
    """Whether what a tag meant has no link in storage by which that could be checked."""
    return image in memory.elsewhere or (image not in held and str(image) not in memory.pushed)


def _history(told: tuple[TagEvent, ...], remembered: tuple[TagEvent, ...]) -> tuple[TagEvent, ...]:
    """What the tables say, with what is remembered behind it: they may have been told something since."""
    images_told = {event.image for event in told}
    return (*told, *(event for event in remembered if event.image not in images_told)) if told else remembered


def _event_rows(history: tuple[TagEvent, ...]) -> list[dict[str, object]]:
    """The oldest first."""
    return [
        {
            "created": event.created,
            "image": event.digest,
            "reference": event.reference,
            "generation": event.generation,
        }
        for event in reversed(history)
    ]


def _latest(events: tuple[TagEvent, ...]) -> datetime:
    return events[0].created if events else datetime.fromtimestamp(0).astimezone()
