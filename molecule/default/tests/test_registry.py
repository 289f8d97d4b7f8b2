"""What an installed registry is to its users, asked with their own tools: kubectl, curl, crane, the node's file system.

The scenario runs this twice, with an uninstallation and a new installation in between; what the first run pushed
must be pulled by the second.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from testinfra.host import Host

ROOT = Path(__file__).resolve().parents[3]
SYSTEM = "image-registry-system"
SERVICE = f"image-registry.{SYSTEM}.svc"
TEAM, OTHER = "registry-molecule", "registry-molecule-other"
MARKER = Path(os.environ.get("MOLECULE_EPHEMERAL_DIRECTORY", "/nonexistent")) / "pushed.json"

Kubectl = Callable[..., str]


@pytest.fixture(scope="module")
def team(kubectl: Kubectl) -> str:
    """A namespace with an account that may push, and another one with an account that may not."""
    for namespace in (TEAM, OTHER):
        if namespace not in kubectl("get namespaces -o name"):
            kubectl(f"create namespace {namespace}")
            kubectl(f"-n {namespace} create serviceaccount builder")
            kubectl(
                f"-n {namespace} create rolebinding builder --clusterrole=system:image-pusher "
                f"--serviceaccount={namespace}:builder"
            )
    return TEAM


def token(kubectl: Kubectl, namespace: str) -> str:
    return kubectl(f"-n {namespace} create token builder").strip()


def registry_token(ask: Callable[..., tuple[int, str]], secret: str, scope: str) -> str:
    status, body = ask(f"/v2/token?scope={scope}", user=secret)
    assert status == 200, body
    return str(json.loads(body).get("token"))


@pytest.mark.parametrize("name", ["image-registry", "image-api-server"])
def test_every_pod_is_ready(kubectl: Kubectl, name: str) -> None:
    status = json.loads(kubectl(f"-n {SYSTEM} get deployment {name} -o json"))["status"]
    assert status["readyReplicas"] == status["replicas"] >= 1


def test_the_image_api_is_part_of_the_cluster(kubectl: Kubectl) -> None:
    assert "True" in kubectl("get apiservice v1.image.alauda.io")
    assert "imagestreams" in kubectl("api-resources --api-group=image.alauda.io")


def test_the_registry_asks_who_calls_over_tls(ask: Callable[..., tuple[int, str]]) -> None:
    status, body = ask("/v2/")
    assert status == 401
    assert "UNAUTHORIZED" in body


def test_every_node_knows_and_trusts_the_registry(host: Host, kubectl: Kubectl, address: str) -> None:
    for node in kubectl("get nodes -o jsonpath={.items[*].metadata.name}").split():
        seen = host.check_output(
            f"{ROOT}/lab/lab shell {node} sh -c "
            "'cat /etc/hosts; ls /etc/containerd/certs.d/*; cat /etc/containerd/certs.d/*/*'"
        )
        assert f"{address}" in seen
        assert SERVICE in seen
        assert "hosts.toml" in seen
        assert "BEGIN CERTIFICATE" in seen


def test_an_image_is_pushed_once_and_outlives_an_uninstallation(
    host: Host, lab: dict[str, str], kubectl: Kubectl, team: str, address: str, ca: Path, tmp_path: Path
) -> None:
    (tmp_path / "hello").write_text("hello from the first installation\n")
    host.check_output(f"tar -C {tmp_path} -cf {tmp_path}/layer.tar hello")
    docker = {"auths": {f"{address}:5000": {"username": "x", "password": token(kubectl, team)}}}
    (tmp_path / "config.json").write_text(json.dumps(docker))
    (tmp_path / "config.json").chmod(0o600)
    crane = f"SSL_CERT_FILE={ca} DOCKER_CONFIG={tmp_path} {lab['CRANE']}"
    # the certificate is for the Service's name, which the lab's host resolves no other way
    with_name = f"unshare --mount sh -c 'mount --bind {tmp_path}/hosts /etc/hosts && exec \"$@\"' -- env"
    (tmp_path / "hosts").write_text(f"127.0.0.1 localhost\n{address} {SERVICE}\n")
    docker["auths"] = {f"{SERVICE}:5000": docker["auths"][f"{address}:5000"]}
    (tmp_path / "config.json").write_text(json.dumps(docker))
    image = f"{SERVICE}:5000/{team}/kept:1"
    if not MARKER.exists():
        host.check_output(f"{with_name} {crane} append -f {tmp_path}/layer.tar -t {image}")
        MARKER.write_text(json.dumps({"digest": host.check_output(f"{with_name} {crane} digest {image}").strip()}))
    pushed = json.loads(MARKER.read_text())["digest"]
    assert host.check_output(f"{with_name} {crane} digest {image}").strip() == pushed
    host.check_output(f"{with_name} {crane} validate --remote {image}")
    assert pushed in kubectl(f"-n {team} get imagestreamtags kept:1 -o yaml")


def test_the_namespace_is_the_boundary(ask: Callable[..., tuple[int, str]], kubectl: Kubectl, team: str) -> None:
    scope = f"repository:{team}/kept:pull"
    mine = registry_token(ask, token(kubectl, team), scope)
    theirs = registry_token(ask, token(kubectl, OTHER), scope)
    assert ask(f"/v2/{team}/kept/tags/list", mine)[0] == 200
    status, body = ask(f"/v2/{team}/kept/tags/list", theirs)
    assert status in (401, 403)
    assert "kept" not in json.dumps(json.loads(body).get("name", ""))
    assert "Forbidden" in kubectl(
        f"-n {team} get imagestreams --as=system:serviceaccount:{OTHER}:builder", may_fail=True
    )


def test_a_namespace_is_deleted_while_the_image_api_serves_it(kubectl: Kubectl) -> None:
    name = "registry-molecule-gone"
    kubectl(f"create namespace {name}")
    started = time.monotonic()
    kubectl(f"delete namespace {name} --timeout=60s")
    assert time.monotonic() - started < 60


def test_no_pod_is_restarted_again_and_again(kubectl: Kubectl) -> None:
    pods: list[dict[str, Any]] = json.loads(kubectl(f"-n {SYSTEM} get pods -o json"))["items"]
    for pod in pods:
        for status in pod["status"].get("containerStatuses", []):
            assert status["restartCount"] <= 2, f"{pod['metadata']['name']}/{status['name']}"
