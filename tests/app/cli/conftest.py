"""``ac`` against a cluster with the real Image API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.app.cli.served import Ac, Office, listening
from tests.app.pruning.conftest import PrunedCluster, empty, one_registry  # noqa: F401 - fixtures


@pytest.fixture
def office(empty: Callable[[], PrunedCluster]) -> Office:  # noqa: F811
    """An empty registry in a cluster without workloads."""
    return Office(empty().api)


@pytest.fixture
def ac(office: Office, tmp_path: Path) -> Iterator[Ac]:
    """The command, as its user has a kubeconfig for the office and no other files."""
    home = tmp_path / "home"
    home.mkdir()
    with listening(office.answer, tmp_path) as config:
        yield Ac(config, home)
