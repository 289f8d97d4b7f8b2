"""A blob that is really corrupt, in a real registry beside a real kube-apiserver: Config says so until it is healed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from image_registry.auth.tokens import generate_key
from image_registry.kube.client import object_path
from image_registry.kube.errors import KubeError
from image_registry.oci.digest import Digest
from image_registry.upkeep.integrity import CONFIG_MAP
from tests.app.upkeep.conftest import House, build
from tests.operator.conftest import NAMESPACE, ApiServer
from tests.operator.reconciled import Cluster
from tests.serve.conftest import free_port, wait_for_port

LAYER = b"the bytes of a layer" * 100

POD = """set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/secrets/kubernetes.io
cp -r "$ACCOUNT" /run/secrets/kubernetes.io/serviceaccount
exec "$PROGRAM" data-plane
"""
"""A mount namespace of its own, in which the token of the ServiceAccount lies where a kubelet puts it."""


@dataclass(frozen=True)
class Scrubbed:
    """The data plane, its storage, and ``ac`` beside it."""

    host: str
    house: House
    token: Path

    def ac(self, *arguments: str) -> int:
        command = [str(Path(sys.executable).with_name("ac")), "adm", "registry", *arguments]
        command += ["--registry-url", f"http://{self.host}", "--token-file", str(self.token)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode in (0, 1), done.stderr
        return done.returncode

    def push(self) -> None:
        assert self.house.registry.push("demo/app", "v1", layer=LAYER).status_code == 201


def account(apiserver: ApiServer, folder: Path, name: str) -> Path:
    """A folder as a kubelet mounts it; what is in it is good for the API server."""
    client = apiserver.as_account(folder, name, NAMESPACE)
    cluster = json.loads(client.kubeconfig.read_text())["clusters"][0]["cluster"]
    mounted = folder / name
    mounted.mkdir()
    (mounted / "token").write_text(client.client.token())
    (mounted / "namespace").write_text(NAMESPACE)
    (mounted / "ca.crt").write_bytes(Path(cluster["certificate-authority"]).read_bytes())
    return mounted


@pytest.fixture
def scrubbed(cluster: Cluster, apiserver: ApiServer, tmp_path: Path) -> Iterator[Scrubbed]:
    """The registry that the operator has installed, as the process that its Pod would be."""
    cluster.change(managementState="Managed", storage={"emptyDir": {}})
    cluster.settle()
    house = build(tmp_path)
    registry, pruner = (account(apiserver, tmp_path, name) for name in ("registry", "pruner"))
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "20260101T000000Z-test.pem").write_bytes(generate_key())
    server = urlsplit(json.loads(apiserver.kubeconfig.read_text())["clusters"][0]["cluster"]["server"])
    host, log = f"127.0.0.1:{free_port()}", tmp_path / "data-plane.log"
    environment = {
        "PATH": os.environ["PATH"],
        "PROGRAM": str(Path(sys.executable).with_name("image-registry")),
        "ACCOUNT": str(registry),
        "KUBERNETES_SERVICE_HOST": str(server.hostname),
        "KUBERNETES_SERVICE_PORT": str(server.port),
        "REGISTRY_AUTH": "cluster",
        "REGISTRY_AUTH_TOKEN_KEYS": str(keys),
        "REGISTRY_DATABASE_URL": f"sqlite:///{tmp_path}/metadata.db",
        "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": str(tmp_path / "blobs"),
        "REGISTRY_HTTP_ADDR": host,
        "REGISTRY_HTTP_WORKERS": "1",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", POD], env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        wait_for_port(host, process, log)
        yield Scrubbed(host, house, pruner / "token")
    finally:
        process.terminate()
        process.wait(40)
        house.registry.database.dispose()


def test_a_corrupt_blob_is_a_condition_until_a_verification_has_found_it_healed(
    scrubbed: Scrubbed, cluster: Cluster
) -> None:
    def told(what: str) -> None:
        cluster.until(lambda: cluster.said().get("ImagesIntact") == what, f"told {what}")

    told("Unknown NotLookedAt")
    scrubbed.push()
    scrubbed.house.spoil(Digest.of(LAYER))
    assert scrubbed.ac("scrub", "--confirm") == 1
    told("False CorruptBlobsPutAside")
    assert "found 1 corrupt blob, put 1 aside" in cluster.message("ImagesIntact")
    assert "`ac adm registry verify` names what lacks something" in cluster.message("ImagesIntact")
    assert "CorruptBlobsPutAside" in cluster.events()
    assert scrubbed.ac("scrub") == 0
    told("False CorruptBlobsPutAside")
    assert cluster.said()["Degraded"] == "False AsExpected", "every other image is served"
    assert cluster.said()["Progressing"] == "False Ready"
    scrubbed.push()
    assert scrubbed.ac("verify") == 0
    told("True AsExpected")


def test_the_registry_may_write_this_one_object_and_read_no_more_than_before(
    cluster: Cluster, apiserver: ApiServer, tmp_path: Path
) -> None:
    cluster.change(managementState="Managed", storage={"emptyDir": {}})
    cluster.settle()
    client = apiserver.as_account(tmp_path, "registry", NAMESPACE).client
    path = object_path("v1", "configmaps", namespace=NAMESPACE)
    client.merge(f"{path}/{CONFIG_MAP}", {"data": {"status": None}})
    for name in ("image-registry-modes", "image-registry-ca"):
        with pytest.raises(KubeError, match="cannot patch"):
            client.merge(f"{path}/{name}", {"data": {"status": None}})
    with pytest.raises(KubeError, match="cannot create"):
        client.create(path, {"metadata": {"name": "another"}})


def test_what_the_registry_wrote_is_no_drift_and_what_others_wrote_is_not_believed(cluster: Cluster) -> None:
    cluster.change(managementState="Managed", storage={"emptyDir": {}})
    cluster.settle()
    path, revision = cluster.path("v1", "configmaps", CONFIG_MAP), cluster.revision()
    cluster.client.merge(path, {"data": {"status": "True", "reason": "AsExpected", "message": "as the registry told"}})
    cluster.reconciler._compared = None
    cluster.until(lambda: cluster.said()["ImagesIntact"] == "True AsExpected", "told")
    cluster.client.merge(path, {"data": {"status": "True", "reason": "no word"}})
    cluster.reconciler._compared = None
    cluster.until(lambda: cluster.said()["ImagesIntact"] == "Unknown Unreadable", "told")
    assert cluster.revision() == revision
    cluster.client.delete(path)
    cluster.reconciler._compared = None
    cluster.until(lambda: cluster.client.find(path) is not None, "made again")
    cluster.until(lambda: cluster.said()["ImagesIntact"] == "Unknown NotTold", "told")
