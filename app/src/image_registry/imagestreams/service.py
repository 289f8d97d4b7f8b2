"""The rules as one object that every door is given; the rules themselves are in the modules beside this one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from image_registry.imagestreams import deletion, echo, image_signatures, reads, signatures
from image_registry.imagestreams.accounting import Accounts
from image_registry.imagestreams.adopter import Adopter
from image_registry.imagestreams.allowance import Allowance
from image_registry.imagestreams.availability import available
from image_registry.imagestreams.changes import Changes
from image_registry.imagestreams.coverage import Coverage, unfinished
from image_registry.imagestreams.editor import Editor
from image_registry.imagestreams.errors import StreamUnknown
from image_registry.imagestreams.importer import Imports
from image_registry.imagestreams.limits import NO_LIMITS, Limits
from image_registry.imagestreams.listings import Listings
from image_registry.imagestreams.local_names import ShortName, meaning
from image_registry.imagestreams.model import Image, ImageStream, Page, StoredManifest, TagHistory
from image_registry.imagestreams.push import KnownStreams, Push, PushOutcome, push
from image_registry.imagestreams.signatures import Signature
from image_registry.imagestreams.storage_work import StorageWork
from image_registry.imagestreams.uploads import UploadSessions
from image_registry.metadata.database import Database
from image_registry.oci.digest import Digest
from image_registry.oci.manifest import Manifest
from image_registry.oci.reference import Repository


def _now() -> datetime:
    return datetime.now(UTC)


class ImageStreams(Listings, StorageWork):
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
        super().__init__(database)
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
        self.allowance = Allowance(self._accounts, clock=clock, limits=limits)
        """What bytes a namespace may still take."""
        self.sessions = UploadSessions(database, clock=clock)
        """What replicas know of each other's uploads."""
        self.adopter = Adopter(database, internal_hostname=internal_hostname, clock=clock)
        """Tables from storage."""

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
        with self._indexed(repository) if precondition else available():
            return push(
                self._database,
                request,
                reference=reference,
                now=self._clock(),
                known=self._known,
                accounts=self._accounts,
            )

    def manifest(self, repository: Repository, digest: Digest) -> StoredManifest:
        """A manifest that the repository holds. Raises :class:`StreamUnknown`, :class:`ImageUnknown`.

        Raises :class:`IndexUnfinished`, as :meth:`tag` does, where only storage can tell yet.
        """
        with available():
            self._coverage.require(repository)
            return reads.manifest(self._database, repository, digest)

    def tag(self, repository: Repository, tag: str) -> StoredManifest:
        """What the tag means now. Raises :class:`StreamUnknown`, :class:`TagUnknown`."""
        with available():
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
        with available():
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
        with available():
            return deletion.delete_image(
                self._database,
                digest,
                uid=uid,
                resource_version=resource_version,
                dry_run=dry_run,
                now=self._clock(),
            )

    # making the tables from storage

    def read_storage_with(self, read: Callable[[Repository], None]) -> None:
        """From now on let ``read`` adopt a repository before its turn when somebody needs its tables.

        A process without storage has nobody to do that: there such a question raises :class:`IndexUnfinished`.
        """
        self._read_storage = read

    def covers(self, repository: Repository) -> bool:
        """Whether the tables speak for a repository."""
        with available():
            return self._coverage.covers(repository)

    def _reference(self, repository: Repository) -> str:
        return f"{self._internal_hostname}/{repository}"

    @contextmanager
    def _indexed(self, repository: Repository) -> Iterator[None]:
        """Ask the tables about a repository that they speak for."""
        with available():
            covered = self._coverage.covers(repository)
        if not covered:
            if self._read_storage is None:
                raise unfinished(repository)
            self._read_storage(repository)
        with available():
            yield
