"""The client matrix against the registry in a cluster: TLS of the cluster's own CA, tokens of a ServiceAccount."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.matrix import Bench, checks
from tests.clients.programs import Registry
from tests.cluster.kubernetes import Kubectl, Team

pytestmark = pytest.mark.lab
CHECKS = checks()


@pytest.fixture(scope="module")
def owners(kubectl: Kubectl) -> Iterator[Team]:
    """A namespace whose builder may also delete."""
    team = Team.make(kubectl)
    binding = ["rolebinding", "builder-deletes", "--clusterrole=system:image-deleter"]
    kubectl("-n", team.namespace, "create", *binding, f"--serviceaccount={team.namespace}:builder")
    yield team
    kubectl("delete", "namespace", team.namespace, "--wait=false", "--ignore-not-found")


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder with a short name: podman refuses long ones."""
    folder = Path(tempfile.mkdtemp(prefix="client-"))
    (folder / "auth.json").write_text("{}", encoding="utf-8")
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("cell", CHECKS)
def test_the_client_matrix(cell: str, address: str, ca: Path, owners: Team, home: Path, tmp_path: Path) -> None:
    registry = Registry(address, ca, "builder", owners.token())
    CHECKS[cell](Bench(registry, owners.namespace, home, tmp_path))
