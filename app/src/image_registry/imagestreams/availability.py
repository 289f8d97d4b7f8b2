"""One name for a database that does not answer, so that no door need know what the tables lie in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from image_registry.imagestreams.errors import MetadataUnavailable
from image_registry.metadata.database import DatabaseUnavailable


@contextmanager
def available() -> Iterator[None]:
    """Raises :class:`MetadataUnavailable` where the database was not to be had."""
    try:
        yield
    except DatabaseUnavailable as error:
        raise MetadataUnavailable(str(error)) from error
