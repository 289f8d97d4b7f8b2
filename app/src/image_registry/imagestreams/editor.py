"""The rules for whoever says what is wanted, as one object: the Image API's writes.

What :class:`~image_registry.imagestreams.service.ImageStreams` is for the registry's door and for reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from image_registry.imagestreams import spec_writes, status_writes
from image_registry.imagestreams.errors import MetadataUnavailable
from image_registry.imagestreams.model import ImageStream
from image_registry.imagestreams.spec_rules import StreamDraft
from image_registry.imagestreams.spec_writes import MayPull, Writer
from image_registry.imagestreams.status_writes import TagStatus
from image_registry.metadata.database import Database, DatabaseUnavailable
from image_registry.oci.reference import Repository


class Editor:
    """Every method may raise :class:`MetadataUnavailable`, and :class:`InvalidObject` with everything that is wrong."""

    def __init__(self, database: Database, *, internal_hostname: str, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._host = internal_hostname
        self._clock = clock

    def create_stream(
        self, draft: StreamDraft, *, may_pull: MayPull, confirm_create: Callable[[], None], dry_run: bool
    ) -> ImageStream:
        """Make a stream. ``confirm_create`` as for a push. Raises :class:`StreamExists`."""
        with _available():
            return spec_writes.create(self._database, draft, self._writer(may_pull, dry_run, confirm_create))

    def update_stream(
        self, draft: StreamDraft, *, uid: str, resource_version: int, may_pull: MayPull, dry_run: bool
    ) -> ImageStream:
        """Change what was read as ``uid`` at ``resource_version``. Raises :class:`StreamUnknown`, :class:`Conflict`."""
        with _available():
            writer = self._writer(may_pull, dry_run)
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
        with _available():
            return status_writes.update(
                self._database,
                repository,
                tags,
                self._writer(_nothing, dry_run),
                managed_fields=managed_fields,
                uid=uid,
                resource_version=resource_version,
            )

    def _writer(self, may_pull: MayPull, dry_run: bool, confirm: Callable[[], None] = lambda: None) -> Writer:
        return Writer(now=self._clock(), host=self._host, may_pull=may_pull, confirm_create=confirm, dry_run=dry_run)


def _nothing(_repository: Repository) -> bool:
    return False


@contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except DatabaseUnavailable as error:
        raise MetadataUnavailable(str(error)) from error
