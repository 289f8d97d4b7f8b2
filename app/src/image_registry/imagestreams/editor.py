"""The rules for whoever says what is wanted, as one object: the Image API's writes.

What :class:`~image_registry.imagestreams.service.ImageStreams` is for the registry's door and for reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from image_registry.imagestreams import (
    held_images,
    image_signatures,
    image_writes,
    reads,
    spec_writes,
    status_writes,
    tag_edits,
)
from image_registry.imagestreams.availability import available
from image_registry.imagestreams.image_signatures import ImageSignature
from image_registry.imagestreams.image_writes import ImageDraft
from image_registry.imagestreams.limits import NO_LIMITS, Limits
from image_registry.imagestreams.model import Image, ImageStream, Page
from image_registry.imagestreams.signatures import Signature
from image_registry.imagestreams.spec_rules import StreamDraft
from image_registry.imagestreams.spec_writes import MayPull, Writer
from image_registry.imagestreams.status_writes import TagStatus
from image_registry.imagestreams.tag_edits import TagEdit
from image_registry.metadata.database import Database
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository


class Editor:
    """Every method may raise :class:`MetadataUnavailable`, and :class:`InvalidObject` with everything that is wrong.

    Those that write to a stream raise :class:`LimitExceeded` and, while nobody tells the limits of its namespace,
    :class:`LimitsUnknown`.
    """

    def __init__(
        self,
        database: Database,
        *,
        internal_hostname: str,
        clock: Callable[[], datetime],
        limits: Callable[[str], Limits],
    ) -> None:
        self._database = database
        self._host = internal_hostname
        self._clock = clock
        self._limits = limits

    def create_stream(
        self, draft: StreamDraft, *, may_pull: MayPull, confirm_create: Callable[[], None], dry_run: bool
    ) -> ImageStream:
        """Make a stream. ``confirm_create`` as for a push. Raises :class:`StreamExists`."""
        with available():
            writer = self._writer(may_pull, dry_run, draft.repository, confirm_create)
            return spec_writes.create(self._database, draft, writer)

    def update_stream(
        self, draft: StreamDraft, *, uid: str, resource_version: int, may_pull: MayPull, dry_run: bool
    ) -> ImageStream:
        """Change what was read as ``uid`` at ``resource_version``. Raises :class:`StreamUnknown`, :class:`Conflict`."""
        with available():
            writer = self._writer(may_pull, dry_run, draft.repository)
            return spec_writes.update(self._database, draft, writer, uid=uid, resource_version=resource_version)

    def update_status(
        self,
        repository: Repository,
        tags: Mapping[str, TagStatus],
        *,
        managed_fields: Sequence[Mapping[str, object]],
        uid: str,
        resource_version: int,
        dry_run: bool,
    ) -> ImageStream:
        """Change what the tags of a stream meant. Raises as :meth:`update_stream`."""
        with available():
            return status_writes.update(
                self._database,
                repository,
                tags,
                self._writer(_nothing, dry_run, repository),
                managed_fields=managed_fields,
                uid=uid,
                resource_version=resource_version,
            )

    def put_tag(
        self, edit: TagEdit, *, may_pull: MayPull, confirm_create: Callable[[], None], dry_run: bool
    ) -> ImageStream:
        """Change what is wanted of one tag; the stream is made if it is missing. Raises :class:`TagExists`."""
        with available():
            writer = self._writer(may_pull, dry_run, edit.repository, confirm_create)
            return tag_edits.put(self._database, edit, writer)

    def map_image(
        self,
        repository: Repository,
        tag: str,
        digest: Digest,
        reference: str,
        *,
        draft: ImageDraft | None,
        may_pull: MayPull,
        dry_run: bool,
    ) -> ImageStream:
        """Let a tag mean an Image, which is made of ``draft`` if it is missing. Raises :class:`StreamUnknown`."""
        with available():
            writer = self._writer(may_pull, dry_run, repository)
            return tag_edits.map_image(self._database, repository, tag, digest, reference, writer, draft=draft)

    def create_image(self, draft: ImageDraft, *, dry_run: bool) -> Image:
        """Make an Image of its manifest. Raises :class:`ImageExists`."""
        with available():
            return image_writes.create(self._database, draft, self._writer(_nothing, dry_run))

    def update_image(self, draft: ImageDraft, *, uid: str, resource_version: int, dry_run: bool) -> Image:
        """Change what is written on an Image. Raises :class:`ImageUnknown`, :class:`Conflict`."""
        with available():
            writer = self._writer(_nothing, dry_run)
            return image_writes.update(self._database, draft, writer, uid=uid, resource_version=resource_version)

    def stream_image(
        self, repository: Repository, beginning: str
    ) -> tuple[ImageStream, Image, datetime | None, datetime | None]:
        """An image of a stream by the beginning of its digest, since when it is held, and since when it is not pulled.

        Raises :class:`Ambiguous`, :class:`ImageUnknown`.
        """
        with available():
            return reads.stream_image(self._database, repository, beginning)

    def held_images(
        self, *, namespace: str | None, limit: int | None, after: str | None, brief: bool
    ) -> Page[held_images.HeldImage]:
        """What streams hold, by namespace, stream and digest. Raises :class:`InvalidContinue`."""
        with available():
            return held_images.page(self._database, namespace=namespace, limit=limit, after=after, brief=brief)

    def release_image(
        self, repository: Repository, digest: Digest, *, uid: str | None, resource_version: int | None, dry_run: bool
    ) -> None:
        """Let a stream hold an image no more. Raises as :func:`held_images.release`."""
        with available():
            held_images.release(
                self._database,
                repository,
                digest,
                uid=uid,
                resource_version=resource_version,
                dry_run=dry_run,
                now=self._clock(),
            )

    def stream_images(self, repository: Repository) -> tuple[ImageStream, list[Image]]:
        """Everything that a stream holds. Raises :class:`StreamUnknown`."""
        with available():
            return reads.stream_images(self._database, repository)

    def signatures(self, digest: Digest) -> tuple[ImageSignature, ...]:
        """Signatures of an Image, whichever stream holds it."""
        with available():
            return image_signatures.of_image(self._database, digest)

    def add_signature(self, digest: Digest, signature: Signature, *, created_by: str, dry_run: bool) -> ImageSignature:
        """Keep one more. Raises as :func:`image_signatures.add`."""
        with available():
            writer = self._writer(_nothing, dry_run)
            return image_signatures.add(self._database, digest, signature, writer, created_by=created_by)

    def remove_signature(self, digest: Digest, name: str, *, dry_run: bool) -> None:
        """Take one away. Raises :class:`SignatureUnknown`."""
        with available():
            image_signatures.remove(self._database, digest, name, self._writer(_nothing, dry_run))

    def _writer(
        self,
        may_pull: MayPull,
        dry_run: bool,
        repository: Repository | None = None,
        confirm: Callable[[], None] = lambda: None,
    ) -> Writer:
        limits = self._limits(repository.namespace) if repository is not None else NO_LIMITS
        return Writer(
            now=self._clock(),
            host=self._host,
            may_pull=may_pull,
            confirm_create=confirm,
            dry_run=dry_run,
            limits=limits,
        )


def _nothing(_repository: Repository) -> bool:
    return False
