"""An import: what was found in another registry becomes Images, held manifests, tag events, or a condition.

One transaction for all tags of a stream. What cannot be had is written as a condition with its reason beside what can;
a limit stops the one tag that goes beyond it (parity reference 1.10). Nothing is fetched here, and no byte is stored:
the repository holds the manifest, and remembers from where it may be had.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection

from image_registry.imagestreams import counting, coverage, reads, rows, spec_rules, tag_writes
from image_registry.imagestreams.accounting import Accounts, BeforePush
from image_registry.imagestreams.errors import Conflict, StreamUnknown
from image_registry.imagestreams.limits import NO_LIMITS, LimitExceeded, Limits
from image_registry.imagestreams.model import (
    Image,
    ImageLayer,
    ImageStream,
    ObjectMeta,
    SubManifest,
    TagCondition,
    TagEvent,
    TagSpec,
)
from image_registry.metadata import attempts, images, origins, revisions, specs, streams
from image_registry.metadata.database import Database
from image_registry.metadata.revisions import Change
from image_registry.metadata.tables import Record
from image_registry.oci.digest import Digest
from image_registry.oci.manifest import Manifest
from image_registry.oci.reference import Repository

IMPORT_SUCCESS = "ImportSuccess"
FIRST_GENERATION = 1

AGAIN = 10
"""How often in a row a tag that is not scheduled is tried, if what hinders it may pass."""


@dataclass(frozen=True, slots=True)
class RemoteImage:
    """A verified manifest of another registry; ``origin`` is the repository there, ``quay.io/team/app``."""

    manifest: Manifest
    config: bytes | None
    origin: str
    insecure: bool = False

    @property
    def reference(self) -> str:
        """Its pull specification."""
        return f"{self.origin}@{self.manifest.digest}"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no image; ``reason`` is one word. What is ``passing`` may be otherwise in a while."""

    reason: str
    message: str
    passing: bool = False


@dataclass(frozen=True, slots=True)
class TagImport:
    """What becomes of one tag: ``images``, of which it means the first, or ``failure``."""

    spec: TagSpec
    images: tuple[RemoteImage, ...] = ()
    failure: Failure | None = None
    expected: TagSpec | None = None
    """What was wanted when the import began: if it is something else by now, the result is nobody's any more. ``None``
    says what is wanted from now on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """``confirm_create`` as for a push; a stream is only made if it is there. It is told whether the stream is new."""

    repository: Repository
    tags: tuple[TagImport, ...]
    imported_by: str
    confirm_create: Callable[[], None] | None = None
    uid: str | None = None
    resource_version: int | None = None
    limits: Limits = NO_LIMITS
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """The stream as it is now, and Images by digest; ``refused`` are tags that went beyond a limit."""

    stream: ImageStream
    images: dict[Digest, Image] = field(default_factory=dict)
    refused: dict[str, Failure] = field(default_factory=dict)


def apply(database: Database, request: Import, accounts: Accounts, now: datetime) -> ImportOutcome:
    """Write it. Raises :class:`StreamUnknown`, :class:`Conflict`, :class:`LimitExceeded` for a stream too many."""
    repository = request.repository
    with database.write(undo=request.dry_run) as connection:
        streams.lock(database, connection, repository.namespace, repository.name)
        coverage.require(connection, repository)
        row = streams.find(connection, repository.namespace, repository.name)
        if row is None:
            if request.confirm_create is None or request.uid or request.resource_version:
                raise StreamUnknown(f"no ImageStream {repository}")
            streams.lock_creations(database, connection, repository.namespace, shared=True)
            request.confirm_create()
        else:
            _check(row.uid, row.resource_version, request)
        # one import writes at a time: two that bring the same images in another order would wait for each other
        database.lock(connection, "imports")
        work = _Work(database, connection, request, accounts, now, row.id if row else 0)
        if row is None:
            work.create()
            old = ImageStream(repository, rows.stream(work.row()).meta)
        else:
            old = reads.whole(connection, row)
        next_generation = FIRST_GENERATION if row is None else old.meta.generation + 1
        results = [work.tag(tag, old, next_generation) for tag in request.tags]
        if any(results) or row is None:
            if any(results) and work.bumped and row is not None:
                specs.set_generation(connection, work.stream, next_generation)
            work.log("ADDED" if row is None else "MODIFIED")
        whole = reads.whole(connection, work.row())
        found = {
            image.manifest.digest: images.find(connection, str(image.manifest.digest))
            for tag in request.tags
            for image in tag.images
        }
    shown = {digest: rows.image(row) for digest, row in found.items() if row is not None}
    return ImportOutcome(whole, shown, work.refused)


def preview(image: RemoteImage, now: datetime) -> Image:
    """The Image that an import would make; it has no identity."""
    row = rows.image_row(image.manifest, image.config, uid="", created=now, reference=image.reference, managed=False)
    return Image(
        digest=image.manifest.digest,
        meta=ObjectMeta(uid="", created=now, resource_version=0),
        reference=image.reference,
        media_type=image.manifest.media_type,
        manifest_size=len(image.manifest.raw),
        config=image.manifest.config.digest if image.manifest.config else None,
        content_size=image.manifest.content_size,
        layers=tuple(ImageLayer(Digest.parse(digest), size, kind) for digest, size, kind in row["layers"]),
        manifests=tuple(SubManifest(Digest.parse(digest), *rest) for digest, *rest in row["manifests"]),
        docker_metadata=row["docker_metadata"],
        artifact_type=row["artifact_type"],
        subject=image.manifest.subject.digest if image.manifest.subject else None,
    )


def _check(uid: str, resource_version: int, request: Import) -> None:
    if request.uid is not None and request.uid != uid:
        raise Conflict(f"ImageStream {request.repository} has uid {uid}, the precondition says {request.uid}")
    if request.resource_version is not None and request.resource_version != resource_version:
        raise Conflict(
            f"ImageStream {request.repository} has resourceVersion {resource_version}, the precondition says "
            f"{request.resource_version}: it was changed; look at it again"
        )


@dataclass(slots=True)
class _Work:
    """The transaction under way."""

    database: Database
    connection: Connection
    request: Import
    accounts: Accounts
    now: datetime
    stream: int
    bumped: bool = False
    created: list[str] = field(default_factory=list)
    refused: dict[str, Failure] = field(default_factory=dict)

    def row(self) -> Record:
        """Of the stream."""
        found = streams.find(self.connection, self.request.repository.namespace, self.request.repository.name)
        assert found is not None  # noqa: S101 - under its lock
        return found

    def create(self) -> None:
        """Make the stream. Raises :class:`LimitExceeded`."""
        repository = self.request.repository
        self.stream = streams.add(
            self.connection,
            {
                "namespace": repository.namespace,
                "name": repository.name,
                "uid": str(uuid.uuid4()),
                "created": self.now,
                "labels": {},
                "annotations": {},
                "lookup_local": False,
                "generation": FIRST_GENERATION,
                "resource_version": 0,
            },
        )
        self._check(counting.NEW_STREAM)

    def tag(self, tag: TagImport, old: ImageStream, next_generation: int) -> bool:
        """Write one tag; true if that changed anything."""
        known = old.spec(tag.spec.name)
        if tag.expected is not None and known != tag.expected:
            return False
        if tag.failure is None and tag.images:
            before = list(self.created)
            try:
                with self.connection.begin_nested():
                    return self._succeed(tag, known, old, next_generation)
            except LimitExceeded as error:
                self.created[:] = before
                tag = self._refuse(tag, error)
        try:
            with self.connection.begin_nested():
                return self._fail(tag, known, old, next_generation)
        except LimitExceeded as error:  # not even a tag that waits has room: the answer alone says so
            self._refuse(tag, error)
            return False

    def _refuse(self, tag: TagImport, error: LimitExceeded) -> TagImport:
        self.refused[tag.spec.name] = failure = Failure("Forbidden", str(error), passing=True)
        return replace(tag, failure=failure)

    def _check(self, grew: Collection[counting.Place]) -> None:
        request = self.request
        counting.check_growth(self.database, self.connection, request.repository, self.stream, request.limits, grew)

    def _succeed(self, tag: TagImport, known: TagSpec | None, old: ImageStream, next_generation: int) -> bool:
        name, image = tag.spec.name, tag.images[0]
        digests = [str(part.manifest.digest) for part in tag.images]
        before = self.accounts.begin_push(self.connection, self.request.repository, self.request.limits, digests)
        history = old.history(name)
        newest = history.newest if history else None
        for part in tag.images:
            self._hold(part, before)
        generation = (known.generation if known else None) or next_generation
        changed = False
        if tag.expected is None:
            moved = newest is None or (newest.image, newest.reference) != (image.manifest.digest, image.reference)
            if moved or known is None or _differs(known, tag.spec) or (newest and generation != newest.generation):
                generation = next_generation
            changed = self._write_spec(tag.spec, known, generation, next_generation)
        event = TagEvent(self.now, image.manifest.digest, image.reference, generation)
        changed |= tag_writes.put(self.connection, self.stream, name, event)
        if newest is None and known is None:
            self._check(counting.NEW_TAG)
        self._tried(name, generation, None)
        return specs.clear_conditions(self.connection, self.stream, name) or changed

    def _fail(self, tag: TagImport, known: TagSpec | None, old: ImageStream, next_generation: int) -> bool:
        name, failure = tag.spec.name, tag.failure or Failure("InternalError", "nothing was found")
        changed = False
        if tag.expected is not None:
            generation = tag.expected.generation or old.meta.generation
        else:
            generation = next_generation
            changed = self._write_spec(known or tag.spec, known, generation, next_generation)
            if known is None and old.history(name) is None:
                self._check(counting.NEW_TAG)
        self._tried(name, generation, failure)
        told = old.conditions.get(name, ())
        said = (generation, failure.reason, rows.text(failure.message))
        if not changed and any((has.generation, has.reason, has.message) == said for has in told):
            return False
        condition = TagCondition(IMPORT_SUCCESS, "False", self.now, failure.reason, said[2], generation)
        specs.put_condition(self.connection, self.stream, name, rows.condition_row(condition))
        return True

    def _tried(self, tag: str, generation: int, failure: Failure | None) -> None:
        failures = attempts.failures(self.connection, self.stream, tag) + 1 if failure else 0
        again = failure is not None and failure.passing and failures <= AGAIN
        values = {"attempted": self.now, "generation": generation, "failures": failures, "again": again}
        attempts.note(self.connection, self.stream, tag, values)

    def _write_spec(self, spec: TagSpec, known: TagSpec | None, generation: int, next_generation: int) -> bool:
        wanted = replace(spec, generation=generation)
        if known is not None:
            wanted = replace(wanted, annotations=known.annotations)
        if wanted == known:
            return False
        self.bumped |= generation == next_generation
        follows = spec_rules.follows(self.request.repository, wanted)
        specs.put(self.connection, self.stream, [rows.spec_row(wanted, follows=follows)])
        return True

    def _hold(self, part: RemoteImage, before: BeforePush) -> None:
        digest, manifest = str(part.manifest.digest), part.manifest
        row = rows.image_row(
            manifest, part.config, uid=str(uuid.uuid4()), created=self.now, reference=part.reference, managed=False
        )
        if images.add(self.database, self.connection, row):
            self.created.append(digest)
        new_image = not images.held_of(self.connection, self.stream, [digest])
        if new_image:
            images.hold(
                self.connection,
                {
                    "stream_id": self.stream,
                    "digest": digest,
                    "media_type": manifest.media_type,
                    "size": len(manifest.raw),
                    "pushed": self.now,
                    "pushed_by": rows.text(self.request.imported_by),
                },
            )
        values = {"origin": part.origin, "insecure": part.insecure, "imported": self.now}
        blobs = {str(blob.digest): blob.size for blob in manifest.required_blobs}
        origins.note(self.connection, self.stream, digest, values, blobs)
        self.accounts.end_push(
            self.connection,
            self.request.repository,
            manifest,
            self.request.limits,
            before,
            self.now,
            stream=self.stream,
            new_stream=False,
            new_image=new_image,
            new_tag=False,
        )

    def log(self, event: Literal["ADDED", "MODIFIED"]) -> None:
        """Say what changed; nothing that may wait comes after it."""
        if self.request.dry_run:
            return
        repository = self.request.repository
        changes = [Change(revisions.IMAGE, "", digest, "ADDED") for digest in self.created]
        changes.append(Change(revisions.STREAM, repository.namespace, repository.name, event))
        numbers = revisions.append(self.database, self.connection, changes, self.now)
        images.all_changed(self.connection, dict(zip(self.created, numbers, strict=False)))
        streams.changed(self.connection, self.stream, numbers[-1])


def _differs(known: TagSpec, wanted: TagSpec) -> bool:
    """Whether it is another thing that is wanted, so that it counts as new."""
    return (known.source, known.import_mode, known.reference) != (wanted.source, wanted.import_mode, wanted.reference)
