"""A registry in a folder, and an empty folder that it is copied to."""

from __future__ import annotations

from pathlib import Path

import pytest

from image_registry.storage.choice import Filesystem, open_store
from tests.app.relocating.registry_tree import Filled, fill


@pytest.fixture
def source(tmp_path: Path) -> Filesystem:
    return Filesystem(rootdirectory=tmp_path / "source")


@pytest.fixture
def target(tmp_path: Path) -> Filesystem:
    return Filesystem(rootdirectory=tmp_path / "target")


@pytest.fixture
def filled(source: Filesystem) -> Filled:
    return fill(open_store(source))
