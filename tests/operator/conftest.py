"""A real kube-apiserver with its etcd and nothing else: objects are checked and kept, no Pod ever runs; no root."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import ClusterUnreachable, KubeError
from image_registry.operator import drift
from image_registry_lab.places import Places, cache

ROOT = Path(__file__).resolve().parents[2]
OPERATOR_CHART = ROOT / "charts/cluster-image-registry-operator"
CRD = OPERATOR_CHART / "templates/crds/configs.yaml"
READY_SECONDS = 60


NAMESPACE = "image-registry-system"
OPERATOR = "cluster-image-registry-operator"


@dataclass(frozen=True, slots=True)
class ApiServer:
    """``kubeconfig`` is the administrator's."""

    kubeconfig: Path
    client: ClusterClient

    def as_account(self, folder: Path, name: str) -> ApiServer:
        """The same for a ServiceAccount of the operator's namespace."""
        path = object_path("v1", "serviceaccounts", name, namespace=NAMESPACE)
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        token = self.client.create(f"{path}/token", request)["status"]["token"]
        document = json.loads(self.kubeconfig.read_text())
        document["users"][0]["user"] = {"token": token}
        target = folder / f"{name}.kubeconfig"
        target.write_text(json.dumps(document))
        return ApiServer(target, ClusterClient.from_kubeconfig(target))


def write_kubeconfig(target: Path, port: int, authority: Path, token: str) -> None:
    """One user, by a token."""
    cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority": str(authority)}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "user", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "user"}}],
    }
    target.write_text(json.dumps(document))


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def program(name: str) -> str:
    """A program that the lab has built."""
    path = Places(cache()).program(name)
    if not os.access(path, os.X_OK):
        pytest.fail(f"no {name}: run `lab/lab build`", pytrace=False)
    return path


def _key(folder: Path) -> Path:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    target = folder / "sa.key"
    target.write_bytes(private)
    return target


@pytest.fixture(scope="session")
def apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Started once for all tests of this folder."""
    folder = tmp_path_factory.mktemp("apiserver")
    etcd, peer, port = free_port(), free_port(), free_port()
    token = secrets.token_hex(16)
    (folder / "tokens.csv").write_text(f'{token},admin,1,"system:masters"\n')
    key = _key(folder)
    commands = {
        "etcd": [
            program("etcd"),
            f"--data-dir={folder / 'etcd'}",
            f"--listen-client-urls=http://127.0.0.1:{etcd}",
            f"--advertise-client-urls=http://127.0.0.1:{etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            "--unsafe-no-fsync",
        ],
        "kube-apiserver": [
            program("kube-apiserver"),
            f"--etcd-servers=http://127.0.0.1:{etcd}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--cert-dir={folder / 'certificates'}",
            f"--token-auth-file={folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--disable-admission-plugins=ServiceAccount",
        ],
    }
    kubeconfig = folder / "kubeconfig"
    write_kubeconfig(kubeconfig, port, folder / "certificates/apiserver.crt", token)
    processes = []
    try:
        for name, command in commands.items():
            with (folder / f"{name}.log").open("wb") as log:
                processes.append(subprocess.Popen(command, stdout=log, stderr=log, cwd=folder))
        yield ApiServer(kubeconfig, _ready(kubeconfig, folder, processes))
    finally:
        for process in reversed(processes):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)


def _ready(kubeconfig: Path, folder: Path, processes: list[subprocess.Popen[bytes]]) -> ClusterClient:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if any(process.poll() is not None for process in processes):
            break
        if (folder / "certificates/apiserver.crt").exists():
            client = ClusterClient.from_kubeconfig(kubeconfig)
            try:
                client.get("/api/v1/namespaces/default")
                client.get("/apis/rbac.authorization.k8s.io/v1/clusterroles/cluster-admin")
            except (ClusterUnreachable, KubeError):
                pass
            else:
                return client
        time.sleep(0.2)
    said = (folder / "kube-apiserver.log").read_text(errors="replace")[-2000:]
    pytest.fail(f"kube-apiserver does not answer after {READY_SECONDS} s:\n{said}", pytrace=False)


@pytest.fixture(scope="session")
def configs(apiserver: ApiServer) -> str:
    """The path of Config objects, once the API server serves them."""
    body = yaml.safe_load(CRD.read_text(encoding="utf-8"))
    apiserver.client.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", body)
    path = "/apis/imageregistry.operator.alauda.io/v1/configs"
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            apiserver.client.get(path)
            break
        except KubeError:
            if time.monotonic() > deadline:
                crd = apiserver.client.get(
                    f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{body['metadata']['name']}"
                )
                pytest.fail(f"the API server does not serve Config: {crd['status']}")
            time.sleep(0.1)
    return path


@pytest.fixture(scope="session")
def operator(apiserver: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> ApiServer:
    """The API server as the operator sees it, with the rights that its chart gives and no other."""
    folder = tmp_path_factory.mktemp("operator")
    command = [program("helm"), "template", OPERATOR, str(OPERATOR_CHART), "--namespace", NAMESPACE]
    command += [
        "--kube-version",
        "1.37",
        "--show-only",
        "templates/account.yaml",
        "--show-only",
        "templates/rights.yaml",
    ]
    text = subprocess.run(command, capture_output=True, text=True, check=True, env={"HOME": str(folder)}).stdout
    apiserver.client.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    for item in yaml.safe_load_all(text):
        path = drift.path_of(item, NAMESPACE)
        apiserver.client.create(path.rpartition("/")[0], item)
    return apiserver.as_account(folder, OPERATOR)
