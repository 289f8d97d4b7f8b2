"""A registry without HTTP or storage: what tests of the rules push into."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from image_registry.imagestreams.push import PushOutcome
from image_registry.imagestreams.service import ImageStreams
from image_registry.metadata.database import Database
from image_registry.oci.manifest import Manifest
from image_registry.oci.reference import Repository
from tests.app import content

HOST = "image-registry.example:5000"


def nothing() -> None:
    """What a door does that has nothing to say."""


class Clock:
    """A clock that only tests move; each look is one second later."""

    def __init__(self) -> None:
        self.now = datetime(2030, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


class Registry:
    """The rules with short ways to push."""

    host = HOST

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = Clock()
        self.streams = ImageStreams(database, internal_hostname=HOST, clock=self.clock)

    image = staticmethod(content.image)
    index = staticmethod(content.index)

    def push(
        self,
        repository: str,
        manifest: Manifest | object,
        tag: str | None = "latest",
        *,
        config: bytes | None = None,
        authorize_create: Callable[[], None] = nothing,
        before_commit: Callable[[], None] = nothing,
    ) -> PushOutcome:
        """Push a manifest, or an image made of any other value."""
        return self.streams.push(
            Repository.parse(repository),
            manifest if isinstance(manifest, Manifest) else self.image(manifest),
            tag=tag,
            config=config,
            pushed_by="system:serviceaccount:team:builder",
            authorize_create=authorize_create,
            before_commit=before_commit,
        )


@pytest.fixture
def registry(database: Database) -> Registry:
    return Registry(database)
