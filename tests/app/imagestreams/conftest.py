"""A registry without HTTP or storage: what tests of the rules push into."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from image_registry.imagestreams.push import PushOutcome
from image_registry.imagestreams.service import ImageStreams
from image_registry.metadata.database import Database
from image_registry.oci import media_types
from image_registry.oci.digest import Digest
from image_registry.oci.manifest import Manifest, parse_manifest
from image_registry.oci.reference import Repository

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

    @staticmethod
    def image(content: object, **extra: Any) -> Manifest:
        """An image manifest that differs with ``content``."""
        blob = str(Digest.of(repr(content).encode()))
        document = {
            "schemaVersion": 2,
            "mediaType": media_types.OCI_MANIFEST,
            "config": {"mediaType": media_types.OCI_CONFIG, "digest": blob, "size": 10},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": blob, "size": 10}],
            **extra,
        }
        return parse_manifest(json.dumps(document).encode(), "")

    @staticmethod
    def index(*children: Manifest) -> Manifest:
        """An index of images, the first for amd64, the others for arm."""
        entries = [
            {
                "mediaType": child.media_type,
                "digest": str(child.digest),
                "size": len(child.raw),
                "platform": {"os": "linux", "architecture": "arm" if number else "amd64"},
            }
            for number, child in enumerate(children)
        ]
        document = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": entries}
        return parse_manifest(json.dumps(document).encode(), "")

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
