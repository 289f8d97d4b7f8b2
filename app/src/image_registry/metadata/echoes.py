"""The outbox of tags: those whose links in storage may not say yet what the tables say.

Each change of a tag gives it a new mark; the mark goes when the link that was written for it is durable. A tag that has
changed again meanwhile has another mark, and keeps it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, bindparam, select, update

from image_registry.metadata.tables import Record, image_streams, tags

_waiting = (
    select(image_streams.c.namespace, image_streams.c.name)
    .join(tags, tags.c.stream_id == image_streams.c.id)
    .where(tags.c.unechoed.is_not(None))
    .distinct()
    .limit(bindparam("at_most"))
)
_of_repository = (
    select(tags.c.stream_id, tags.c.tag, tags.c.image, tags.c.unechoed)
    .join(image_streams, tags.c.stream_id == image_streams.c.id)
    .where(
        image_streams.c.namespace == bindparam("namespace"),
        image_streams.c.name == bindparam("name"),
        tags.c.unechoed.is_not(None),
    )
    .limit(bindparam("at_most"))
)
_is_waiting = (
    select(tags.c.tag)
    .join(image_streams, tags.c.stream_id == image_streams.c.id)
    .where(
        image_streams.c.namespace == bindparam("namespace"),
        image_streams.c.name == bindparam("name"),
        tags.c.tag == bindparam("at_tag"),
        tags.c.unechoed.is_not(None),
    )
)
_marks = select(tags.c.tag, tags.c.unechoed).where(
    tags.c.stream_id == bindparam("stream"), tags.c.unechoed.is_not(None)
)
_done = (
    update(tags)
    .where(
        tags.c.stream_id == bindparam("stream"),
        tags.c.tag == bindparam("at_tag"),
        tags.c.unechoed == bindparam("mark"),
    )
    .values(unechoed=None)
)


def repositories(connection: Connection, limit: int) -> Sequence[Record]:
    """``namespace`` and ``name`` of repositories with such tags."""
    return connection.execute(_waiting, {"at_most": limit}).all()


def of_repository(connection: Connection, namespace: str, name: str, limit: int) -> Sequence[Record]:
    """``stream_id``, ``tag``, ``image`` and ``unechoed`` of such tags of a repository."""
    return connection.execute(_of_repository, {"namespace": namespace, "name": name, "at_most": limit}).all()


def is_waiting(connection: Connection, namespace: str, name: str, tag: str) -> bool:
    """Whether the link of a tag may lag behind."""
    where = {"namespace": namespace, "name": name, "at_tag": tag}
    return connection.execute(_is_waiting, where).first() is not None


def marks(connection: Connection, stream: int) -> dict[str, str]:
    """The mark of every such tag of a stream."""
    return {row.tag: row.unechoed for row in connection.execute(_marks, {"stream": stream})}


def done(connection: Connection, echoed: Iterable[Record]) -> None:
    """The links of these say what was read here, durably."""
    connection.execute(_done, [{"stream": row.stream_id, "at_tag": row.tag, "mark": row.unechoed} for row in echoed])
