"""A full disk: pushes end in a sentence with the cure, pulls go on, and after the cure the same push completes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients.curl import Curl, Reply, bearer, upload
from tests.cluster.kubernetes import NAMESPACE, ROOT, Kubectl, Team

pytestmark = pytest.mark.lab

DEPLOYMENT = ("-n", NAMESPACE, "rollout")


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A disk of a few mebibytes in place of the registry's volume, on its node."""

    node: str
    path: str

    def run(self, *command: str) -> None:
        subprocess.run([ROOT / "lab/lab", "shell", self.node, *command], check=True, capture_output=True, timeout=30)

    def resize(self, size: str) -> None:
        """What an administrator does who gives the volume more room."""
        self.run("mount", "-o", f"remount,size={size}", self.path)


def restart(kubectl: Kubectl) -> None:
    kubectl(*DEPLOYMENT, "restart", "deployment/image-registry")
    kubectl(*DEPLOYMENT, "status", "deployment/image-registry", "--timeout=120s")


@pytest.fixture
def disk(kubectl: Kubectl) -> Iterator[SmallDisk]:
    pods = kubectl.json("-n", NAMESPACE, "get", "pods", "-l", "app.kubernetes.io/name=image-registry")["items"]
    claim = kubectl.json("-n", NAMESPACE, "get", "pvc", "image-registry-storage")
    volume = kubectl.json("get", "pv", claim["spec"]["volumeName"])["spec"]
    small = SmallDisk(pods[0]["spec"]["nodeName"], (volume.get("hostPath") or volume.get("local"))["path"])
    small.run("mount", "-t", "tmpfs", "-o", "size=8m,mode=0777", "tmpfs", small.path)
    try:
        restart(kubectl)
        yield small
    finally:
        kubectl("-n", NAMESPACE, "scale", "deployment/image-registry", "--replicas=0")
        kubectl("-n", NAMESPACE, "wait", "pod", "-l", "app.kubernetes.io/name=image-registry", "--for=delete")
        small.run("umount", small.path)
        kubectl("-n", NAMESPACE, "scale", "deployment/image-registry", "--replicas=1")
        kubectl(*DEPLOYMENT, "status", "deployment/image-registry", "--timeout=120s")


def push(curl: Curl, repository: str, layer: Path, digest: str) -> Reply:
    authorization = bearer(curl.token(f"repository:{repository}:pull,push"))
    begun = curl(f"/v2/{repository}/blobs/uploads/", "-X", "POST", "-d", "", config=authorization)
    if begun.status != 202:
        return begun
    location = begun.headers["location"]
    target = f"{location}{'&' if '?' in location else '?'}digest={digest}"
    octets = ("-X", "PUT", "-H", "Content-Type: application/octet-stream", "-T", str(layer))
    return curl(target, *octets, config=authorization)


def test_a_full_disk_is_said_pulls_go_on_and_more_room_is_the_cure(
    disk: SmallDisk, curl: Curl, team: Team, tmp_path: Path
) -> None:
    repository = f"{team.namespace}/app"
    authorization = bearer(curl.token(f"repository:{repository}:pull,push"))
    small = os.urandom(100_000)
    digest = upload(curl, repository, small, authorization, tmp_path)
    layer = tmp_path / "layer"
    layer.write_bytes(os.urandom(16 << 20))
    wanted = subprocess.run(["sha256sum", layer], capture_output=True, text=True, check=True).stdout.split()[0]

    refused = push(curl, repository, layer, f"sha256:{wanted}")
    assert refused.status == 507, refused.body
    message = json.loads(refused.body)["errors"][0]["message"]
    assert "full" in message
    assert curl(f"/v2/{repository}/blobs/sha256:{wanted}", config=authorization).status == 404
    pulled = curl(f"/v2/{repository}/blobs/{digest}", config=authorization)
    assert pulled.status == 200
    assert pulled.body == small

    disk.resize("64m")
    assert push(curl, repository, layer, f"sha256:{wanted}").status == 201
