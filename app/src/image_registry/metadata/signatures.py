"""Queries about signatures of held manifests. Writers hold the lock of the repository."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from image_registry.metadata.tables import Record, held_manifests, image_streams, signatures

_held = (
    select(held_manifests.c.stream_id)
    .select_from(image_streams)
    .join(held_manifests, held_manifests.c.stream_id == image_streams.c.id)
    .where(
        (image_streams.c.namespace == bindparam("namespace")) & (image_streams.c.name == bindparam("name")),
        held_manifests.c.digest == bindparam("at_digest"),
    )
)
_of_manifest = (signatures.c.stream_id == bindparam("stream")) & (signatures.c.digest == bindparam("at_digest"))
_all = (
    select(signatures.c.name, signatures.c.type, signatures.c.content).where(_of_manifest).order_by(signatures.c.name)
)
_of_image = (
    select(signatures.c.name, signatures.c.type, signatures.c.content, signatures.c.created)
    .where(signatures.c.digest == bindparam("at_digest"))
    .order_by(signatures.c.name, signatures.c.stream_id)
)
_remove_named = delete(signatures).where(
    signatures.c.digest == bindparam("at_digest"), signatures.c.name == bindparam("at_name")
)
_named = select(signatures.c.name).where(_of_manifest, signatures.c.name == bindparam("at_name"))
_count = select(func.count()).select_from(signatures).where(_of_manifest)
_add = insert(signatures)


def holder(connection: Connection, namespace: str, name: str, digest: str) -> int | None:
    """The stream of this repository, if it holds the manifest."""
    return connection.execute(_held, {"namespace": namespace, "name": name, "at_digest": digest}).scalar()


def of_manifest(connection: Connection, stream: int, digest: str) -> Sequence[Record]:
    """``name``, ``type`` and ``content`` of every signature, by name."""
    return connection.execute(_all, {"stream": stream, "at_digest": digest}).all()


def of_image(connection: Connection, digest: str) -> Sequence[Record]:
    """``name``, ``type``, ``content`` and ``created`` of every signature in whichever stream, by name."""
    return connection.execute(_of_image, {"at_digest": digest}).all()


def remove_everywhere(connection: Connection, digest: str, name: str) -> bool:
    """Take a signature from every stream; false if there is none of this name."""
    return bool(connection.execute(_remove_named, {"at_digest": digest, "at_name": name}).rowcount)


def exists(connection: Connection, stream: int, digest: str, name: str) -> bool:
    """Whether there is one of this name."""
    return connection.execute(_named, {"stream": stream, "at_digest": digest, "at_name": name}).first() is not None


def count(connection: Connection, stream: int, digest: str) -> int:
    """How many there are."""
    return int(connection.execute(_count, {"stream": stream, "at_digest": digest}).scalar_one())


def add(connection: Connection, row: Mapping[str, Any]) -> None:
    """Insert one."""
    connection.execute(_add, row)
