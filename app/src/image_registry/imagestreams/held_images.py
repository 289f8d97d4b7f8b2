"""What streams hold, image by image: seeing all of it, and letting go of what nothing needs any more.

A stream goes on to hold what was once pushed into it, when its tags have long moved on; whoever cleans up takes it out
here. Nothing that is meant, listed or referred to is let go of, and that is decided under the lock that a push takes:
a tag that comes meanwhile wins.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from image_registry.imagestreams import coverage, pulls, reads, rows
from image_registry.imagestreams.deletion import check_preconditions, found, modified
from image_registry.imagestreams.errors import ImageInUse, ImageUnknown, InvalidContinue
from image_registry.imagestreams.model import Image, ImageStream, Page
from image_registry.metadata import held, images, revisions, streams
from image_registry.metadata.database import Database
from image_registry.oci.digest import Digest, InvalidDigest
from image_registry.oci.reference import Repository


@dataclass(frozen=True, slots=True)
class HeldImage:
    """An image of a stream; without its stream's tags, and without ``image`` in brief lists."""

    stream: ImageStream
    digest: Digest
    pushed: datetime
    """When the stream got it, or when it was pushed again without a tag."""
    image: Image | None = None
    unpulled_since: datetime | None = None
    """Since when nobody has pulled it from there; ``None`` if nobody can say."""


def page(
    database: Database, *, namespace: str | None, limit: int | None, after: str | None, brief: bool
) -> Page[HeldImage]:
    """By namespace, stream and digest; ``after`` is ``namespace/name@digest``.

    Raises :class:`InvalidContinue`.
    """
    start = _place(after) if after is not None else None
    with database.snapshot() as connection:
        revision = revisions.newest(connection)
        noted = pulls.noted_since(connection)
        ahead = held.page(connection, namespace=namespace, after=start, limit=None if limit is None else limit + 1)
        shown = ahead if limit is None else ahead[:limit]
        if not brief and limit is not None:
            shown = shown[: reads.fitting([row.size for row in shown], reads.MOST_BYTES)]
        known = {} if brief else held.images_of(connection, [row.digest for row in shown])
    items = tuple(
        HeldImage(
            rows.stream(row, prefix="stream_"),
            Digest.parse(row.digest),
            rows.utc(row.pushed),
            rows.image(known[row.digest]) if row.digest in known else None,
            pulls.unpulled_since(noted, row.pushed, row.pulled),
        )
        for row in shown
    )
    more = len(ahead) > len(shown) and bool(items)
    return Page(items, f"{items[-1].stream.repository}@{items[-1].digest}" if more else None, revision)


def release(
    database: Database,
    repository: Repository,
    digest: Digest,
    *,
    uid: str | None,
    resource_version: int | None,
    dry_run: bool,
    now: datetime,
) -> None:
    """The stream holds this image no more; preconditions are of the stream.

    Raises :class:`StreamUnknown`, :class:`ImageUnknown`, :class:`ImageInUse`, :class:`Conflict`.
    """
    text = str(digest)
    with database.write(undo=dry_run) as connection:
        streams.lock(database, connection, repository.namespace, repository.name)
        coverage.require(connection, repository)
        row = found(connection, repository)
        check_preconditions(f"ImageStream {repository}", rows.stream(row).meta, uid, resource_version)
        tag = held.tag_of(connection, row.id, text)
        if tag is not None:
            raise ImageInUse(f"tag {tag} of ImageStream {repository} means image {digest}, or did; delete that first")
        for other, what in (
            (held.listed_by(connection, row.id, text), "lists it"),
            (held.referred_by(connection, row.id, text), "refers to it"),
        ):
            if other is not None:
                raise ImageInUse(f"image {digest}: {other} of ImageStream {repository} {what}; delete that first")
        borrower = held.lent_to(connection, row.id, text)
        if borrower is not None:
            raise ImageInUse(
                f"image {digest} is what tag {borrower.tag} of ImageStream {borrower.namespace}/{borrower.name} means, "
                f"which does not hold it itself; delete that first"
            )
        if not images.release(connection, row.id, text):
            raise ImageUnknown(f"repository {repository} holds no manifest {digest}")
        if not dry_run:
            modified(database, connection, repository, row.id, now)


def _place(after: str) -> tuple[str, str, str]:
    name, at, digest = after.partition("@")
    namespace, slash, stream = name.partition("/")
    try:
        if at and slash:
            return namespace, stream, str(Digest.parse(digest))
    except InvalidDigest:
        pass
    raise InvalidContinue(f"{after[:300]!r} is not the end of a page of images of streams; start the list again")
