"""Queries about the manifests that streams hold, for those who want to see them all or to let go of one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, String, bindparam, cast, select, tuple_

from image_registry.metadata.tables import Record, held_manifests, image_streams, images, pulls, tag_events, tags

_AT_ONCE = 1000
"""Digests that one statement names."""

_here = held_manifests.c.stream_id == bindparam("stream")
_pushed = select(held_manifests.c.pushed).where(_here, held_manifests.c.digest == bindparam("of_digest"))
_pushed_by_somebody = select(held_manifests.c.digest).where(_here, held_manifests.c.pushed_by != "").limit(1)
_tag_of = (
    select(tag_events.c.tag)
    .where(tag_events.c.stream_id == bindparam("stream"), tag_events.c.image == bindparam("of_digest"))
    .limit(1)
)
# members of an index stand in its row as JSON; a digest is nothing that could stand there by chance
_listed_by = (
    select(images.c.digest)
    .join(held_manifests, held_manifests.c.digest == images.c.digest)
    .where(_here, images.c.digest != bindparam("of_digest"))
    .where(cast(images.c.manifests, String).contains(bindparam("of_digest")))
    .limit(1)
)
_referred_by = (
    select(images.c.digest)
    .join(held_manifests, held_manifests.c.digest == images.c.digest)
    .where(_here, images.c.subject == bindparam("of_digest"))
    .limit(1)
)
_of_others = held_manifests.alias()
_lent_to = (
    select(image_streams.c.namespace, image_streams.c.name, tags.c.tag)
    .join(tags, tags.c.stream_id == image_streams.c.id)
    .outerjoin(_of_others, (_of_others.c.stream_id == tags.c.stream_id) & (_of_others.c.digest == tags.c.image))
    .where(
        tags.c.image == bindparam("of_digest"), tags.c.stream_id != bindparam("stream"), _of_others.c.digest.is_(None)
    )
    .limit(1)
)
_rows: Select[Any] = select(
    held_manifests.c.digest,
    held_manifests.c.size,
    held_manifests.c.pushed,
    pulls.c.pulled,
    *(column.label(f"stream_{column.name}") for column in image_streams.c),
).select_from(
    image_streams.join(held_manifests, held_manifests.c.stream_id == image_streams.c.id).outerjoin(
        pulls, (pulls.c.stream_id == held_manifests.c.stream_id) & (pulls.c.digest == held_manifests.c.digest)
    )
)
_rest_of_one = _rows.where(
    image_streams.c.namespace == bindparam("namespace"),
    image_streams.c.name == bindparam("name"),
    held_manifests.c.digest > bindparam("after"),
).order_by(held_manifests.c.digest)


def pushed_by_somebody(connection: Connection, stream: int) -> bool:
    """Whether it is known of a manifest of a stream who pushed or imported it: of what storage told it is not."""
    return connection.execute(_pushed_by_somebody, {"stream": stream}).first() is not None


def pushed(connection: Connection, stream: int, digest: str) -> datetime | None:
    """When a manifest was pushed into a stream; ``None`` if the stream does not hold it."""
    return connection.execute(_pushed, {"stream": stream, "of_digest": digest}).scalar_one_or_none()


def tag_of(connection: Connection, stream: int, digest: str) -> str | None:
    """A tag of the stream that means the image or meant it."""
    return connection.execute(_tag_of, {"stream": stream, "of_digest": digest}).scalar_one_or_none()


def listed_by(connection: Connection, stream: int, digest: str) -> str | None:
    """An index of the stream that lists the manifest."""
    return connection.execute(_listed_by, {"stream": stream, "of_digest": digest}).scalar_one_or_none()


def referred_by(connection: Connection, stream: int, digest: str) -> str | None:
    """A manifest of the stream that has this one as its subject."""
    return connection.execute(_referred_by, {"stream": stream, "of_digest": digest}).scalar_one_or_none()


def lent_to(connection: Connection, stream: int, digest: str) -> Record | None:
    """A tag of another stream that means the image without holding it: it lives on what others hold."""
    return connection.execute(_lent_to, {"stream": stream, "of_digest": digest}).first()


def page(
    connection: Connection, *, namespace: str | None, after: tuple[str, str, str] | None, limit: int | None
) -> Sequence[Record]:
    """``digest``, ``size``, ``pushed`` and ``pulled`` of held manifests by namespace, stream and digest.

    The columns of the stream come as ``stream_<column>``; ``after`` is the last of these places.
    """
    found: list[Record] = []
    if after is not None and namespace in (None, after[0]):
        # first the rest of the stream in which the last page ended: no index reaches across two tables
        where = {"namespace": after[0], "name": after[1], "after": after[2]}
        found.extend(connection.execute(_rest_of_one.limit(limit), where).all())
    if limit is not None and len(found) >= limit:
        return found
    query = _rows
    if namespace is not None:
        query = query.where(image_streams.c.namespace == namespace)
    if after is not None:
        query = query.where(tuple_(image_streams.c.namespace, image_streams.c.name) > tuple_(*after[:2]))
    query = query.order_by(image_streams.c.namespace, image_streams.c.name, held_manifests.c.digest)
    found.extend(connection.execute(query.limit(None if limit is None else limit - len(found))).all())
    return found


def images_of(connection: Connection, digests: Sequence[str]) -> dict[str, Record]:
    """The rows of images, by digest."""
    found: dict[str, Record] = {}
    for start in range(0, len(digests), _AT_ONCE):
        query = select(images).where(images.c.digest.in_(digests[start : start + _AT_ONCE]))
        found.update((str(row.digest), row) for row in connection.execute(query))
    return found
