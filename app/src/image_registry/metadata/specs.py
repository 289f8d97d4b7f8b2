"""Queries about what is wanted of streams and tags, and what hinders it. Writers hold the lock of the repository."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, insert, select, update

from image_registry.metadata.key_sets import among
from image_registry.metadata.tables import Record, image_streams, tag_conditions, tag_specs

_specs = (
    select(tag_specs).where(among(tag_specs.c.stream_id, "streams")).order_by(tag_specs.c.stream_id, tag_specs.c.tag)
)
_conditions = (
    select(tag_conditions)
    .where(among(tag_conditions.c.stream_id, "streams"))
    .order_by(tag_conditions.c.stream_id, tag_conditions.c.tag, tag_conditions.c.type)
)
_spec = select(tag_specs).where(tag_specs.c.stream_id == bindparam("stream"), tag_specs.c.tag == bindparam("at_tag"))
_followers = (
    select(tag_specs.c.tag, tag_specs.c.generation)
    .where(tag_specs.c.stream_id == bindparam("stream"), tag_specs.c.follows == bindparam("at_tag"))
    .order_by(tag_specs.c.tag)
)
_insert = insert(tag_specs)
_delete = delete(tag_specs).where(tag_specs.c.stream_id == bindparam("stream"), tag_specs.c.tag == bindparam("at_tag"))
_delete_all = delete(tag_specs).where(tag_specs.c.stream_id == bindparam("stream"), among(tag_specs.c.tag, "these"))
_clear_all = delete(tag_conditions).where(
    tag_conditions.c.stream_id == bindparam("stream"), among(tag_conditions.c.tag, "these")
)
_insert_condition = insert(tag_conditions)
_clear = delete(tag_conditions).where(
    tag_conditions.c.stream_id == bindparam("stream"), tag_conditions.c.tag == bindparam("at_tag")
)
_write_stream = (
    update(image_streams)
    .where(image_streams.c.id == bindparam("stream"))
    .values(
        labels=bindparam("to_labels"),
        annotations=bindparam("to_annotations"),
        lookup_local=bindparam("to_lookup_local"),
        generation=bindparam("to_generation"),
        owner_references=bindparam("to_owner_references"),
        finalizers=bindparam("to_finalizers"),
        managed_fields=bindparam("to_managed_fields"),
        source_repository=bindparam("to_source_repository"),
    )
)
_set_generation = (
    update(image_streams).where(image_streams.c.id == bindparam("stream")).values(generation=bindparam("to_generation"))
)
_write_managed_fields = (
    update(image_streams)
    .where(image_streams.c.id == bindparam("stream"))
    .values(managed_fields=bindparam("to_managed_fields"))
)
_end = (
    update(image_streams)
    .where(image_streams.c.id == bindparam("stream"))
    .values(deleted=bindparam("to_deleted"), generation=image_streams.c.generation + 1)
)


def of_streams(connection: Connection, stream_ids: Sequence[int]) -> Sequence[Record]:
    """What is wanted of the tags of several streams, each stream's together, by tag."""
    return _of(connection, _specs, stream_ids)


def conditions(connection: Connection, stream_ids: Sequence[int]) -> Sequence[Record]:
    """What hinders the tags of several streams, each stream's together, by tag."""
    return _of(connection, _conditions, stream_ids)


def find(connection: Connection, stream: int, tag: str) -> Record | None:
    """What is wanted of one tag."""
    return connection.execute(_spec, {"stream": stream, "at_tag": tag}).first()


def followers(connection: Connection, stream: int, tag: str) -> Sequence[Record]:
    """``tag`` and ``generation`` of the tags of the stream that go with this one."""
    return connection.execute(_followers, {"stream": stream, "at_tag": tag}).all()


def write_stream(connection: Connection, stream: int, values: Mapping[str, Any]) -> None:
    """Let the stream itself say this; ``values`` by column."""
    connection.execute(_write_stream, {"stream": stream, **{f"to_{name}": value for name, value in values.items()}})


def write_managed_fields(connection: Connection, stream: int, entries: Any) -> None:
    """Who set what of the stream."""
    connection.execute(_write_managed_fields, {"stream": stream, "to_managed_fields": entries})


def end(connection: Connection, stream: int, moment: Any) -> None:
    """From now on the stream waits for its finalizers."""
    connection.execute(_end, {"stream": stream, "to_deleted": moment})


def set_generation(connection: Connection, stream: int, generation: int) -> None:
    """Something else is wanted of the stream now."""
    connection.execute(_set_generation, {"stream": stream, "to_generation": generation})


def put(connection: Connection, stream: int, rows: Iterable[Mapping[str, Any]]) -> None:
    """Let these tags be wanted like this, whatever was wanted of them before."""
    found = list(rows)
    if found:
        connection.execute(_delete, [{"stream": stream, "at_tag": row["tag"]} for row in found])
        connection.execute(_insert, [{"stream_id": stream, **row} for row in found])


def remove(connection: Connection, stream: int, names: Iterable[str]) -> bool:
    """Nothing is wanted of these tags any more; false if nothing was."""
    gone = 0
    for name in names:
        gone += connection.execute(_delete, {"stream": stream, "at_tag": name}).rowcount
    return bool(gone)


def remove_all(connection: Connection, stream: int, names: Collection[str]) -> None:
    """Nothing is wanted of these tags any more, and nothing hinders them."""
    these = {"stream": stream, "these": names}
    connection.execute(_clear_all, these)
    connection.execute(_delete_all, these)


def put_condition(connection: Connection, stream: int, tag: str, row: Mapping[str, Any]) -> None:
    """Let this be the one thing that hinders the tag."""
    clear_conditions(connection, stream, tag)
    connection.execute(_insert_condition, {"stream_id": stream, "tag": tag, **row})


def clear_conditions(connection: Connection, stream: int, tag: str) -> bool:
    """Nothing hinders the tag any more; false if nothing did."""
    return bool(connection.execute(_clear, {"stream": stream, "at_tag": tag}).rowcount)


def _of(connection: Connection, query: Select[Any], stream_ids: Sequence[int]) -> Sequence[Record]:
    return connection.execute(query, {"streams": stream_ids}).all() if stream_ids else ()
