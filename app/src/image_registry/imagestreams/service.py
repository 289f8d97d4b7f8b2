"""The rules as one object that every door is given; the rules themselves are in the modules beside this one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from image_registry.imagestreams import adoption, cleaning, deletion, echo, image_signatures, reads, signatures, uploads
from image_registry.imagestreams.accounting import Accounts
from image_registry.imagestreams.adoption import Finding, FoundManifest, FoundTag, Links, Taken
from image_registry.imagestreams.changes import Changes
from image_registry.imagestreams.cleaning import Kept
from image_registry.imagestreams.coverage import Coverage, unfinished
from image_registry.imagestreams.editor import Editor
from image_registry.imagestreams.errors import ImageUnknown, MetadataUnavailable, StreamUnknown
from image_registry.imagestreams.importer import Imports
from image_registry.imagestreams.limits import NAMESPACED, NO_LIMITS, SIZE, STORAGE, Limits
from image_registry.imagestreams.local_names import ShortName, meaning
from image_registry.imagestreams.model import Image, ImageStream, Page, StoredManifest, StreamSummary, TagHistory
from image_registry.imagestreams.push import KnownStreams, Push, PushOutcome, push
from image_registry.imagestreams.records import Recalled
from image_registry.imagestreams.signatures import Signature
from image_registry.imagestreams.uploads import UploadSession
from image_registry.metadata.database import Database, DatabaseUnavailable
from image_registry.oci.digest import Digest
from image_registry.oci.manifest import Manifest
from image_registry.oci.reference import Repository

NOTHING = Recalled()


def _now() -> datetime:
    return datetime.now(UTC)


class ImageStreams:
    """Streams, tags, images and uploads. Every method may raise :class:`MetadataUnavailable`.

    ``limits`` tells those of a namespace now, or raises :class:`LimitsUnknown`; a write beyond one raises
    :class:`LimitExceeded`.

    Lists take ``limit`` (items of a page at most, ``None`` for all) and ``after`` (the ``next`` of the page before, or
    any name to begin behind). Deletions take the preconditions ``uid`` and ``resource_version``, compared in the
    transaction that deletes, and ``dry_run``, which makes every check, answers or raises the same, and changes nothing.
    """

    def __init__(
        self,
        database: Database,
        *,
        internal_hostname: str,
        clock: Callable[[], datetime] = _now,
        limits: Callable[[str], Limits] = lambda _namespace: NO_LIMITS,
    ) -> None:
        self._database = database
        self._internal_hostname = internal_hostname
        self._clock = clock
        self._limits = limits
        self._accounts = Accounts(database)
        self._known = KnownStreams()
        self._coverage = Coverage(database)
        self._read_storage: Callable[[Repository], None] | None = None
        self.imports = Imports(database, accounts=self._accounts, clock=clock, limits=limits)
        """What comes from other registries."""
        self.changes = Changes(database)
        """What happened, for those who watch."""
        self.editor = Editor(database, internal_hostname=internal_hostname, clock=clock, limits=limits)
        """What is wanted of streams, tags and images: the writes of the Image API."""

    # the registry door

    def push(
        self,
        repository: Repository,
        manifest: Manifest,
        *,
        tag: str | None,
        config: bytes | None,
        pushed_by: str,
        authorize_create: Callable[[], None],
        before_commit: Callable[[], None],
        precondition: Callable[[Digest | None], None] | None = None,
        linked: bool = False,
        confirm_create: Callable[[], None] = lambda: None,
    ) -> PushOutcome:
        """Make ``manifest`` an Image that the repository holds, and what ``tag`` means if one is given.

        The stream is made if it is missing, after ``authorize_create`` and, under a lock that whoever empties the
        namespace waits for, ``confirm_create``: that must not believe what it heard before. ``before_commit`` runs
        under the lock of the repository when only the commit is left: the door verifies there that the blobs are
        still linked and writes its links; it must not call this object. ``precondition`` is told before, under the
        same lock, what the tag means. Whatever they raise passes through and undoes the push. ``linked`` says that
        the door has linked the manifest before: then a push that is undone has the links compared with the tables.

        The link of the tag lags behind until somebody calls :meth:`settle`.
        """
        reference = f"{self._reference(repository)}@{manifest.digest}"
        limits = self._limits(repository.namespace)
        request = Push(
            repository,
            manifest,
            tag,
            config,
            pushed_by,
            authorize_create,
            before_commit,
            precondition,
            limits,
            linked,
            confirm_create,
        )
        with self._indexed(repository) if precondition else _available():
            return push(
                self._database,
                request,
                reference=reference,
                now=self._clock(),
                known=self._known,
                accounts=self._accounts,
            )

    def limited(self, repository: Repository) -> bool:
        """Whether limits of bytes make it worth knowing how large blobs really are. Raises :class:`LimitsUnknown`."""
        return any(limit.resource in (SIZE, STORAGE) for limit in self._limits(repository.namespace))

    def expect_upload(self, repository: Repository, upload_id: str, size: int, wanted: Digest | None = None) -> None:
        """An upload will have ``size`` bytes, which are reserved. Raises :class:`LimitExceeded`, `LimitsUnknown`."""
        if given := self._limits(repository.namespace):
            with _available():
                self._accounts.reserve(repository, upload_id, size, given, self._clock(), wanted)

    def admit_blob(self, repository: Repository, digest: Digest, size: int, upload_id: str = "") -> None:
        """A blob is about to be linked into the repository. Raises :class:`LimitExceeded`, :class:`LimitsUnknown`."""
        if given := self._limits(repository.namespace):
            with _available():
                self._accounts.admit(repository, digest, size, given, self._clock(), upload_id=upload_id)

    def release_upload(self, repository: Repository, upload_id: str) -> None:
        """An upload ended without a blob: what was reserved for it is free. Raises :class:`LimitsUnknown`."""
        if self._limits(repository.namespace):
            with _available():
                self._accounts.release(upload_id)

    def usage(self, namespace: str, resources: Collection[str] = NAMESPACED) -> dict[str, int]:
        """What the namespace has, by the resource that limits name; bytes, the dearest, with what is reserved."""
        with _available():
            return self._accounts.usage(namespace, self._clock(), resources)

    def forget_expired_reservations(self) -> int:
        """Give back bytes whose manifest did not come in time; how many reservations that were."""
        with _available():
            return self._accounts.forget_expired(self._clock())

    def manifest(self, repository: Repository, digest: Digest) -> StoredManifest:
        """A manifest that the repository holds. Raises :class:`StreamUnknown`, :class:`ImageUnknown`.

        Raises :class:`IndexUnfinished`, as :meth:`tag` does, where only storage can tell yet.
        """
        with _available():
            self._coverage.require(repository)
            return reads.manifest(self._database, repository, digest)

    def tag(self, repository: Repository, tag: str) -> StoredManifest:
        """What the tag means now. Raises :class:`StreamUnknown`, :class:`TagUnknown`."""
        with _available():
            if not self._coverage.covers(repository) and not echo.lags(self._database, repository, tag):
                raise unfinished(repository)
            return reads.tag(self._database, repository, tag)

    def referrers(
        self, repository: Repository, subject: Digest, *, limit: int | None = None, after: str | None = None
    ) -> Page[StoredManifest]:
        """Held manifests whose ``subject`` this is, in order of their digests; none for a repository that is not there.

        ``after`` is a digest.
        """
        with self._indexed(repository):
            return reads.referrers(self._database, repository, subject, limit=limit, after=after)

    def tags(self, repository: Repository, *, limit: int | None = None, after: str | None = None) -> Page[str]:
        """Tag names in ASCII order. Raises :class:`StreamUnknown`."""
        with self._indexed(repository):
            return reads.tags(self._database, repository, limit=limit, after=after)

    def repositories(
        self, *, namespaces: frozenset[str] | None, limit: int | None = None, after: str | None = None
    ) -> Page[Repository]:
        """Repositories of these namespaces (``None``: of all) by namespace, then name."""
        with _available():
            return reads.repositories(self._database, namespaces=namespaces, limit=limit, after=after)

    def namespaces(self) -> list[str]:
        """Namespaces that hold streams, sorted."""
        with _available():
            return reads.namespaces(self._database)

    def delete_tag(
        self,
        repository: Repository,
        tag: str,
        *,
        uid: str | None = None,
        resource_version: int | None = None,
        precondition: Callable[[Digest], None] | None = None,
        dry_run: bool = False,
    ) -> None:
        """Delete a tag with its history, never an Image; the preconditions are of its stream.

        ``precondition`` is told under the lock what the tag means, and what it raises passes through.

        Raises :class:`StreamUnknown`, :class:`TagUnknown`, and :class:`Conflict` when a precondition does not hold.
        """
        with self._indexed(repository):
            deletion.delete_tag(
                self._database,
                repository,
                tag,
                uid=uid,
                resource_version=resource_version,
                precondition=precondition,
                dry_run=dry_run,
                now=self._clock(),
            )

    def delete_tags(self, repository: Repository, tags: Collection[str], *, dry_run: bool = False) -> None:
        """Delete those of the tags that are there, in one transaction; nothing happens if there is no such stream."""
        with self._indexed(repository):
            deletion.delete_tags(self._database, repository, tags, dry_run=dry_run, now=self._clock())

    def held(self, repository: Repository, digests: Collection[Digest]) -> frozenset[Digest]:
        """Those of ``digests`` that are manifests of the repository."""
        with self._indexed(repository):
            return reads.held(self._database, repository, digests)

    def delete_manifest(self, repository: Repository, digest: Digest) -> tuple[str, ...]:
        """Take a manifest out of the repository together with the tags that mean it, which are returned.

        Raises :class:`StreamUnknown`, :class:`ImageUnknown`.
        """
        with self._indexed(repository):
            return deletion.delete_manifest(self._database, repository, digest, self._clock())

    def signatures(self, repository: Repository, digest: Digest) -> tuple[Signature, ...]:
        """Signatures of a held manifest, by name. Raises :class:`ImageUnknown`."""
        with self._indexed(repository):
            return signatures.of_manifest(self._database, repository, digest)

    def add_signature(self, repository: Repository, digest: Digest, signature: Signature, *, created_by: str) -> None:
        """Keep one more. Raises :class:`ImageUnknown`, :class:`SignatureExists`, :class:`TooManySignatures`."""
        with self._indexed(repository):
            now = self._clock()
            signatures.add(self._database, repository, digest, signature, created_by=created_by, now=now)
            image_signatures.changed(self._database, digest, now)

    # the Image API door

    def stream(self, repository: Repository) -> ImageStream:
        """Raises :class:`StreamUnknown`."""
        with self._indexed(repository):
            return reads.stream(self._database, repository)

    def streams(
        self, *, namespace: str | None = None, limit: int | None = None, after: str | None = None, history: bool = True
    ) -> Page[ImageStream]:
        """Streams of one namespace or of all, by namespace, then name; ``after`` is ``namespace/name``.

        Without ``history`` each tag comes with its newest event only, which is much less to read.
        """
        with _available():
            return reads.all_streams(self._database, namespace=namespace, limit=limit, after=after, history=history)

    def summaries(
        self, *, namespace: str | None = None, limit: int | None = None, after: str | None = None, tags: bool = True
    ) -> Page[StreamSummary]:
        """The same streams with the names of their tags alone, or without ``tags``: what is shown of many at once."""
        with _available():
            return reads.summaries(self._database, namespace=namespace, limit=limit, after=after, tags=tags)

    def delete_stream(
        self,
        repository: Repository,
        *,
        uid: str | None = None,
        resource_version: int | None = None,
        dry_run: bool = False,
    ) -> ImageStream:
        """Delete a stream with its tags, history and held manifests, never an Image.

        Returns what it was, with the newest event of each tag.
        Raises :class:`StreamUnknown`, and :class:`Conflict` when a precondition does not hold.
        """
        with self._indexed(repository):
            return deletion.delete_stream(
                self._database,
                repository,
                uid=uid,
                resource_version=resource_version,
                dry_run=dry_run,
                now=self._clock(),
            )

    def await_creations(self, namespace: str) -> None:
        """Wait for pushes that make streams in a namespace which they have seen alive; before emptying it."""
        with _available():
            deletion.await_creations(self._database, namespace)

    def delete_streams(self, namespace: str) -> tuple[ImageStream, ...]:
        """Delete every stream of a namespace, one transaction each; returns what was deleted."""
        self.await_creations(namespace)
        deleted = []
        after = None
        while True:
            page = self.repositories(namespaces=frozenset({namespace}), limit=100, after=after)
            for repository in page.items:
                try:
                    deleted.append(self.delete_stream(repository))
                except StreamUnknown:
                    continue  # somebody else was faster
            after = page.next
            if after is None:
                return tuple(deleted)

    def stream_tag(self, repository: Repository, tag: str) -> tuple[ImageStream, TagHistory, Image | None]:
        """A tag with its whole history, its stream (without ``tags``), and its Image.

        Raises :class:`StreamUnknown`, :class:`TagUnknown`.
        """
        with self._indexed(repository):
            return reads.stream_tag(self._database, repository, tag)

    def resolve(self, name: ShortName, *, any_stream: bool = False) -> str | None:
        """The full reference that a short name means; ``None`` if it is not one of a stream that lends its name.

        ``any_stream`` also asks those that do not.
        """
        with self._indexed(name.repository):
            found = reads.named(self._database, name)
        return meaning(name, found, self._internal_hostname, any_stream=any_stream)

    def stream_tags(
        self, *, namespace: str | None = None, limit: int | None = None, after: str | None = None
    ) -> Page[tuple[ImageStream, TagHistory]]:
        """Tags of one namespace or of all; pages count tags, not streams; ``after`` is ``namespace/name:tag``.

        Each history holds the newest event only, each stream comes without ``tags``: a page must not grow with the
        past. Raises :class:`InvalidContinue`.
        """
        with _available():
            return reads.stream_tags(self._database, namespace=namespace, limit=limit, after=after)

    def image(self, digest: Digest) -> Image:
        """Raises :class:`ImageUnknown`."""
        with _available():
            return reads.image(self._database, digest)

    def find_image(self, digest: Digest) -> Image | None:
        """An Image, or ``None``."""
        try:
            return self.image(digest)
        except ImageUnknown:
            return None

    def brief_stream(self, repository: Repository) -> list[ImageStream]:
        """A stream with the newest event of each tag, if there is one."""
        with _available():
            return reads.brief(self._database, repository)

    def images(self, *, limit: int | None = None, after: str | None = None) -> Page[Image]:
        """Images in order of their digests; ``after`` is a digest."""
        with _available():
            return reads.all_images(self._database, limit=limit, after=after)

    def delete_image(
        self,
        digest: Digest,
        *,
        uid: str | None = None,
        resource_version: int | None = None,
        dry_run: bool = False,
    ) -> Image:
        """Delete an Image that no stream holds; returns what it was.

        Raises :class:`ImageUnknown`, :class:`ImageInUse`, and :class:`Conflict` when a precondition does not hold.
        """
        with _available():
            return deletion.delete_image(
                self._database,
                digest,
                uid=uid,
                resource_version=resource_version,
                dry_run=dry_run,
                now=self._clock(),
            )

    def revision(self) -> int:
        """The newest revision, at least 1."""
        with _available():
            return reads.revision(self._database)

    # work for the process that has the storage

    def pending_cleanups(self, limit: int = 100) -> list[Repository]:
        """Repositories whose links in storage may say more than they hold, those that wait longest first."""
        with _available():
            return cleaning.pending(self._database, limit)

    def clean(self, repository: Repository, sweep: Callable[[Kept], bool]) -> bool:
        """Let ``sweep`` remove every link that is not kept, under the lock of the repository; true when clean.

        ``sweep`` returns false to go on another time (so that pushes need not wait for a long removal), and must not
        call this object. See :mod:`~image_registry.imagestreams.cleaning`.
        """
        with _available():
            return cleaning.clean(self._database, repository, sweep)

    # making the tables from storage

    def read_storage_with(self, read: Callable[[Repository], None]) -> None:
        """From now on let ``read`` adopt a repository before its turn when somebody needs its tables.

        A process without storage has nobody to do that: there such a question raises :class:`IndexUnfinished`.
        """
        self._read_storage = read

    def covers(self, repository: Repository) -> bool:
        """Whether the tables speak for a repository."""
        with _available():
            return self._coverage.covers(repository)

    def adopt_manifests(
        self, repository: Repository, found: Sequence[FoundManifest], recalled: Recalled = NOTHING
    ) -> Taken:
        """Let a repository that was not reached yet hold what storage has: a portion of it, no digest twice."""
        with _available():
            return adoption.hold(
                self._database, repository, found, recalled, reference=self._reference(repository), now=self._clock()
            )

    def adopt_tags(
        self,
        repository: Repository,
        found: Sequence[FoundManifest],
        tags: Mapping[str, FoundTag],
        manifests: frozenset[Digest],
        findings: Sequence[Finding],
        links: Links,
        recalled: Recalled = NOTHING,
        *,
        rehearsal: bool = False,
    ) -> Taken:
        """The last step for a repository: from now on its tables speak for it; nothing happens if they did before.

        ``found`` is the last portion of its ``manifests``; ``recalled`` is what records say beside. A ``rehearsal``
        answers the same and changes nothing.
        ``links`` are looked up under the lock of the repository wherever the tables say otherwise.
        """
        with _available():
            return adoption.finish(
                self._database,
                repository,
                found,
                tags,
                manifests,
                findings,
                links,
                recalled,
                reference=self._reference(repository),
                now=self._clock(),
                rehearsal=rehearsal,
            )

    def adopt_images(self, recorded: Sequence[Mapping[str, Any]]) -> int:
        """Make Images again that no stream holds, from their records; returns how many are new."""
        with _available():
            return adoption.remember_images(self._database, recorded, self._clock())

    def unechoed(self, limit: int = 100) -> list[Repository]:
        """Repositories with tags whose links in storage may lag behind."""
        with _available():
            return echo.waiting(self._database, limit)

    def settle(self, repository: Repository, write: echo.Write) -> int:
        """Let the links of the repository's tags say what they mean; returns how many were written.

        ``write`` makes them durable and must not call this object. See :mod:`~image_registry.imagestreams.echo`.
        """
        with _available():
            return echo.settle(self._database, repository, write)

    # upload sessions

    def upload(self, repository: Repository, upload_id: str) -> UploadSession | None:
        """What is noted about a session of this repository; a session needs no note."""
        with _available():
            return uploads.find(self._database, repository, upload_id)

    def note_upload(
        self, repository: Repository, upload_id: str, *, algorithm: str, offset: int, hash_state: bytes
    ) -> None:
        """Note how far an upload is, so that nobody need hash its bytes again."""
        session = UploadSession(offset, algorithm, hash_state, self._clock())
        with _available():
            uploads.note(self._database, repository, upload_id, session)

    def cancel_upload(self, repository: Repository, upload_id: str) -> None:
        """Remember that the session takes nothing more."""
        session = UploadSession(uploads.CANCELLED, "", b"", self._clock())
        with _available():
            uploads.note(self._database, repository, upload_id, session)

    def cancelled_uploads(self) -> frozenset[str]:
        """The names of all cancelled sessions that are not yet swept."""
        with _available():
            return uploads.cancelled(self._database)

    def end_upload(self, repository: Repository, upload_id: str) -> None:
        """Forget a session; nothing happens if it is gone already."""
        with _available():
            uploads.end(self._database, repository, upload_id)

    def abandoned_uploads(self, before: datetime, limit: int = 100) -> list[tuple[Repository, str]]:
        """Sessions of which something was noted before a time and that never ended, the oldest first."""
        with _available():
            return uploads.abandoned(self._database, before, limit)

    def _reference(self, repository: Repository) -> str:
        return f"{self._internal_hostname}/{repository}"

    @contextmanager
    def _indexed(self, repository: Repository) -> Iterator[None]:
        """Ask the tables about a repository that they speak for."""
        with _available():
            covered = self._coverage.covers(repository)
        if not covered:
            if self._read_storage is None:
                raise unfinished(repository)
            self._read_storage(repository)
        with _available():
            yield


@contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except DatabaseUnavailable as error:
        raise MetadataUnavailable(str(error)) from error
