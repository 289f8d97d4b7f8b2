"""The installation that ``make demo`` made in the lab, reached as people reach it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.curl import Curl
from tests.clients.programs import Crane, Registry
from tests.cluster import extras
from tests.cluster.kubernetes import NAMESPACE, CommandFailed, Kubectl, Team
from tests.serve.conftest import CACHE, free_port, program, wait_for_port


@pytest.fixture(scope="session")
def kubectl(lab_kubeconfig: Path) -> Kubectl:
    """The administrator's kubectl; fails if nothing is installed."""
    found = Kubectl(lab_kubeconfig)
    try:
        found("-n", NAMESPACE, "get", "deployment", "image-registry")
    except CommandFailed as error:
        pytest.fail(f"the registry is not installed in the lab: run `make demo` first ({error})")
    return found


@pytest.fixture(scope="session")
def address(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``localhost:PORT``, forwarded to the Service: a name of its certificate that outlives every Pod."""
    service = kubectl.json("-n", NAMESPACE, "get", "service", "image-registry")["spec"]["clusterIP"]
    port = free_port()
    log = tmp_path_factory.mktemp("forward") / "log"
    listen = f"TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr"
    command = [program("socat", "apt-get install socat"), listen, f"TCP:{service}:5000"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        wait_for_port(f"127.0.0.1:{port}", process, log)
        yield f"localhost:{port}"
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="session")
def ca(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the documentation tells people to trust."""
    file = tmp_path_factory.mktemp("trust") / "ca.crt"
    bundle = kubectl.json("-n", NAMESPACE, "get", "configmap", "image-registry-ca")["data"]["ca-bundle.crt"]
    file.write_text(bundle, encoding="ascii")
    return file


@pytest.fixture
def team(kubectl: Kubectl) -> Iterator[Team]:
    """A namespace of its own for one test."""
    made = Team.make(kubectl)
    yield made
    kubectl("delete", "namespace", made.namespace, "--wait=false", "--ignore-not-found")


@pytest.fixture
def other_team(kubectl: Kubectl) -> Iterator[Team]:
    """Somebody else's namespace."""
    made = Team.make(kubectl)
    yield made
    kubectl("delete", "namespace", made.namespace, "--wait=false", "--ignore-not-found")


@pytest.fixture
def registry(address: str, ca: Path, team: Team) -> Registry:
    """The registry as the team's builder sees it."""
    return Registry(address, ca, "builder", team.token())


@pytest.fixture
def curl(registry: Registry) -> Curl:
    """The builder's curl."""
    return Curl(registry)


@pytest.fixture
def crane(registry: Registry, tmp_path: Path) -> Crane:
    """The builder's crane, logged in."""
    client = Crane(registry, tmp_path)
    client.login(registry.user, registry.password)
    return client


@pytest.fixture(scope="session")
def busybox() -> Path:
    """A small image that runs, as an archive: the one that the lab makes for itself."""
    archive = CACHE / "images/bb.tar"
    assert archive.is_file(), "run `lab/lab build`"
    return archive


@pytest.fixture(scope="session")
def extras_on(kubectl: Kubectl) -> None:
    """Short names in Pods, and workloads that follow tags."""
    extras.switch_on(kubectl)
