"""Queries about what came from other registries, and who is fetching what from there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, literal, select, union_all, update
from sqlalchemy.dialects import postgresql, sqlite

from image_registry.metadata.database import Database
from image_registry.metadata.tables import Record, fetches, image_streams, remote_blobs, remote_manifests

_of_name = (image_streams.c.namespace == bindparam("namespace")) & (image_streams.c.name == bindparam("name"))
_manifest = (
    select(remote_manifests.c.origin, remote_manifests.c.insecure)
    .select_from(image_streams)
    .join(remote_manifests, remote_manifests.c.stream_id == image_streams.c.id)
    .where(_of_name, remote_manifests.c.digest == bindparam("at_digest"))
)
_blob = (
    select(remote_manifests.c.origin, remote_manifests.c.insecure, remote_blobs.c.size)
    .select_from(image_streams)
    .join(remote_blobs, remote_blobs.c.stream_id == image_streams.c.id)
    .join(
        remote_manifests,
        (remote_manifests.c.stream_id == remote_blobs.c.stream_id)
        & (remote_manifests.c.digest == remote_blobs.c.manifest),
    )
    .where(_of_name, remote_blobs.c.digest == bindparam("at_digest"))
    .order_by(remote_manifests.c.insecure, remote_manifests.c.imported.desc(), remote_manifests.c.digest)
    .limit(bindparam("at_most"))
)
_any = (
    select(remote_manifests.c.digest)
    .select_from(image_streams)
    .join(remote_manifests, remote_manifests.c.stream_id == image_streams.c.id)
    .where(_of_name)
    .limit(1)
)
_holders_of_manifest = (
    select(image_streams.c.namespace, image_streams.c.name, literal(value=True).label("manifest"))
    .join(remote_manifests, remote_manifests.c.stream_id == image_streams.c.id)
    .where(remote_manifests.c.digest == bindparam("at_digest"))
)
_holders = union_all(
    _holders_of_manifest,
    select(image_streams.c.namespace, image_streams.c.name, literal(value=False).label("manifest"))
    .join(remote_blobs, remote_blobs.c.stream_id == image_streams.c.id)
    .where(remote_blobs.c.digest == bindparam("at_digest"))
    .distinct(),
).limit(bindparam("at_most"))
_of_stream = select(remote_manifests.c.digest).where(remote_manifests.c.stream_id == bindparam("stream"))
_here = (remote_manifests.c.stream_id == bindparam("stream")) & (remote_manifests.c.digest == bindparam("at_digest"))
_move = (
    update(remote_manifests)
    .where(_here)
    .values(origin=bindparam("to_origin"), insecure=bindparam("to_insecure"), imported=bindparam("to_imported"))
)
_this = (
    (fetches.c.namespace == bindparam("at_namespace"))
    & (fetches.c.name == bindparam("at_name"))
    & (fetches.c.digest == bindparam("at_digest"))
)
_claim_postgresql = postgresql.insert(fetches).on_conflict_do_nothing().returning(fetches.c.digest)
_claim_sqlite = sqlite.insert(fetches).on_conflict_do_nothing().returning(fetches.c.digest)
_take_over = (
    update(fetches)
    .where(_this, (fetches.c.held_until < bindparam("now")) | (fetches.c.holder == bindparam("to_holder")))
    .values(holder=bindparam("to_holder"), held_until=bindparam("to_held_until"))
)
_end = delete(fetches).where(_this, fetches.c.holder == bindparam("of_holder"))


def note(connection: Connection, stream: int, digest: str, values: Mapping[str, Any], blobs: Mapping[str, int]) -> None:
    """A manifest that the stream holds may be had there now; ``blobs`` with their sizes are what it is made of.

    ``values`` are ``origin``, ``insecure`` and ``imported``.
    """
    to = {f"to_{name}": value for name, value in values.items()}
    if connection.execute(_move, {"stream": stream, "at_digest": digest, **to}).rowcount:
        return
    connection.execute(insert(remote_manifests), {"stream_id": stream, "digest": digest, **values})
    rows = [{"stream_id": stream, "digest": blob, "manifest": digest, "size": size} for blob, size in blobs.items()]
    if rows:
        connection.execute(insert(remote_blobs), rows)


def of_manifest(connection: Connection, namespace: str, name: str, digest: str) -> Record | None:
    """``origin`` and ``insecure`` of an imported manifest of a repository."""
    return connection.execute(_manifest, {"namespace": namespace, "name": name, "at_digest": digest}).first()


def of_blob(connection: Connection, namespace: str, name: str, digest: str, limit: int) -> Sequence[Record]:
    """``origin``, ``insecure`` and ``size`` of a blob of imported manifests, those with TLS first, then newer ones."""
    where = {"namespace": namespace, "name": name, "at_digest": digest, "at_most": limit}
    return connection.execute(_blob, where).all()


def holders(connection: Connection, digest: str, limit: int) -> Sequence[Record]:
    """``namespace`` and ``name`` of repositories that imported this; ``manifest`` tells whether it is one.

    Without an index for it: asked when bytes have gone bad.
    """
    return connection.execute(_holders, {"at_digest": digest, "at_most": limit}).all()


def of_stream(connection: Connection, stream: int) -> set[str]:
    """Digests of all imported manifests that a stream holds."""
    return set(connection.execute(_of_stream, {"stream": stream}).scalars())


def any_of(connection: Connection, namespace: str, name: str) -> bool:
    """Whether the repository holds an imported manifest."""
    return connection.execute(_any, {"namespace": namespace, "name": name}).first() is not None


def claim(database: Database, connection: Connection, row: Mapping[str, Any], now: datetime) -> bool:
    """Become the one who fetches, or stay it; false while somebody else is."""
    statement = _claim_postgresql if database.is_postgresql else _claim_sqlite
    if connection.execute(statement, row).first() is not None:
        return True
    where = {"at_namespace": row["namespace"], "at_name": row["name"], "at_digest": row["digest"], "now": now}
    to = {"to_holder": row["holder"], "to_held_until": row["held_until"]}
    return bool(connection.execute(_take_over, {**where, **to}).rowcount)


def end(connection: Connection, namespace: str, name: str, digest: str, holder: str) -> None:
    """Fetch no more."""
    where = {"at_namespace": namespace, "at_name": name, "at_digest": digest, "of_holder": holder}
    connection.execute(_end, where)
