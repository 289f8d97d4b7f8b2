"""Queries behind limits: what a namespace or a stream holds, and what is reserved for pushes that are on their way."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from image_registry.metadata.database import Database
from image_registry.metadata.tables import Record, held_manifests, image_streams, images, reservations, tags

_in_namespace = image_streams.c.namespace == bindparam("in_namespace")
_streams = select(func.count()).select_from(image_streams).where(_in_namespace)
_images = (
    select(func.count(held_manifests.c.digest.distinct()))
    .select_from(image_streams)
    .join(held_manifests, held_manifests.c.stream_id == image_streams.c.id)
    .where(_in_namespace)
)
_tags = (
    select(func.count())
    .select_from(image_streams)
    .join(tags, tags.c.stream_id == image_streams.c.id)
    .where(_in_namespace)
)
_stream_images = select(func.count()).where(held_manifests.c.stream_id == bindparam("stream"))
_stream_tags = select(func.count()).where(tags.c.stream_id == bindparam("stream"))
_holders = (
    select(func.count())
    .select_from(image_streams)
    .join(held_manifests, held_manifests.c.stream_id == image_streams.c.id)
    .where(_in_namespace, held_manifests.c.digest == bindparam("at_digest"))
)
_stamp = (
    select(func.count(), func.max(held_manifests.c.pushed))
    .select_from(image_streams)
    .join(held_manifests, held_manifests.c.stream_id == image_streams.c.id)
    .where(_in_namespace)
)
_held_digests = (
    select(held_manifests.c.digest)
    .select_from(image_streams)
    .join(held_manifests, held_manifests.c.stream_id == image_streams.c.id)
    .where(_in_namespace)
)
_content = select(
    images.c.digest, images.c.manifest_size, images.c.content_size, images.c.config, images.c.layers
).where(images.c.digest.in_(_held_digests))

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
    """How many distinct images its streams hold."""
    return int(connection.execute(_images, {"in_namespace": namespace}).scalar_one())


def tags_in(connection: Connection, namespace: str) -> int:
    """How many tags its streams have."""
    return int(connection.execute(_tags, {"in_namespace": namespace}).scalar_one())


def images_of(connection: Connection, stream: int) -> int:
    """How many images a stream holds."""
    return int(connection.execute(_stream_images, {"stream": stream}).scalar_one())


def tags_of(connection: Connection, stream: int) -> int:
    """How many tags a stream has."""
    return int(connection.execute(_stream_tags, {"stream": stream}).scalar_one())


def holders_in(connection: Connection, namespace: str, digest: str) -> int:
    """How many streams hold an image."""
    return int(connection.execute(_holders, {"in_namespace": namespace, "at_digest": digest}).scalar_one())


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
