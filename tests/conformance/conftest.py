"""Every test is one rule of the protocol and gets a repository that nobody else uses."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.conformance import target as targets
from tests.conformance.protocol import Client, Repository
from tests.conformance.target import Target


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The registry that the environment names, or one that is started."""
    named = targets.named()
    if named is not None:
        yield named
        named.client.close()
        return
    with targets.started(tmp_path_factory.mktemp("conformance")) as found:
        yield found
        found.client.close()


@pytest.fixture
def client(target: Target) -> Client:
    """Who may do everything in two namespaces."""
    return target.client


@pytest.fixture
def stranger(target: Target) -> Iterator[Client]:
    """Nobody."""
    nobody = target.client.anonymous()
    yield nobody
    nobody.close()


@pytest.fixture
def here(target: Target) -> Repository:
    """A repository of the first namespace."""
    return Repository(target.client, f"{target.namespaces[0]}/r-{uuid.uuid4().hex[:12]}")


@pytest.fixture
def there(target: Target) -> Repository:
    """A repository of the second namespace."""
    return Repository(target.client, f"{target.namespaces[1]}/r-{uuid.uuid4().hex[:12]}")
