"""Changing what is wanted of one tag: a change of its stream, made again when somebody else was faster."""

from __future__ import annotations

from dataclasses import dataclass, replace

from image_registry.imagestreams import counting, image_writes, reads, spec_writes, tag_writes
from image_registry.imagestreams.errors import MODIFIED, Conflict, StreamExists, StreamUnknown, TagExists
from image_registry.imagestreams.image_writes import ImageDraft
from image_registry.imagestreams.model import ImageStream, TagEvent, TagSpec
from image_registry.imagestreams.problems import Problems
from image_registry.imagestreams.spec_rules import StreamDraft
from image_registry.imagestreams.spec_writes import Writer
from image_registry.metadata import images, streams
from image_registry.metadata.database import Database
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository

ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class TagEdit:
    """``spec`` is ``None`` to want nothing of the tag any more."""

    repository: Repository
    tag: str
    spec: TagSpec | None
    new: bool = False
    """Nothing may be wanted of the tag yet."""
    resource_version: int | None = None
    """Of the stream that the edit was made from; ``None`` for whatever it is."""


def draft_of(stream: ImageStream) -> StreamDraft:
    """A stream as it is wanted now."""
    meta = stream.meta
    return StreamDraft(
        repository=stream.repository,
        labels=meta.labels,
        annotations=meta.annotations,
        owner_references=meta.owner_references,
        finalizers=meta.finalizers,
        managed_fields=meta.managed_fields,
        lookup_local=stream.lookup_local,
        source_repository=stream.source_repository,
        tags=stream.specs,
    )


def put(database: Database, edit: TagEdit, writer: Writer) -> ImageStream:
    """Make the edit; returns the stream. It is made if it is missing.

    Raises :class:`TagExists`, :class:`Conflict`, :class:`InvalidObject`.
    """
    for attempt in range(ATTEMPTS):
        try:
            return _once(database, edit, writer)
        except (Conflict, StreamExists):
            if attempt == ATTEMPTS - 1 or edit.resource_version is not None:
                raise
    raise AssertionError  # the loop returns or raises


def _once(database: Database, edit: TagEdit, writer: Writer) -> ImageStream:
    wanted = (edit.spec,) if edit.spec is not None else ()
    try:
        old = reads.stream(database, edit.repository)
    except StreamUnknown:
        if edit.resource_version is not None:
            raise
        return spec_writes.create(database, StreamDraft(edit.repository, tags=wanted), writer)
    if edit.new and old.spec(edit.tag) is not None:
        raise TagExists(f"ImageStream {edit.repository} wants something of tag {edit.tag!r} already")
    if edit.resource_version not in (None, old.meta.resource_version):
        raise Conflict(MODIFIED)
    draft = draft_of(old)
    others = tuple(spec for spec in draft.tags if spec.name != edit.tag)
    changed = replace(draft, tags=(*others, *wanted))
    return spec_writes.update(database, changed, writer, uid=old.meta.uid, resource_version=old.meta.resource_version)


def map_image(
    database: Database,
    repository: Repository,
    tag: str,
    digest: Digest,
    reference: str,
    writer: Writer,
    *,
    draft: ImageDraft | None = None,
) -> ImageStream:
    """Let an Image be what a tag of a stream means (parity reference 1.7); it is made of ``draft`` if it is missing.

    The stream holds the image, or the caller may pull it from a stream that does, or brings its manifest: a digest that
    somebody knows must not open an image. Raises :class:`StreamUnknown`, :class:`InvalidObject`,
    :class:`LimitExceeded`.
    """
    with database.read() as connection:
        holders = [Repository(row.namespace, row.name) for row in images.holders(connection, str(digest))]
    # only this one may be named: the others are nothing that the caller may know of
    known = repository if repository in holders else next(filter(writer.may_pull, holders), None)
    with database.write(undo=writer.dry_run) as connection:
        streams.lock(database, connection, repository.namespace, repository.name)
        row = spec_writes.found(connection, repository)
        before = counting.begin(database, connection, repository, writer.limits)
        made = draft is not None and image_writes.add(database, connection, draft, writer)
        if not (known or made):
            problems = Problems()
            problems.forbidden("image.metadata.name", f"no stream that you may pull from holds {digest}")
            problems.check()
        held = images.held_of(connection, row.id, [str(digest)])
        own = f"{writer.host}/{repository}@{digest}"
        source = f"{writer.host}/{known or repository}@{digest}"
        event = TagEvent(writer.now, digest, own if held else reference or source, row.generation)
        changed = tag_writes.put(connection, row.id, tag, event)
        if changed:
            counting.end(connection, repository, writer.limits, before)
        if made:
            image_writes.log(database, connection, digest, writer)
        if not changed:
            return reads.whole(connection, row)
        return spec_writes.done(database, connection, repository, row.id, "MODIFIED", writer, None)
