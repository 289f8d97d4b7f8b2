"""Signatures of an Image, whichever stream holds it: what the administrator of all images sees and writes.

They are kept in the streams that hold the image, because whoever pulls looks there
(:mod:`~image_registry.imagestreams.signatures`). A stream that comes to hold the image later does not have them.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from image_registry.imagestreams import signatures as in_streams
from image_registry.imagestreams.errors import Conflict, ImageUnknown, SignatureExists, SignatureUnknown
from image_registry.imagestreams.rows import utc
from image_registry.imagestreams.signatures import Signature
from image_registry.imagestreams.spec_writes import Writer
from image_registry.metadata import images, revisions, signatures
from image_registry.metadata.database import Database
from image_registry.metadata.revisions import Change
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository


@dataclass(frozen=True, slots=True)
class ImageSignature:
    """A signature and when it was added."""

    signature: Signature
    created: datetime


def of_image(database: Database, digest: Digest) -> tuple[ImageSignature, ...]:
    """All of them, each name once, by name."""
    with database.read() as connection:
        found: dict[str, ImageSignature] = {}
        for row in signatures.of_image(connection, str(digest)):
            found.setdefault(row.name, ImageSignature(Signature(row.name, row.type, row.content), utc(row.created)))
    return tuple(found.values())


def add(database: Database, digest: Digest, signature: Signature, writer: Writer, *, created_by: str) -> ImageSignature:
    """Keep one more wherever the image is held.

    Raises :class:`ImageUnknown`, :class:`SignatureExists`, :class:`Conflict` if no stream holds the image,
    :class:`TooManySignatures`.
    """
    with database.read() as connection:
        if images.find(connection, str(digest)) is None:
            raise ImageUnknown(f"no image {digest}")
        holders = [Repository(row.namespace, row.name) for row in images.holders(connection, str(digest))]
    for known in of_image(database, digest):
        same = (known.signature.type, known.signature.content) == (signature.type, signature.content)
        if same or known.signature.name == signature.name:
            raise SignatureExists(f"{digest} has this signature already, as {known.signature.name!r}")
    if not holders:
        raise Conflict("no stream holds this image, so there is nowhere to keep its signatures")
    made = ImageSignature(signature, writer.now)
    if writer.dry_run:
        return made
    for repository in holders:
        with suppress(ImageUnknown, SignatureExists):  # let go of, or signed there, since we looked
            in_streams.add(database, repository, digest, signature, created_by=created_by, now=writer.now)
    changed(database, digest, writer.now)
    return made


def remove(database: Database, digest: Digest, name: str, writer: Writer) -> None:
    """Take one away wherever the image is held. Raises :class:`SignatureUnknown`."""
    with database.write(undo=writer.dry_run) as connection:
        if not signatures.remove_everywhere(connection, str(digest), name):
            raise SignatureUnknown(f"{digest} has no signature {name!r}")
    if not writer.dry_run:
        changed(database, digest, writer.now)


def changed(database: Database, digest: Digest, now: datetime) -> None:
    """Say that the Image has other signatures now."""
    with database.write() as connection:
        if images.find(connection, str(digest), exclusive=True) is None:
            return
        number = revisions.append(database, connection, [Change(revisions.IMAGE, "", str(digest), "MODIFIED")], now)[0]
        images.changed(connection, str(digest), number)
