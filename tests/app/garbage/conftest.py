"""A registry in this process, whose clock the tests move by making everything in its storage older."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from image_registry.garbage.collection import Collector, Report, Rules
from image_registry.imagestreams.inventory import Inventory
from image_registry.metadata.database import Database
from tests.app.distribution_api.conftest import Registry, assemble
from tests.app.schema import upgraded

DAY = timedelta(hours=24)


@dataclass
class Yard:
    """A registry and its collector."""

    registry: Registry
    root: Path

    def pass_time(self, span: timedelta = timedelta(hours=25)) -> None:
        """Everything in storage was written so much earlier."""
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = f"{folder}/{name}"
                status = os.stat(path)
                os.utime(path, (status.st_atime, status.st_mtime - span.total_seconds()))

    def collector(self, *, grace: timedelta = DAY, trash: timedelta = DAY, share: float = 1) -> Collector:
        return Collector(self.registry.store, Inventory(self.registry.database), Rules(grace, trash, share))

    def collect(self, *, dry_run: bool = False, trash: timedelta = DAY) -> Report:
        return self.collector(trash=trash).run(dry_run=dry_run)

    def blobs(self) -> set[str]:
        """Digests in their places."""
        return {str(blob.digest) for blob in self.registry.store.blobs(lambda _algorithm, _value: True)}


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    """An empty one."""
    database = Database(upgraded(f"sqlite:///{tmp_path / 'metadata.db'}"))
    yield Yard(assemble(database, tmp_path / "blobs"), tmp_path / "blobs")
    database.dispose()
