"""Push and pull by real clients with a ServiceAccount's token, over TLS, in a real cluster."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.curl import Curl, bearer, digest_of_download, large_layer, send_file, upload
from tests.clients.layout import image, index
from tests.clients.programs import CLIENTS, COPIERS, Client, Copier, Crane, Registry
from tests.cluster.kubernetes import SERVICE, Kubectl, Team

pytestmark = pytest.mark.lab


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder with a short name: podman refuses long ones."""
    folder = Path(tempfile.mkdtemp(prefix="client-"))
    (folder / "auth.json").write_text("{}", encoding="utf-8")
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parity(14)
@pytest.mark.parametrize("kind", CLIENTS, ids=lambda kind: str(kind.name))
def test_a_client_logs_in_with_a_service_accounts_token_pushes_and_pulls(
    kind: type[Client], registry: Registry, team: Team, home: Path, tmp_path: Path
) -> None:
    client = kind(registry, home)  # type: ignore[call-arg]
    client.login(registry.user, registry.password)
    reference = f"{team.namespace}/app:v1"
    pushed = client.push(image(tmp_path / "image"), reference)
    assert client.pull(reference) == pushed


@pytest.mark.parity(10)
@pytest.mark.parametrize("kind", COPIERS, ids=lambda kind: str(kind.name))
def test_an_index_of_two_architectures_keeps_its_digest(
    kind: type[Copier], registry: Registry, team: Team, kubectl: Kubectl, home: Path, tmp_path: Path
) -> None:
    client = kind(registry, home)  # type: ignore[call-arg]
    client.login(registry.user, registry.password)
    made = index(tmp_path / "index")
    reference = f"{team.namespace}/many:v1"
    assert client.push(made, reference) == made.digest
    assert client.pull(reference) == made.digest
    found = kubectl.json("get", "image", made.digest)
    architectures = {manifest["architecture"] for manifest in found["dockerImageManifests"]}
    assert architectures == set(made.platforms)


def test_the_token_flow_by_curl(curl: Curl, team: Team, tmp_path: Path) -> None:
    repository = f"{team.namespace}/raw"
    token = curl.token(f"repository:{repository}:pull,push")
    data = os.urandom(1000)
    digest = upload(curl, repository, data, bearer(token), tmp_path)
    reply = curl(f"/v2/{repository}/blobs/{digest}", config=bearer(token))
    assert reply.status == 200
    assert reply.body == data


def test_a_layer_of_one_gibibyte_arrives_and_returns_whole(curl: Curl, team: Team, tmp_path: Path) -> None:
    layer = tmp_path / "layer"
    digest = large_layer(layer)
    repository = f"{team.namespace}/large"
    authorization = bearer(curl.token(f"repository:{repository}:pull,push"))
    send_file(curl, repository, layer, digest, authorization)
    layer.unlink()
    assert digest_of_download(curl, f"/v2/{repository}/blobs/{digest}", authorization) == digest


def test_a_pod_of_a_pushed_image_becomes_ready(crane: Crane, team: Team, kubectl: Kubectl, busybox: Path) -> None:
    crane.run("push", str(busybox), crane.at(f"{team.namespace}/server:1"))
    team.pull_secret("pull", "builder")
    team.run("server", f"{SERVICE}/{team.namespace}/server:1", secret="pull")
    kubectl("-n", team.namespace, "wait", "pod/server", "--for=condition=Ready", "--timeout=60s")
    image_id = kubectl.json("-n", team.namespace, "get", "pod", "server")["status"]["containerStatuses"][0]["imageID"]
    tag = kubectl.json("-n", team.namespace, "get", "imagestreamtag", "server:1")
    # the runtime may show another name that it knows for the same content
    assert image_id.partition("@")[2] == tag["image"]["metadata"]["name"]


@pytest.mark.parametrize("account", ["", "stranger"], ids=["nobody", "an account without the right"])
def test_a_pod_without_the_right_to_pull_says_so_in_its_status(
    account: str, crane: Crane, team: Team, kubectl: Kubectl, busybox: Path
) -> None:
    crane.run("push", str(busybox), crane.at(f"{team.namespace}/server:1"))
    if account:
        team.pull_secret("pull", account)
    team.run("server", f"{SERVICE}/{team.namespace}/server:1", secret="pull" if account else "")
    kubectl(
        *("-n", team.namespace, "wait", "pod/server", "--timeout=60s"),
        "--for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=ErrImagePull",
    )
    message = kubectl.json("-n", team.namespace, "get", "pod", "server")["status"]["containerStatuses"][0]["state"]
    assert ("403" if account else "401") in message["waiting"]["message"]
