"""What there is in the registry, looked at as a whole: pages of streams, tags and Images of many namespaces.

Nothing here concludes anything from what is missing, so nobody asks first whether the tables speak for a repository.
"""

from __future__ import annotations

from image_registry.imagestreams import reads
from image_registry.imagestreams.availability import available
from image_registry.imagestreams.errors import ImageUnknown
from image_registry.imagestreams.model import Image, ImageStream, Page, StreamSummary, TagHistory
from image_registry.metadata.database import Database
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository


class Listings:
    """See :class:`~image_registry.imagestreams.service.ImageStreams` for ``limit`` and ``after``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def repositories(
        self, *, namespaces: frozenset[str] | None, limit: int | None = None, after: str | None = None
    ) -> Page[Repository]:
        """Repositories of these namespaces (``None``: of all) by namespace, then name."""
        with available():
            return reads.repositories(self._database, namespaces=namespaces, limit=limit, after=after)

    def namespaces(self) -> list[str]:
        """Namespaces that hold streams, sorted."""
        with available():
            return reads.namespaces(self._database)

    def streams(
        self, *, namespace: str | None = None, limit: int | None = None, after: str | None = None, history: bool = True
    ) -> Page[ImageStream]:
        """Streams of one namespace or of all, by namespace, then name; ``after`` is ``namespace/name``.

        Without ``history`` each tag comes with its newest event only, which is much less to read.
        """
        with available():
            return reads.all_streams(self._database, namespace=namespace, limit=limit, after=after, history=history)

    def summaries(
        self, *, namespace: str | None = None, limit: int | None = None, after: str | None = None, tags: bool = True
    ) -> Page[StreamSummary]:
        """The same streams with the names of their tags alone, or without ``tags``: what is shown of many at once."""
        with available():
            return reads.summaries(self._database, namespace=namespace, limit=limit, after=after, tags=tags)

    def stream_tags(
        self, *, namespace: str | None = None, limit: int | None = None, after: str | None = None
    ) -> Page[tuple[ImageStream, TagHistory]]:
        """Tags of one namespace or of all; pages count tags, not streams; ``after`` is ``namespace/name:tag``.

        Each history holds the newest event only, each stream comes without ``tags``: a page must not grow with the
        past. Raises :class:`InvalidContinue`.
        """
        with available():
            return reads.stream_tags(self._database, namespace=namespace, limit=limit, after=after)

    def image(self, digest: Digest) -> Image:
        """Raises :class:`ImageUnknown`."""
        with available():
            return reads.image(self._database, digest)

    def find_image(self, digest: Digest) -> Image | None:
        """An Image, or ``None``."""
        try:
            return self.image(digest)
        except ImageUnknown:
            return None

    def brief_stream(self, repository: Repository) -> list[ImageStream]:
        """A stream with the newest event of each tag, if there is one."""
        with available():
            return reads.brief(self._database, repository)

    def images(self, *, limit: int | None = None, after: str | None = None) -> Page[Image]:
        """Images in order of their digests; ``after`` is a digest."""
        with available():
            return reads.all_images(self._database, limit=limit, after=after)

    def revision(self) -> int:
        """The newest revision, at least 1."""
        with available():
            return reads.revision(self._database)
