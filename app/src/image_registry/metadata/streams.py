"""Queries about one stream, its tags and the history of tags; for lists see :mod:`.stream_lists`.

Writers hold the lock of the repository (:func:`lock`), so they may look first and insert then.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, exists, func, insert, select, update

from image_registry.metadata.database import Database
from image_registry.metadata.key_sets import among
from image_registry.metadata.prepared import Prepared
from image_registry.metadata.tables import (
    Record,
    held_manifests,
    image_streams,
    tag_conditions,
    tag_events,
    tag_specs,
    tags,
)

_of_name = (image_streams.c.namespace == bindparam("namespace")) & (image_streams.c.name == bindparam("name"))
_this_tag = (tag_events.c.stream_id == bindparam("stream")) & (tag_events.c.tag == bindparam("at_tag"))

_find = select(image_streams).where(_of_name)
_find_id = select(image_streams.c.id).where(_of_name)
_insert = insert(image_streams).returning(image_streams.c.id)
_changed = (
    update(image_streams)
    .where(image_streams.c.id == bindparam("stream"))
    .values(resource_version=bindparam("resource_version_now"))
)
_change = Prepared(_changed)
_delete = delete(image_streams).where(image_streams.c.id == bindparam("stream"))
_held = (held_manifests.c.digest, held_manifests.c.media_type, held_manifests.c.size)
_tag_target = (
    select(*_held)
    .select_from(image_streams)
    .join(tags, tags.c.stream_id == image_streams.c.id)
    .join(
        held_manifests,
        (held_manifests.c.stream_id == image_streams.c.id) & (held_manifests.c.digest == tags.c.image),
    )
    .where(_of_name, tags.c.tag == bindparam("at_tag"))
)
_tag_names = (
    select(tags.c.tag)
    .where(tags.c.stream_id == bindparam("stream"), tags.c.tag > bindparam("after"), tags.c.image != "")
    .order_by(tags.c.tag)
)
_tag_images = select(tags.c.tag, tags.c.image).where(tags.c.stream_id == bindparam("stream"))
_tags_meaning = (
    select(tags.c.tag)
    .where(tags.c.stream_id == bindparam("stream"), tags.c.image == bindparam("at_image"))
    .order_by(tags.c.tag)
)
_insert_tag = insert(tags)
_move_tag = (
    update(tags)
    .where(tags.c.stream_id == bindparam("stream"), tags.c.tag == bindparam("at_tag"))
    .values(image=bindparam("to_image"), unechoed=bindparam("to_mark"))
)
_delete_tag = delete(tags).where(tags.c.stream_id == bindparam("stream"), tags.c.tag == bindparam("at_tag"))

_newest_event = select(tag_events).where(_this_tag).order_by(tag_events.c.id.desc()).limit(1)
_event_of_image = (
    select(tag_events)
    .where(tag_events.c.stream_id == bindparam("stream"), tag_events.c.image == bindparam("at_image"))
    .order_by(tag_events.c.id.desc())
    .limit(1)
)
_history = select(tag_events).where(_this_tag).order_by(tag_events.c.id.desc())
_newer = tag_events.alias()
_standing = (
    select(
        image_streams.c.id,
        image_streams.c.generation,
        select(held_manifests.c.size)
        .where(held_manifests.c.stream_id == image_streams.c.id, held_manifests.c.digest == bindparam("of_digest"))
        .scalar_subquery()
        .label("held"),
        tag_events.c.id.label("event"),
        tag_events.c.image,
        tag_events.c.reference,
        tag_events.c.generation.label("event_generation"),
        (
            exists().where(tag_specs.c.stream_id == image_streams.c.id, tag_specs.c.follows == bindparam("at_tag"))
            | exists().where(
                tag_conditions.c.stream_id == image_streams.c.id, tag_conditions.c.tag == bindparam("at_tag")
            )
        ).label("concerns"),
    )
    .select_from(image_streams)
    .outerjoin(
        tag_events,
        tag_events.c.id
        == select(func.max(_newer.c.id))
        .where(_newer.c.stream_id == image_streams.c.id, _newer.c.tag == bindparam("at_tag"))
        .scalar_subquery(),
    )
    .where(_of_name)
)
_stand = Prepared(_standing)
_insert_event = insert(tag_events)
_replace_event = (
    update(tag_events)
    .where(tag_events.c.id == bindparam("event"))
    .values(image=bindparam("to_image"), reference=bindparam("to_reference"), generation=bindparam("to_generation"))
)
_delete_histories = delete(tag_events).where(
    tag_events.c.stream_id == bindparam("stream"), among(tag_events.c.tag, "these")
)
_delete_tags = delete(tags).where(tags.c.stream_id == bindparam("stream"), among(tags.c.tag, "these"))
_delete_history = delete(tag_events).where(_this_tag)
_forget_image = delete(tag_events).where(
    tag_events.c.stream_id == bindparam("stream"), tag_events.c.image == bindparam("at_image")
)
_oldest_kept = (
    select(tag_events.c.id).where(_this_tag).order_by(tag_events.c.id.desc()).limit(1).offset(bindparam("beyond"))
)
_cap_history = delete(tag_events).where(_this_tag, tag_events.c.id <= _oldest_kept.scalar_subquery())
_put_event = Prepared(_insert_event, ("stream_id", "tag", "created", "image", "reference", "generation"))
_put_tag = Prepared(_insert_tag, ("stream_id", "tag", "image", "unechoed"))
_turn_tag, _cap, _turn_event = Prepared(_move_tag), Prepared(_cap_history), Prepared(_replace_event)


def lock(database: Database, connection: Connection, namespace: str, name: str) -> None:
    """Hold the repository until the end of the transaction, whether it has a stream yet or not.

    The first lock of every writer, so tag order and the order of storage links agree, and the cleaning of a deleted
    repository never meets a push to it. A transaction holds at most one repository.
    """
    database.lock(connection, f"{namespace}/{name}")


def lock_creations(database: Database, connection: Connection, namespace: str, *, shared: bool) -> None:
    """Until the end of the transaction; taken after :func:`lock`.

    Those who make streams in the namespace share it, and do not wait for each other; who deletes all of its streams
    wants it alone, and waits until each of them is there to be deleted.
    """
    database.lock(connection, f"creations:{namespace}", shared=shared)


def find(connection: Connection, namespace: str, name: str) -> Record | None:
    """The row of a stream."""
    return connection.execute(_find, {"namespace": namespace, "name": name}).first()


def standing(connection: Connection, namespace: str, name: str, digest: str, tag: str | None) -> Record | None:
    """What a push has to know of a stream, in one question.

    ``id`` and ``generation`` of the stream; ``held``, which is ``None`` if it does not hold the digest; and of the
    newest event of the tag ``event`` (its key, ``None`` for no event), ``image``, ``reference``, ``event_generation``;
    ``concerns``, true if other tags go with the tag or something hinders it.
    """
    where = {"namespace": namespace, "name": name, "of_digest": digest, "at_tag": tag or ""}
    found: Record | None = _stand.first(connection, where)
    return found


def find_id(connection: Connection, namespace: str, name: str) -> int | None:
    """The key of a stream."""
    number: int | None = connection.execute(_find_id, {"namespace": namespace, "name": name}).scalar()
    return number


def add(connection: Connection, row: Mapping[str, Any]) -> int:
    """Insert a stream; returns its key."""
    number: int = connection.execute(_insert, row).scalar_one()
    return number


def changed(connection: Connection, stream: int, resource_version: int) -> None:
    """Give the stream the revision of its last change."""
    _change.run(connection, {"stream": stream, "resource_version_now": resource_version})


def remove(connection: Connection, stream: int) -> None:
    """Delete the stream with its tags, history and held manifests; Images stay."""
    connection.execute(_delete, {"stream": stream})


def tag_target(connection: Connection, namespace: str, name: str, tag: str) -> Record | None:
    """``digest``, ``media_type`` and ``size`` of what the tag means now."""
    return connection.execute(_tag_target, {"namespace": namespace, "name": name, "at_tag": tag}).first()


def tag_names(connection: Connection, stream: int, *, after: str, limit: int | None) -> list[str]:
    """Tags behind ``after`` that mean an image, in byte order."""
    query = _tag_names if limit is None else _tag_names.limit(limit)
    return list(connection.execute(query, {"stream": stream, "after": after}).scalars())


def tag_images(connection: Connection, stream: int) -> Sequence[Record]:
    """``tag`` and ``image`` of every tag, in no particular order; the image is empty for a pointer."""
    return connection.execute(_tag_images, {"stream": stream}).all()


def tags_meaning(connection: Connection, stream: int, digest: str) -> list[str]:
    """Tags whose newest event points at the digest."""
    return list(connection.execute(_tags_meaning, {"stream": stream, "at_image": digest}).scalars())


def newest_event(connection: Connection, stream: int, tag: str) -> Record | None:
    """The row that decides what the tag means."""
    return connection.execute(_newest_event, {"stream": stream, "at_tag": tag}).first()


def event_of_image(connection: Connection, stream: int, digest: str) -> Record | None:
    """The newest row by which any tag came to mean the image."""
    return connection.execute(_event_of_image, {"stream": stream, "at_image": digest}).first()


def history(connection: Connection, stream: int, tag: str) -> Sequence[Record]:
    """All events of a tag, the newest first."""
    return connection.execute(_history, {"stream": stream, "at_tag": tag}).all()


def add_event(
    connection: Connection,
    stream: int,
    tag: str,
    event: Mapping[str, Any],
    *,
    first: bool,
    cap: int,
) -> None:
    """Put an event in front of a tag's history; what is older than ``cap`` events is forgotten."""
    _put_event.run(connection, {"stream_id": stream, "tag": tag, **event})
    if first:
        _put_tag.run(connection, {"stream_id": stream, "tag": tag, "image": event["image"], "unechoed": _mark(event)})
        return
    _turn_tag.run(connection, {"stream": stream, "at_tag": tag, "to_image": event["image"], "to_mark": _mark(event)})
    _cap.run(connection, {"stream": stream, "at_tag": tag, "beyond": cap})


def replace_event(connection: Connection, stream: int, tag: str, event_id: int, event: Mapping[str, Any]) -> None:
    """Change the newest event in place; its time stays."""
    _turn_event.run(
        connection,
        {
            "event": event_id,
            "to_image": event["image"],
            "to_reference": event["reference"],
            "to_generation": event["generation"],
        },
    )
    _turn_tag.run(connection, {"stream": stream, "at_tag": tag, "to_image": event["image"], "to_mark": _mark(event)})


def write_histories(
    connection: Connection,
    stream: int,
    histories: Mapping[str, Sequence[Mapping[str, Any]]],
    marks: Mapping[str, str],
) -> None:
    """Let each of these tags have this history and no other; events come oldest first, none may be empty.

    ``marks`` are those of tags whose links lag behind; the links of all others say what the history does.
    """
    for tag in histories.keys() & {row.tag for row in tag_images(connection, stream)}:
        remove_tag(connection, stream, tag)
    rows, events = [], []
    for tag, history in histories.items():
        events += [{"stream_id": stream, "tag": tag, **event} for event in history]
        image = history[-1]["image"]
        rows.append({"stream_id": stream, "tag": tag, "image": image, "unechoed": marks.get(tag) if image else None})
    if events:
        connection.execute(_insert_event, events)
        connection.execute(_insert_tag, rows)


def mark() -> str:
    """A new mark of a tag whose link in storage lags behind."""
    return secrets.token_hex(8)


def _mark(event: Mapping[str, Any]) -> str | None:
    """None for a pointer: it has no link in storage."""
    return mark() if event["image"] else None


def remove_tag(connection: Connection, stream: int, tag: str) -> bool:
    """Delete a tag and its history; false if there is none."""
    connection.execute(_delete_history, {"stream": stream, "at_tag": tag})
    return bool(connection.execute(_delete_tag, {"stream": stream, "at_tag": tag}).rowcount)


def remove_tags(connection: Connection, stream: int, tags: Collection[str]) -> None:
    """Delete tags and their histories, whichever of them are there."""
    these = {"stream": stream, "these": tags}
    connection.execute(_delete_histories, these)
    connection.execute(_delete_tags, these)


def forget_image(connection: Connection, stream: int, digest: str) -> None:
    """Take a digest out of every history of the stream."""
    connection.execute(_forget_image, {"stream": stream, "at_image": digest})
