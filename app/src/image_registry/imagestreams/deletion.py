"""Deleting streams, tags, manifests and images.

Nothing here touches storage: what must disappear there is noted in the outbox in the same transaction and cleaned by
the process that has the storage (:mod:`~image_registry.imagestreams.cleaning`).

Preconditions are compared under the lock that a push takes, so nothing changes between comparing and deleting. A dry
run is the same transaction, rolled back before it is logged, because numbers of the log are never given back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime

from sqlalchemy import Connection

from image_registry.imagestreams import coverage, rows
from image_registry.imagestreams.errors import Conflict, ImageInUse, ImageUnknown, StreamUnknown, TagUnknown
from image_registry.imagestreams.model import Image, ImageStream, ObjectMeta
from image_registry.metadata import cleanups, images, revisions, specs, stream_lists, streams
from image_registry.metadata.database import Database
from image_registry.metadata.revisions import Change
from image_registry.metadata.tables import Record
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository


def delete_tag(
    database: Database,
    repository: Repository,
    tag: str,
    *,
    uid: str | None,
    resource_version: int | None,
    precondition: Callable[[Digest], None] | None,
    dry_run: bool,
    now: datetime,
) -> None:
    """Delete a tag and its history; the manifests stay, and so do the Images. Preconditions are of the stream."""
    with database.write(undo=dry_run) as connection:
        stream = _locked(database, connection, repository)
        newest = streams.newest_event(connection, stream.id, tag) if precondition is not None else None
        if precondition is not None and newest is not None and newest.image:
            precondition(Digest.parse(newest.image))
        specs.clear_conditions(connection, stream.id, tag)
        wanted = specs.remove(connection, stream.id, [tag])
        if not streams.remove_tag(connection, stream.id, tag) and not wanted:
            raise TagUnknown(f"repository {repository} has no tag {tag!r}")
        check_preconditions(f"ImageStream {repository}", rows.stream(stream).meta, uid, resource_version)
        if dry_run:
            return
        modified(database, connection, repository, stream.id, now)


def delete_tags(
    database: Database, repository: Repository, tags: Collection[str], *, dry_run: bool, now: datetime
) -> None:
    """:func:`delete_tag` for many of one stream, whichever of them are there."""
    with database.write(undo=dry_run) as connection:
        try:
            stream = _locked(database, connection, repository)
        except StreamUnknown:
            return
        database.be_patient(connection)
        specs.remove_all(connection, stream.id, tags)
        streams.remove_tags(connection, stream.id, tags)
        if not dry_run:
            modified(database, connection, repository, stream.id, now)


def await_creations(database: Database, namespace: str) -> None:
    """Return when no push that has seen the namespace alive is about to make a stream in it.

    Whoever empties a namespace that ends calls this first: what is made later is made by those who ask again, and hear
    that it ends.
    """
    with database.write() as connection:
        streams.lock_creations(database, connection, namespace, shared=False)


def delete_manifest(database: Database, repository: Repository, digest: Digest, now: datetime) -> tuple[str, ...]:
    """Take a manifest out of the repository with the tags that mean it; returns those tags.

    Other tags forget it in their history: an event must not offer what cannot be pulled.
    """
    with database.write() as connection:
        stream = _locked(database, connection, repository)
        tags = streams.tags_meaning(connection, stream.id, str(digest))
        if not images.release(connection, stream.id, str(digest)):
            raise ImageUnknown(f"repository {repository} holds no manifest {digest}")
        for tag in tags:
            streams.remove_tag(connection, stream.id, tag)
        streams.forget_image(connection, stream.id, str(digest))
        modified(database, connection, repository, stream.id, now)
    return tuple(tags)


def delete_stream(
    database: Database,
    repository: Repository,
    *,
    uid: str | None,
    resource_version: int | None,
    dry_run: bool,
    now: datetime,
) -> ImageStream:
    """Delete a stream with its tags, history and held manifests; returns what it was, with the newest events alone.

    One with finalizers is marked instead, and goes with the last of them; it is returned as it waits.
    """
    with database.write(undo=dry_run) as connection:
        row = _locked(database, connection, repository)
        stream = rows.stream(row, rows.tag_histories(stream_lists.newest_events(connection, [row.id])))
        check_preconditions(f"ImageStream {repository}", stream.meta, uid, resource_version)
        if stream.meta.finalizers:
            if stream.meta.deleted is None:
                specs.end(connection, row.id, now)
                if not dry_run:
                    modified(database, connection, repository, row.id, now)
            return rows.stream(found(connection, repository), stream.tags)
        database.be_patient(connection)
        streams.remove(connection, row.id)
        if dry_run:
            return stream
        cleanups.request(connection, repository.namespace, repository.name, now, blobs=True)
        gone = rows.last_state(stream.meta)
        change = Change(revisions.STREAM, repository.namespace, repository.name, "DELETED", gone)
        revisions.append(database, connection, [change], now)
    return stream


def delete_image(
    database: Database,
    digest: Digest,
    *,
    uid: str | None,
    resource_version: int | None,
    dry_run: bool,
    now: datetime,
) -> Image:
    """Delete an Image that no stream holds; returns what it was.

    One with finalizers is marked instead, and goes with the last of them; it is returned as it waits.
    """
    with database.write(undo=dry_run) as connection:
        row = images.find(connection, str(digest), exclusive=True)
        if row is None:
            raise ImageUnknown(f"no image {digest}")
        image = rows.image(row)
        check_preconditions(f"Image {digest}", image.meta, uid, resource_version)
        holder = images.holder(connection, str(digest))
        if holder is not None:
            raise ImageInUse(
                f"image {digest} is held by ImageStream {holder.namespace}/{holder.name}; "
                "delete its tags and manifest there first"
            )
        tag = images.meant_by(connection, str(digest))
        if tag is not None:
            raise ImageInUse(
                f"image {digest} is what tag {tag.tag} of ImageStream {tag.namespace}/{tag.name} means; "
                "delete that first"
            )
        if image.meta.finalizers:
            if image.meta.deleted is None:
                images.end(connection, str(digest), now)
                if not dry_run:
                    marked = Change(revisions.IMAGE, "", str(digest), "MODIFIED")
                    number = revisions.append(database, connection, [marked], now)[0]
                    images.changed(connection, str(digest), number)
            left = images.find(connection, str(digest))
            return rows.image(left) if left is not None else image
        images.remove(connection, str(digest))
        if dry_run:
            return image
        change = Change(revisions.IMAGE, "", str(digest), "DELETED", rows.last_state(image.meta))
        revisions.append(database, connection, [change], now)
    return image


def _locked(database: Database, connection: Connection, repository: Repository) -> Record:
    streams.lock(database, connection, repository.namespace, repository.name)
    coverage.require(connection, repository)
    return found(connection, repository)


def found(connection: Connection, repository: Repository) -> Record:
    """The row of a stream. Raises :class:`StreamUnknown`."""
    row = streams.find(connection, repository.namespace, repository.name)
    if row is None:
        raise StreamUnknown(f"no ImageStream {repository}")
    return row


def modified(database: Database, connection: Connection, repository: Repository, stream: int, now: datetime) -> None:
    """Something of the stream is gone: tell who watches, and have the links in storage follow."""
    cleanups.request(connection, repository.namespace, repository.name, now)
    change = Change(revisions.STREAM, repository.namespace, repository.name, "MODIFIED")
    streams.changed(connection, stream, revisions.append(database, connection, [change], now)[0])


def check_preconditions(what: str, meta: ObjectMeta, uid: str | None, resource_version: int | None) -> None:
    """Raises :class:`Conflict`."""
    if uid is not None and uid != meta.uid:
        raise Conflict(f"{what} has uid {meta.uid}, the precondition says {uid}: it was made anew; look at it again")
    if resource_version is not None and resource_version != meta.resource_version:
        raise Conflict(
            f"{what} has resourceVersion {meta.resource_version}, the precondition says {resource_version}: "
            "it was changed; look at it again"
        )
