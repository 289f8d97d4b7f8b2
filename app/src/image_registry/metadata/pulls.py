"""Queries about when manifests were last pulled. No object changes by it, so no revision is written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, insert, or_, select, tuple_, update

from image_registry.metadata import rebuilds
from image_registry.metadata.tables import Record, held_manifests, image_streams, pulls, pulls_noted

_same = (pulls.c.stream_id == held_manifests.c.stream_id) & (pulls.c.digest == held_manifests.c.digest)
_this = (held_manifests.c.stream_id == bindparam("stream")) & (held_manifests.c.digest == bindparam("of_digest"))
_pulled = select(pulls.c.pulled).where(
    pulls.c.stream_id == bindparam("stream"), pulls.c.digest == bindparam("of_digest")
)
_still_held = select(held_manifests.c.digest).where(_this).with_for_update(read=True, key_share=True)
_again = (
    update(pulls)
    .where(pulls.c.stream_id == bindparam("stream"), pulls.c.digest == bindparam("of_digest"))
    .values(pulled=bindparam("now"))
)
_noted = select(pulls_noted.c.since, pulls_noted.c.until).where(pulls_noted.c.id == 1)


def due(connection: Connection, pulled: Sequence[tuple[str, str, str]], before: datetime) -> Sequence[Record]:
    """``stream_id`` and ``digest`` of those that are held and of which no pull was noted since ``before``.

    ``pulled`` are namespaces, streams and digests.
    """
    query = (
        select(held_manifests.c.stream_id, held_manifests.c.digest)
        .join(image_streams, image_streams.c.id == held_manifests.c.stream_id)
        .outerjoin(pulls, _same)
        .where(tuple_(image_streams.c.namespace, image_streams.c.name, held_manifests.c.digest).in_(list(pulled)))
        .where(or_(pulls.c.pulled.is_(None), pulls.c.pulled < before))
        .order_by(held_manifests.c.stream_id, held_manifests.c.digest)
    )
    return connection.execute(query).all()


def note(connection: Connection, stream: int, digest: str, now: datetime) -> None:
    """It was pulled; nothing happens to one that the stream has let go of."""
    where = {"stream": stream, "of_digest": digest}
    if connection.execute(_still_held, where).first() is None:
        return
    if not connection.execute(_again, {**where, "now": now}).rowcount:
        connection.execute(insert(pulls), {"stream_id": stream, "digest": digest, "pulled": now})


def last(connection: Connection, stream: int, digest: str) -> datetime | None:
    """When it was last pulled, if that was noted."""
    return connection.execute(_pulled, {"stream": stream, "of_digest": digest}).scalar_one_or_none()


def noted(connection: Connection) -> Record | None:
    """``since`` and ``until``."""
    return connection.execute(_noted).first()


def say_noted(connection: Connection, since: datetime, until: datetime) -> None:
    """Pulls are noted in this time."""
    connection.execute(delete(pulls_noted))
    connection.execute(insert(pulls_noted), {"id": 1, "since": since, "until": until})


def rebuilt(connection: Connection) -> datetime | None:
    """When these tables were last made from storage, which forgets pulls; ``None`` while they are being made."""
    finished: datetime | None = rebuilds.state(connection).finished
    return finished
