"""A real kube-apiserver with its etcd, as processes that can be stopped and started again; no root, no nodes."""

from __future__ import annotations

import json
import secrets
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import ClusterUnreachable, KubeError

READY_SECONDS = 180
AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [{"level": "Metadata", "userGroups": ["system:serviceaccounts:image-registry-system"]}, {"level": "None"}],
}


class NotReady(Exception):
    """The API server does not answer; the text is the end of its log."""


@dataclass(frozen=True, slots=True)
class ApiServer:
    """``kubeconfig`` is the administrator's."""

    kubeconfig: Path
    client: ClusterClient

    def as_account(self, folder: Path, name: str, namespace: str) -> ApiServer:
        """The same for a ServiceAccount."""
        path = object_path("v1", "serviceaccounts", name, namespace=namespace)
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        token = self.client.create(f"{path}/token", request)["status"]["token"]
        document = json.loads(self.kubeconfig.read_text())
        document["users"][0]["user"] = {"token": token}
        target = folder / f"{name}.kubeconfig"
        target.write_text(json.dumps(document))
        return ApiServer(target, ClusterClient.from_kubeconfig(target))


class ControlPlane:
    """``ports`` are for etcd, its peers and the API server; ``options`` are more of the API server."""

    def __init__(
        self,
        folder: Path,
        ports: tuple[int, int, int],
        etcd: str,
        api: str,
        *options: str,
        audited: bool = False,
    ) -> None:
        self._folder = folder
        self._port = ports[2]
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        token = secrets.token_hex(16)
        (folder / "tokens.csv").write_text(f'{token},admin,1,"system:masters"\n')
        key = new_key(folder)
        self.audit = folder / "audit.log"
        self._commands = {
            "etcd": [
                etcd,
                f"--data-dir={folder / 'etcd'}",
                f"--listen-client-urls=http://127.0.0.1:{ports[0]}",
                f"--advertise-client-urls=http://127.0.0.1:{ports[0]}",
                f"--listen-peer-urls=http://127.0.0.1:{ports[1]}",
                "--unsafe-no-fsync",
            ],
            "kube-apiserver": [
                api,
                f"--etcd-servers=http://127.0.0.1:{ports[0]}",
                "--bind-address=127.0.0.1",
                f"--secure-port={ports[2]}",
                f"--cert-dir={folder / 'certificates'}",
                f"--token-auth-file={folder / 'tokens.csv'}",
                "--authorization-mode=RBAC",
                "--service-cluster-ip-range=10.0.0.0/24",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={key}",
                f"--service-account-signing-key-file={key}",
                "--disable-admission-plugins=ServiceAccount",
                *options,
            ],
        }
        if audited:
            (folder / "audit.yaml").write_text(json.dumps(AUDIT))
            self._commands["kube-apiserver"] += [
                f"--audit-policy-file={folder / 'audit.yaml'}",
                f"--audit-log-path={self.audit}",
            ]
        self.kubeconfig = folder / "kubeconfig"
        _write_kubeconfig(self.kubeconfig, self._port, folder / "certificates/apiserver.crt", token)

    def start(self) -> ApiServer:
        """Both, or the one that does not run; raises :class:`NotReady`."""
        for name, command in self._commands.items():
            if name not in self._processes:
                with (self._folder / f"{name}.log").open("ab") as log:
                    self._processes[name] = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder)
        return ApiServer(self.kubeconfig, self._ready())

    def stop(self) -> None:
        """Both."""
        for process in reversed(list(self._processes.values())):
            process.terminate()
            try:
                process.wait(3)  # it would wait for whoever still watches
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)

    def crash(self) -> None:
        """The API server ends at once, as without power."""
        process = self._processes.pop("kube-apiserver")
        process.kill()
        process.wait(10)

    def audited(self) -> list[dict[str, Any]]:
        """Every request of the accounts of the operator's namespace so far."""
        return [json.loads(line) for line in self.audit.read_text().splitlines() if line.endswith("}")]

    def _ready(self) -> ClusterClient:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if any(process.poll() is not None for process in self._processes.values()):
                break
            if (self._folder / "certificates/apiserver.crt").exists():
                client = ClusterClient.from_kubeconfig(self.kubeconfig)
                try:
                    client.get("/api/v1/namespaces/default")
                    client.get("/apis/rbac.authorization.k8s.io/v1/clusterroles/cluster-admin")
                except (ClusterUnreachable, KubeError):
                    pass
                else:
                    return client
            time.sleep(0.2)
        said = (self._folder / "kube-apiserver.log").read_text(errors="replace")[-2000:]
        raise NotReady(f"kube-apiserver does not answer after {READY_SECONDS} s:\n{said}")


def _write_kubeconfig(target: Path, port: int, authority: Path, token: str) -> None:
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


def new_key(folder: Path) -> Path:
    """The key of ServiceAccounts' tokens; the API server reads it when it starts."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    target = folder / "sa.key"
    target.write_bytes(private)
    return target
