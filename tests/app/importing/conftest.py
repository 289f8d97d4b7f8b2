"""An importer over real registries and real databases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from image_registry.imagestreams.limits import NO_LIMITS, Limits
from image_registry.imagestreams.service import ImageStreams
from image_registry.importing.importer import Importer
from image_registry.importing.requests import ImageWish, ImportResult, ImportWish, Policy, RepositoryWish
from image_registry.metadata.database import Database
from image_registry.oci.reference import Repository
from image_registry.remote.credentials import Keyring
from image_registry.remote.registry import Registries
from tests.app.remote.conftest import (  # noqa: F401 - fixtures
    REPOSITORY,
    certificates,
    client,
    clock,
    guarded_distribution,
    open_distribution,
    proxy,
)
from tests.app.remote.faulting_proxy import FaultingProxy

STREAM = Repository("team", "imported")


@dataclass
class Importing:
    """What a test asks to import from ``proxy``, and where it looks afterwards."""

    importer: Importer
    streams: ImageStreams
    registries: Registries
    proxy: FaultingProxy
    keyrings: dict[str, Keyring]
    limits: dict[str, Limits]

    def wish(self, *images: ImageWish, **options: Any) -> ImportWish:
        wish = {"repository": STREAM, "images": images, "confirm_create": lambda: None, "imported_by": "ann"}
        return ImportWish(**{**wish, **options})

    def run(self, *images: ImageWish, **options: Any) -> ImportResult:
        return self.importer.run(self.wish(*images, **options))

    def image(self, wanted: str = "v1", tag: str = "", path: str = REPOSITORY, **policy: Any) -> ImageWish:
        mark = "@" if wanted.startswith("sha256:") else ":"
        return ImageWish(f"{self.proxy.host}/{path}{mark}{wanted}", tag, Policy(**policy))

    def whole(self, path: str = REPOSITORY, **policy: Any) -> RepositoryWish:
        return RepositoryWish(f"{self.proxy.host}/{path}", Policy(**policy))


class Moments:
    """A clock of which every look is a second later."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def importing(
    database: Database,
    client: Callable[..., Registries],  # noqa: F811
    proxy: FaultingProxy,  # noqa: F811
) -> Importing:
    """On each kind of database."""
    limits: dict[str, Limits] = {}
    keyrings: dict[str, Keyring] = {}
    streams = ImageStreams(
        database,
        internal_hostname="registry.test:5000",
        clock=Moments(),
        limits=lambda namespace: limits.get(namespace, NO_LIMITS),
    )
    registries = client()
    importer = Importer(
        registries,
        streams.imports,
        lambda repository: keyrings.get(repository.namespace, Keyring()),
        ourselves=["registry.test:5000"],
    )
    return Importing(importer, streams, registries, proxy, keyrings, limits)
