"""Queries behind limits: what a namespace or a stream holds, and what is reserved for pushes that are on their way."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, delete, exists, func, insert, select, union, union_all

from image_registry.metadata.database import Database
from image_registry.metadata.tables import (
    Record,
    held_manifests,
    image_streams,
    images,
    reservations,
    tag_specs,
    tags,
)

_in_namespace = image_streams.c.namespace == bindparam("in_namespace")
_streams = select(func.count()).select_from(image_streams).where(_in_namespace)
_stream: BindParameter[int] = bindparam("stream")
_elsewhere = ~exists().where(
    held_manifests.c.stream_id == tags.c.stream_id, held_manifests.c.digest == tags.c.image
) & (tags.c.image != "")
"""Of a tag that means an image which its stream does not hold: it lies in another one. A pointer means none."""
_only_wanted = ~exists().where(tags.c.stream_id == tag_specs.c.stream_id, tags.c.tag == tag_specs.c.tag)

_held_here = (
    select(held_manifests.c.digest)
    .select_from(image_streams)
    .join(held_manifests, held_manifests.c.stream_id == image_streams.c.id)
    .where(_in_namespace)
)
_meant_here = (
    select(tags.c.image)
    .select_from(image_streams)
    .join(tags, tags.c.stream_id == image_streams.c.id)
    .where(_in_namespace, _elsewhere)
)
_here = union_all(_held_here, _meant_here).subquery()
_images = select(func.count(_here.c.digest.distinct()))
_tags = (
    select(func.count())
    .select_from(image_streams)
    .join(tags, tags.c.stream_id == image_streams.c.id)
    .where(_in_namespace)
)
_wanted_tags = (
    select(func.count())
    .select_from(image_streams)
    .join(tag_specs, tag_specs.c.stream_id == image_streams.c.id)
    .where(_in_namespace, _only_wanted)
)
_stream_images = select(func.count()).where(held_manifests.c.stream_id == _stream)
_borrowed = select(tags.c.image).where(tags.c.stream_id == _stream, _elsewhere).distinct()
_stream_tags = select(func.count()).where(tags.c.stream_id == _stream)
_stream_wanted_tags = select(func.count()).select_from(tag_specs).where(tag_specs.c.stream_id == _stream, _only_wanted)
_asked_for: BindParameter[str] = bindparam("digests", expanding=True)
_places = union(
    select(image_streams.c.name, held_manifests.c.digest)
    .select_from(image_streams)
    .join(held_manifests, held_manifests.c.stream_id == image_streams.c.id)
    .where(_in_namespace, held_manifests.c.digest.in_(_asked_for)),
    select(image_streams.c.name, tags.c.image)
    .select_from(image_streams)
    .join(tags, tags.c.stream_id == image_streams.c.id)
    .where(_in_namespace, tags.c.image.in_(_asked_for)),
)
_sizes = select(images.c.digest, images.c.content_size).where(images.c.digest.in_(_asked_for))
_stamp = (
    select(func.count(), func.max(held_manifests.c.pushed))
    .select_from(image_streams)
    .join(held_manifests, held_manifests.c.stream_id == image_streams.c.id)
    .where(_in_namespace)
)
_content = select(
    images.c.digest, images.c.manifest_size, images.c.content_size, images.c.config, images.c.layers
).where(images.c.digest.in_(_held_here))

_reserved = select(reservations.c.id, reservations.c.digest, reservations.c.bytes).where(
    reservations.c.namespace == bindparam("in_namespace"), reservations.c.until > bindparam("now")
)
_reserve = insert(reservations)
_release = delete(reservations).where(reservations.c.id.in_(bindparam("ids", expanding=True)))
_expired = delete(reservations).where(reservations.c.until <= bindparam("now"))


def lock(database: Database, connection: Connection, namespace: str) -> None:
    """Let nobody else count in the namespace before this transaction ends; taken after the lock of a repository."""
    database.lock(connection, f"limits of {namespace}")


def streams_in(connection: Connection, namespace: str) -> int:
    """How many streams there are."""
    return int(connection.execute(_streams, {"in_namespace": namespace}).scalar_one())


def images_in(connection: Connection, namespace: str) -> int:
    """How many distinct images its streams hold, or have a tag of though another namespace's stream holds them."""
    return int(connection.execute(_images, {"in_namespace": namespace}).scalar_one())


def tags_in(connection: Connection, namespace: str) -> int:
    """How many tags its streams have or want."""
    given = {"in_namespace": namespace}
    return sum(int(connection.execute(query, given).scalar_one()) for query in (_tags, _wanted_tags))


def images_of(connection: Connection, stream: int) -> int:
    """How many images a stream holds or has a tag of."""
    held = int(connection.execute(_stream_images, {"stream": stream}).scalar_one())
    return held + len(borrowed_of(connection, stream))


def borrowed_of(connection: Connection, stream: int) -> frozenset[str]:
    """Digests that tags of a stream mean and another stream holds."""
    return frozenset(connection.execute(_borrowed, {"stream": stream}).scalars())


def tags_of(connection: Connection, stream: int) -> int:
    """How many tags a stream has or wants."""
    given = {"stream": stream}
    return sum(int(connection.execute(query, given).scalar_one()) for query in (_stream_tags, _stream_wanted_tags))


def places(connection: Connection, namespace: str, digests: Collection[str]) -> frozenset[tuple[str, str]]:
    """Which streams of the namespace hold these digests or have a tag of them, as (stream, digest)."""
    found = connection.execute(_places, {"in_namespace": namespace, "digests": sorted(digests)})
    return frozenset((name, digest) for name, digest in found)


def sizes(connection: Connection, digests: Collection[str]) -> Mapping[str, int]:
    """Bytes of configuration and layers of Images that are known."""
    found = connection.execute(_sizes, {"digests": sorted(digests)})
    return {digest: size for digest, size in found}  # noqa: C416 - rows are no pairs to mypy


def stamp(connection: Connection, namespace: str) -> tuple[int, str]:
    """Changes with every image that comes into the namespace or goes."""
    count, newest = connection.execute(_stamp, {"in_namespace": namespace}).one()
    return int(count), str(newest)


def content(connection: Connection, namespace: str) -> Sequence[Record]:
    """``digest``, ``manifest_size``, ``content_size``, ``config`` and ``layers`` of every image that is held."""
    return connection.execute(_content, {"in_namespace": namespace}).all()


def reserved(connection: Connection, namespace: str, now: datetime) -> Sequence[Record]:
    """``id``, ``digest`` and ``bytes`` of everything that is on its way."""
    return connection.execute(_reserved, {"in_namespace": namespace, "now": now}).all()


def reserve(connection: Connection, row: Mapping[str, Any]) -> None:
    """Note a reservation in place of an earlier one of that name."""
    release(connection, [row["id"]])
    connection.execute(_reserve, row)


def release(connection: Connection, ids: Collection[str]) -> None:
    """Forget reservations; nothing happens to those that are gone already."""
    connection.execute(_release, {"ids": list(ids)})


def forget_expired(connection: Connection, now: datetime) -> int:
    """Forget reservations whose time is over; how many there were."""
    return connection.execute(_expired, {"now": now}).rowcount
