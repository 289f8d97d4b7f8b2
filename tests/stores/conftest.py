"""Every kind of storage in turn: one server of each for a whole run, and a prefix of its own for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from image_registry.storage.blob_store import BlobStore
from image_registry.storage.choice import Storage, open_store
from tests.stores import servers


@pytest.fixture(scope="session")
def backends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Storage]]:
    """Starts each server when it is first asked for."""
    started: dict[str, Storage] = {}
    with ExitStack() as until_end:

        def storage(name: str) -> Storage:
            if name not in started:
                folder = tmp_path_factory.mktemp(name)
                started[name] = until_end.enter_context(servers.BACKENDS[name](folder))
            return started[name]

        yield storage


@pytest.fixture(params=servers.BACKENDS)
def storage(request: pytest.FixtureRequest, backends: Callable[[str], Storage], tmp_path: Path) -> Storage:
    """An empty storage of each kind."""
    return servers.apart(backends(request.param), tmp_path)


@pytest.fixture
def store(storage: Storage) -> BlobStore:
    """A store on it."""
    return open_store(storage)


@pytest.fixture
def open_another(storage: Storage) -> Callable[[], BlobStore]:
    """Further replicas on the same storage: they share nothing but that."""
    return lambda: open_store(storage)
