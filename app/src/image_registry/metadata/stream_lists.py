"""Queries for lists of streams and tags: a page costs what it shows, whatever else there is."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, null, select, tuple_

from image_registry.metadata.key_sets import among
from image_registry.metadata.tables import Record, image_streams, tag_events, tags

_of_name = (image_streams.c.namespace == bindparam("namespace")) & (image_streams.c.name == bindparam("name"))
_find_id = select(image_streams.c.id).where(_of_name)
_first_namespace = select(func.min(image_streams.c.namespace).label("namespace")).cte("found", recursive=True)
_next_namespace = select(func.min(image_streams.c.namespace)).where(
    image_streams.c.namespace > _first_namespace.c.namespace
)
_found_namespaces = _first_namespace.union_all(
    select(_next_namespace.scalar_subquery()).where(_first_namespace.c.namespace.is_not(None))
)
_namespaces = select(_found_namespaces.c.namespace).where(_found_namespaces.c.namespace.is_not(None))
"""From each name to the next by the index: as many steps as there are namespaces, not as there are streams."""

_histories = (
    select(tag_events)
    .where(among(tag_events.c.stream_id, "streams"))
    .order_by(tag_events.c.stream_id, tag_events.c.tag, tag_events.c.id.desc())
)
_event_counts = (
    select(tag_events.c.stream_id, func.count().label("events"))
    .where(among(tag_events.c.stream_id, "streams"))
    .group_by(tag_events.c.stream_id)
)
_newer = tag_events.alias()
_newest_events = (
    select(tag_events)
    .select_from(tags)
    .join(
        tag_events,
        tag_events.c.id
        == select(func.max(_newer.c.id))
        .where(_newer.c.stream_id == tags.c.stream_id, _newer.c.tag == tags.c.tag)
        .scalar_subquery(),
    )
    .where(among(tags.c.stream_id, "streams"))
    .order_by(tags.c.stream_id, tags.c.tag)
)
_tag_names = (
    select(tags.c.stream_id, func.aggregate_strings(tags.c.tag, ",").label("names"))
    .where(among(tags.c.stream_id, "streams"))
    .group_by(tags.c.stream_id)
)
_updated = (
    select(tag_events.c.stream_id, func.max(tag_events.c.created).label("updated"))
    .where(among(tag_events.c.stream_id, "streams"))
    .group_by(tag_events.c.stream_id)
)
_tags_of_streams = (
    select(
        tags.c.stream_id,
        tags.c.tag,
        # who set what of a stream may be long, and would come once for each tag, which does not show it
        *(
            (null() if column.name == "managed_fields" else column).label(f"stream_{column.name}")
            for column in image_streams.c
            if column.name != "id"
        ),
    )
    .select_from(image_streams)
    .join(tags, tags.c.stream_id == image_streams.c.id)
    .order_by(image_streams.c.namespace, image_streams.c.name, tags.c.tag)
)
_tags_of_one_stream = (
    _tags_of_streams.where(
        tags.c.stream_id == _find_id.correlate(None).scalar_subquery(), tags.c.tag > bindparam("after")
    )
    .order_by(None)
    .order_by(tags.c.tag)
)


def namespaces(connection: Connection) -> list[str]:
    """Namespaces that have streams."""
    return sorted(connection.execute(_namespaces).scalars())


def page(
    connection: Connection, *, within: Collection[str] | None, after: tuple[str, str] | None, limit: int | None
) -> Sequence[Record]:
    """Streams in order of namespace and name, all or of the namespaces ``within``, behind ``after``."""
    query = select(image_streams).order_by(image_streams.c.namespace, image_streams.c.name)
    return connection.execute(_restricted(query, within, after, limit)).all()


def names(
    connection: Connection, *, within: Collection[str] | None, after: tuple[str, str] | None, limit: int | None
) -> Sequence[Record]:
    """Like :func:`page`, but only ``namespace`` and ``name``, which the index alone can answer."""
    query = select(image_streams.c.namespace, image_streams.c.name).order_by(
        image_streams.c.namespace, image_streams.c.name
    )
    return connection.execute(_restricted(query, within, after, limit)).all()


def keys(
    connection: Connection, *, within: Collection[str] | None, after: tuple[str, str] | None, limit: int | None
) -> Sequence[Record]:
    """Like :func:`names`, with the ``id`` of each."""
    query = select(image_streams.c.id, image_streams.c.namespace, image_streams.c.name).order_by(
        image_streams.c.namespace, image_streams.c.name
    )
    return connection.execute(_restricted(query, within, after, limit)).all()


def current_events(
    connection: Connection, *, namespace: str | None, after: tuple[str, str, str] | None, limit: int | None
) -> Sequence[Record]:
    """The newest event of each tag, with the columns of its stream as ``stream_<column>``."""
    found: list[Record] = []
    if after is not None and namespace in (None, after[0]):
        # first the rest of the stream in which the last page ended: no index reaches across two tables, so one
        # comparison for both would read that stream from its beginning for every page
        where = {"namespace": after[0], "name": after[1], "after": after[2]}
        found.extend(connection.execute(_with_events(_tags_of_one_stream, limit), where).all())
    if limit is not None and len(found) >= limit:
        return found
    query = _restricted(
        _tags_of_streams, None if namespace is None else {namespace}, after[:2] if after is not None else None, None
    )
    found.extend(connection.execute(_with_events(query, None if limit is None else limit - len(found))).all())
    return found


def histories(connection: Connection, stream_ids: Sequence[int]) -> Sequence[Record]:
    """All events of several streams, each stream's together: by tag, the newest first."""
    return _of_streams(connection, _histories, stream_ids)


def newest_events(connection: Connection, stream_ids: Sequence[int]) -> Sequence[Record]:
    """The newest event of each tag of several streams, each stream's together, by tag."""
    return _of_streams(connection, _newest_events, stream_ids)


def event_counts(connection: Connection, stream_ids: Sequence[int]) -> dict[int, int]:
    """How many events a stream has, all its tags together; streams without events are left out."""
    return {row.stream_id: row.events for row in _of_streams(connection, _event_counts, stream_ids)}


def tag_names(connection: Connection, stream_ids: Sequence[int]) -> dict[int, list[str]]:
    """The tags of several streams, in no order; streams without tags are left out.

    One row for each stream: a row for each tag would take most of the time of a table of streams.
    """
    return {row.stream_id: row.names.split(",") for row in _of_streams(connection, _tag_names, stream_ids)}


def updated(connection: Connection, stream_ids: Sequence[int]) -> dict[int, Any]:
    """When something last happened to a tag of each stream; streams without events are left out."""
    return {row.stream_id: row.updated for row in _of_streams(connection, _updated, stream_ids)}


def _of_streams(connection: Connection, query: Select[Any], stream_ids: Sequence[int]) -> Sequence[Record]:
    return connection.execute(query, {"streams": stream_ids}).all() if stream_ids else ()


def _with_events(chosen: Select[Any], limit: int | None) -> Select[Any]:
    """The chosen tags with the newest event of each; the events of others are not looked at."""
    of = (chosen if limit is None else chosen.limit(limit)).subquery("page")
    newer = tag_events.alias()
    newest = select(func.max(newer.c.id)).where(newer.c.stream_id == of.c.stream_id, newer.c.tag == of.c.tag)
    return (
        select(of, tag_events.c.created, tag_events.c.image, tag_events.c.reference, tag_events.c.generation)
        .select_from(of)
        .join(tag_events, tag_events.c.id == newest.scalar_subquery())
        .order_by(of.c.stream_namespace, of.c.stream_name, of.c.tag)
    )


def _restricted(
    query: Select[Any], within: Collection[str] | None, after: tuple[str, str] | None, limit: int | None
) -> Select[Any]:
    if within is not None:
        query = query.where(image_streams.c.namespace.in_(sorted(within)))
    if after is not None:
        query = query.where(tuple_(image_streams.c.namespace, image_streams.c.name) > after)
    return query if limit is None else query.limit(limit)
