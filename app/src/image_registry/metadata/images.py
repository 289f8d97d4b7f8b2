"""Queries about images and about which repository holds which manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from image_registry.metadata.database import Database
from image_registry.metadata.tables import Record, held_manifests, image_streams, images, tag_events, tags

_AT_ONCE = 1000
"""Digests that one statement names."""

_of_name = (image_streams.c.namespace == bindparam("namespace")) & (image_streams.c.name == bindparam("name"))
_this = images.c.digest == bindparam("at_digest")
_held_here = (held_manifests.c.stream_id == bindparam("stream")) & (held_manifests.c.digest == bindparam("at_digest"))

_add_postgresql = postgresql.insert(images).on_conflict_do_nothing().returning(images.c.digest)
_add_sqlite = sqlite.insert(images).on_conflict_do_nothing().returning(images.c.digest)
_keep = select(images.c.digest).where(_this).with_for_update(key_share=True)
_keep_all = (
    select(images.c.digest)
    .where(images.c.digest.in_(bindparam("digests", expanding=True)))
    .order_by(images.c.digest)
    .with_for_update(key_share=True)
)
_find = select(images).where(_this)
_find_exclusive = select(images).where(_this).with_for_update()
_sizes = (
    select(images.c.digest, images.c.manifest_size)
    .where(images.c.digest > bindparam("after"))
    .order_by(images.c.digest)
)
_page = select(images).where(images.c.digest > bindparam("after")).order_by(images.c.digest)
_page_to = _page.where(images.c.digest <= bindparam("last"))
_changed = update(images).where(_this).values(resource_version=bindparam("resource_version_now"))
_delete = delete(images).where(_this)

_held = (
    select(held_manifests.c.digest, held_manifests.c.media_type, held_manifests.c.size)
    .select_from(image_streams)
    .join(held_manifests, held_manifests.c.stream_id == image_streams.c.id)
    .where(_of_name, held_manifests.c.digest == bindparam("at_digest"))
)
_held_of = select(held_manifests.c.digest).where(
    held_manifests.c.stream_id == bindparam("stream"),
    held_manifests.c.digest.in_(bindparam("of_digests", expanding=True)),
)
_referrers = (
    select(held_manifests.c.digest, held_manifests.c.media_type, held_manifests.c.size)
    .select_from(images)
    .join(held_manifests, held_manifests.c.digest == images.c.digest)
    .join(image_streams, held_manifests.c.stream_id == image_streams.c.id)
    .where(_of_name, images.c.subject == bindparam("of_digest"), images.c.digest > bindparam("after"))
    .order_by(images.c.digest)
)
_hold = insert(held_manifests)
_held_digests = select(held_manifests.c.digest).where(held_manifests.c.stream_id == bindparam("stream"))
_release = delete(held_manifests).where(_held_here)
_renew = (
    update(held_manifests)
    .where(_held_here, held_manifests.c.pushed < bindparam("before"))
    .values(pushed=bindparam("now"))
)
_holder = (
    select(image_streams.c.namespace, image_streams.c.name)
    .join(held_manifests, held_manifests.c.stream_id == image_streams.c.id)
    .where(held_manifests.c.digest == bindparam("at_digest"))
    .order_by(image_streams.c.namespace, image_streams.c.name)
    .limit(1)
)
_holders = _holder.limit(None)
_write = (
    update(images)
    .where(_this)
    .values(
        labels=bindparam("to_labels"),
        annotations=bindparam("to_annotations"),
        owner_references=bindparam("to_owner_references"),
        finalizers=bindparam("to_finalizers"),
        managed_fields=bindparam("to_managed_fields"),
    )
)
_end = update(images).where(_this).values(deleted=bindparam("to_deleted"), generation=images.c.generation + 1)
_meant_by = (
    select(image_streams.c.namespace, image_streams.c.name, tags.c.tag)
    .join(tags, tags.c.stream_id == image_streams.c.id)
    .where(tags.c.image == bindparam("at_digest"))
    .limit(1)
)
_like = (
    select(held_manifests.c.digest)
    .where(held_manifests.c.stream_id == bindparam("stream"), held_manifests.c.digest >= bindparam("first"))
    .where(held_manifests.c.digest < bindparam("behind"))
    .union(
        select(tag_events.c.image.label("digest")).where(
            tag_events.c.stream_id == bindparam("stream"),
            tag_events.c.image >= bindparam("first"),
            tag_events.c.image < bindparam("behind"),
        )
    )
    .order_by("digest")
    .limit(2)
)
_shown = (
    select(images)
    .join(held_manifests, held_manifests.c.digest == images.c.digest)
    .where(held_manifests.c.stream_id == bindparam("stream"))
    .order_by(images.c.digest)
)
_content = (
    select(images.c.digest, images.c.config, images.c.layers)
    .join(held_manifests, held_manifests.c.digest == images.c.digest)
    .where(held_manifests.c.stream_id == bindparam("stream"))
)


def add(database: Database, connection: Connection, row: Mapping[str, Any]) -> bool:
    """Insert an image; false if it exists. From then on nobody can delete it before this transaction ends.

    Two repositories may push the same image at once, and a third caller may be deleting it: the second insert waits
    for the first one; an image that was deleted while this transaction waited is inserted again.
    """
    statement = _add_postgresql if database.is_postgresql else _add_sqlite
    while True:
        if connection.execute(statement, row).first() is not None:
            return True
        if connection.execute(_keep, {"at_digest": row["digest"]}).first() is not None:
            return False


def add_all(database: Database, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """:func:`add` for many images of different digests at once; returns the digests of those that are new."""
    statement = _add_postgresql if database.is_postgresql else _add_sqlite
    created: set[str] = set()
    # in one order, so that two who add the same images wait for each other and not in a circle
    waiting = sorted(rows, key=lambda row: str(row["digest"]))
    while waiting:
        created |= set(connection.execute(statement, waiting).scalars())
        others = [row["digest"] for row in waiting if row["digest"] not in created]
        kept = set(connection.execute(_keep_all, {"digests": others}).scalars()) if others else set()
        waiting = [row for row in waiting if row["digest"] not in created and row["digest"] not in kept]
    return created


def find(connection: Connection, digest: str, *, exclusive: bool = False) -> Record | None:
    """The row of an image; ``exclusive`` waits for pushes of the same image and makes new ones wait."""
    return connection.execute(_find_exclusive if exclusive else _find, {"at_digest": digest}).first()


def sizes(connection: Connection, *, after: str, limit: int) -> Sequence[Record]:
    """``digest`` and ``manifest_size`` of images behind ``after``, in order of their digests."""
    return connection.execute(_sizes.limit(limit), {"after": after}).all()


def page(connection: Connection, *, after: str, last: str | None) -> Sequence[Record]:
    """Images behind ``after``, in order of their digests, as far as ``last`` if that is given."""
    if last is None:
        return connection.execute(_page, {"after": after}).all()
    return connection.execute(_page_to, {"after": after, "last": last}).all()


def changed(connection: Connection, digest: str, resource_version: int) -> None:
    """Give the image the revision of its last change."""
    connection.execute(_changed, {"at_digest": digest, "resource_version_now": resource_version})


def all_changed(connection: Connection, resource_versions: Mapping[str, int]) -> None:
    """:func:`changed` for many."""
    rows = [{"at_digest": digest, "resource_version_now": number} for digest, number in resource_versions.items()]
    if rows:
        connection.execute(_changed, rows)


def remove(connection: Connection, digest: str) -> None:
    """Delete an image that no repository holds."""
    connection.execute(_delete, {"at_digest": digest})


def held(connection: Connection, namespace: str, name: str, digest: str) -> Record | None:
    """``digest``, ``media_type`` and ``size`` of a manifest, if the repository holds it."""
    return connection.execute(_held, {"namespace": namespace, "name": name, "at_digest": digest}).first()


def held_of(connection: Connection, stream: int, digests: Sequence[str]) -> list[str]:
    """Those of ``digests`` that a stream holds."""
    found: list[str] = []
    for start in range(0, len(digests), _AT_ONCE):
        found += connection.execute(
            _held_of, {"stream": stream, "of_digests": digests[start : start + _AT_ONCE]}
        ).scalars()
    return found


def referrers(
    connection: Connection, namespace: str, name: str, subject: str, *, after: str, limit: int | None
) -> Sequence[Record]:
    """``digest``, ``media_type`` and ``size`` of the held manifests that name ``subject``, in order of digests."""
    where = {"namespace": namespace, "name": name, "of_digest": subject, "after": after}
    return connection.execute(_referrers if limit is None else _referrers.limit(limit), where).all()


def hold(connection: Connection, row: Mapping[str, Any]) -> None:
    """Note that a stream holds a manifest that it did not hold."""
    connection.execute(_hold, row)


def hold_all(connection: Connection, stream: int, rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """:func:`hold` for manifests of one stream; those that it holds already stay as they are. Returns the others."""
    digests = [row["digest"] for row in rows]
    known = set(connection.execute(_held_of, {"stream": stream, "of_digests": digests}).scalars())
    missing = [row for row in rows if row["digest"] not in known]
    if missing:
        connection.execute(_hold, missing)
    return {str(row["digest"]) for row in missing}


def renew(connection: Connection, stream: int, digest: str, now: datetime, before: datetime) -> bool:
    """Note that a manifest that a stream holds was pushed again; false if it came after ``before`` anyway."""
    where = {"stream": stream, "at_digest": digest, "now": now, "before": before}
    return bool(connection.execute(_renew, where).rowcount)


def held_digests(connection: Connection, stream: int) -> set[str]:
    """What a stream holds."""
    return set(connection.execute(_held_digests, {"stream": stream}).scalars())


def release(connection: Connection, stream: int, digest: str) -> bool:
    """The stream holds the manifest no more; false if it did not."""
    return bool(connection.execute(_release, {"stream": stream, "at_digest": digest}).rowcount)


def holder(connection: Connection, digest: str) -> Record | None:
    """``namespace`` and ``name`` of one stream that holds the image."""
    return connection.execute(_holder, {"at_digest": digest}).first()


def holders(connection: Connection, digest: str) -> Sequence[Record]:
    """``namespace`` and ``name`` of every stream that holds the image."""
    return connection.execute(_holders, {"at_digest": digest}).all()


def meant_by(connection: Connection, digest: str) -> Record | None:
    """``namespace``, ``name`` and ``tag`` of one tag that means the image."""
    return connection.execute(_meant_by, {"at_digest": digest}).first()


def like(connection: Connection, stream: int, beginning: str) -> list[str]:
    """At most two digests of images of a stream, held or in its history, that begin like this."""
    where = {"stream": stream, "first": beginning, "behind": beginning + "\x7f"}
    return list(connection.execute(_like, where).scalars())


def of_stream(connection: Connection, stream: int) -> Sequence[Record]:
    """The rows of all images that a stream holds."""
    return connection.execute(_shown, {"stream": stream}).all()


def write(connection: Connection, digest: str, values: Mapping[str, Any]) -> None:
    """Let the metadata of an image say this; ``values`` by column."""
    connection.execute(_write, {"at_digest": digest, **{f"to_{name}": value for name, value in values.items()}})


def end(connection: Connection, digest: str, moment: Any) -> None:
    """From now on the Image waits for its finalizers; for nothing any more if there is no ``moment``."""
    connection.execute(_end, {"at_digest": digest, "to_deleted": moment})


def content(connection: Connection, stream: int) -> Sequence[Record]:
    """``digest``, ``config`` and ``layers`` of every manifest that a stream holds."""
    return connection.execute(_content, {"stream": stream}).all()
