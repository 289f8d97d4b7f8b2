"""What nodes and the platform would do for two registries in a cluster without nodes: their processes really run.

Real are the processes, which serve as long as their Deployments say so, from the storage that these name
(``storages``). Named fakes are their surroundings: who starts them, addresses of Pods, and the platform that
uninstalls a release.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from image_registry.kube.client import object_path
from image_registry.kube.errors import ClusterUnreachable, KubeError
from image_registry_lab.legacy import proxy
from image_registry_lab.legacy.variants import NAMESPACE as LEGACY
from image_registry_lab.legacy.variants import Variant
from tests.operator.control_plane import READY_SECONDS, ApiServer
from tests.operator.every_hand import EveryHands
from tests.operator.storages import NAME, TARGET, Place, Storages
from tests.serve.conftest import free_port, program, wait_for_port

RBAC = "rbac.authorization.k8s.io/v1"
GATEWAY = "registry-gateway-gateway"
ROLES_SECONDS = 1.0
"""How long after the workloads of a release its roles go: Helm takes them last."""


@dataclass
class Running:
    """Processes that belong together; they end together."""

    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, log: Path, address: str, command: Sequence[str], **environment: str) -> None:
        with log.open("ab") as output:
            known = {"PATH": os.environ["PATH"], **environment}
            process = subprocess.Popen(command, stdout=output, stderr=output, env=known)
        self.processes.append(process)
        wait_for_port(address, process, log)

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            process.wait(40)
        self.processes.clear()


class Nodes(EveryHands):
    """Busy in the thread of the hands; at ``legacy_url`` and ``url`` the two registries answer while they run."""

    pause = 0.8
    """A look asks for everything, and a migration waits for the processor more than for a look."""

    def __init__(self, server: ApiServer, variant: Variant, folder: Path) -> None:
        super().__init__(server.client, "")
        self._server, self._variant, self._folder = server, variant, folder
        self._legacy, self._gateway, self._ours = Running(), Running(), Running()
        self._addresses = [f"127.0.0.1:{free_port()}" for _ in range(4)]
        self._place: Place | None = None
        self._roles_go = 0.0
        self.failure = ""
        self.within: Sequence[str] = ()
        """What starts the process of this registry, if it is to be something else; the folder of its bytes follows."""
        self.legacy_url, self.url = f"http://{self._addresses[1]}", f"http://{self._addresses[2]}"
        self.gateway_url = f"http://{self._addresses[3]}"
        self._storages = Storages(server.client, variant, folder)
        self.data = self._storages.data
        (folder / "read-only").write_text("false")

    @property
    def ours(self) -> int:
        """The process of this registry."""
        return self._ours.processes[0].pid

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        for running in (self._gateway, self._legacy, self._ours):
            running.stop()
        assert not self.failure, self.failure

    def _look(self) -> None:
        try:
            self._roll_out()
            self._run_legacy()
            self._run_gateway()
            self._run_ours()
            super()._look()
            self._uninstall_legacy()
        except (KubeError, ClusterUnreachable):
            raise  # tried again
        except BaseException as error:  # noqa: BLE001 - a thread has nobody who would see it; the test does
            self.failure = self.failure or repr(error)

    def _status(self, version: str, resource: str, item: dict[str, Any], status: dict[str, Any]) -> None:
        """A registry is ready when its process answers, and not when somebody wants it to be."""
        known = {(LEGACY, self._variant.name): self._legacy, (TARGET, NAME): self._ours}
        known[LEGACY, GATEWAY] = self._gateway
        running = known.get((item["metadata"].get("namespace", ""), item["metadata"]["name"]))
        if resource == "deployments" and running is not None and status["replicas"] and not running.processes:
            return  # wanted since this look began; the next one starts it
        if resource == "deployments" and running is self._ours and self._place != self._storages.of_ours():
            return  # the process still serves from the place before
        super()._status(version, resource, item, status)

    def _wanted(self, namespace: str, name: str) -> bool:
        found = self._client.find(object_path("apps/v1", "deployments", name, namespace=namespace))
        return found is not None and found["spec"]["replicas"] > 0

    def _roll_out(self) -> None:
        """Helm believes a Deployment when it sees its ReplicaSet."""
        path = object_path("apps/v1", "replicasets", namespace=TARGET)
        known = {item["metadata"]["name"] for item in self._client.get(path)["items"]}
        for found in self._client.get(object_path("apps/v1", "deployments", namespace=TARGET))["items"]:
            metadata, spec = found["metadata"], found["spec"]
            name = f"{metadata['name']}-{metadata['uid'][:6]}-{metadata['generation']}"
            if name in known:
                continue
            owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": metadata["name"], "uid": metadata["uid"]}
            made = {
                "metadata": {
                    "name": name,
                    "labels": spec["template"]["metadata"]["labels"],
                    "ownerReferences": [{**owner, "controller": True}],
                },
                "spec": {name: spec[name] for name in ("replicas", "selector", "template")},
            }
            self._client.create(path, made)
            counts = dict.fromkeys(("replicas", "readyReplicas", "availableReplicas"), spec["replicas"])
            self._client.merge(f"{path}/{name}/status", {"status": {**counts, "observedGeneration": 1}})

    @contextmanager
    def once_running(self) -> Iterator[str]:
        """The legacy registry as it was before parts of it were removed: without its proxy, on the same volume."""
        address, running = self._addresses[0], Running()
        storage = {"filesystem": {"rootdirectory": str(self.data)}}
        settings = {"version": 0.1, "log": {"level": "error"}, "storage": storage, "http": {"addr": address}}
        file = self._folder / "once.json"
        file.write_text(json.dumps(settings))
        running.start(self._folder / "once.log", address, [_distribution(), "serve", str(file)])
        try:
            yield f"http://{address}"
        finally:
            running.stop()

    def _run_legacy(self) -> None:
        wanted = self._wanted(LEGACY, self._variant.name)
        if not wanted:
            self._legacy.stop()
        elif not self._legacy.processes:
            upstream, front, *_ = self._addresses
            settings, secrets = self._as_configured(upstream)
            (self._folder / "config.json").write_text(json.dumps(settings))
            account = self._account("registry-proxy", LEGACY)
            command = [_distribution(), "serve", str(self._folder / "config.json")]
            self._legacy.start(self._folder / "legacy.log", upstream, command, **secrets)
            command = [sys.executable, proxy.__file__, f"--upstream=http://{upstream}"]
            port = self._server.client.server.rpartition(":")[2]
            self._legacy.start(
                self._folder / "proxy.log",
                front,
                [*command, f"--insecure-listen-address={front}"],
                KUBERNETES_SERVICE_HOST="127.0.0.1",
                KUBERNETES_SERVICE_PORT=port,
                PROXY_ACCOUNT=str(account),
            )

    def gateway_serves(self) -> None:
        """Wait until it does: it starts after the registry that is filled meanwhile."""
        host, _, port = self._addresses[3].partition(":")
        deadline = time.monotonic() + READY_SECONDS
        while True:
            assert not self.failure, self.failure
            try:
                return socket.create_connection((host, int(port)), 5).close()
            except ConnectionRefusedError:
                assert time.monotonic() < deadline, "no gateway listens"
                time.sleep(0.1)

    def _run_gateway(self) -> None:
        if not self._variant.gateway:
            return
        if not self._wanted(LEGACY, GATEWAY):
            self._gateway.stop()
        elif not self._gateway.processes:
            address = self._addresses[3]
            command = [sys.executable, proxy.__file__, "--forward", f"--upstream={self.legacy_url}"]
            log = self._folder / "gateway.log"
            self._gateway.start(log, address, [*command, f"--insecure-listen-address={address}"])

    def _as_configured(self, address: str) -> tuple[dict[str, Any], dict[str, str]]:
        """Its ConfigMap and its credentials; here the volume and the port are others."""
        path = object_path("v1", "configmaps", f"{self._variant.name}-config", namespace=LEGACY)
        settings: dict[str, Any] = json.loads(self._client.get(path)["data"]["config.yml"])
        settings["http"]["addr"], settings["log"]["level"] = address, "error"
        settings["storage"], secrets = self._storages.of_legacy(settings["storage"])
        return settings, secrets

    def _account(self, name: str, namespace: str) -> Path:
        """What kubelet mounts."""
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        path = object_path("v1", "serviceaccounts", name, namespace=namespace)
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        (folder / "token").write_text(str(self._client.create(f"{path}/token", body)["status"]["token"]))
        (folder / "ca.crt").write_bytes((self._server.kubeconfig.parent / "certificates/apiserver.crt").read_bytes())
        return folder

    def _run_ours(self) -> None:
        modes = self._client.find(object_path("v1", "configmaps", "image-registry-modes", namespace=TARGET))
        mode = str((modes or {}).get("data", {}).get("readOnly", "false"))
        if (self._folder / "read-only").read_text() != mode:
            (self._folder / "read-only").write_text(mode)
        place = self._storages.of_ours() if self._wanted(TARGET, NAME) else None
        if place == self._place:
            return
        self._ours.stop()
        self._endpoints(ready=False)
        if place is not None:
            address = self._addresses[2]
            command = [str(Path(sys.executable).with_name("image-registry")), "serve", "--auth=none", "--workers=1"]
            command += [f"--root={place.root}", f"--listen={address}", f"--read-only-file={self._folder / 'read-only'}"]
            command += [f"--database=sqlite:///{self._folder / f'{place.root.name}.db'}", *place.options]
            command = [*self.within, str(place.root), *command] if self.within else command
            self._ours.start(self._folder / "ours.log", address, command, **place.environment)
            self._endpoints(ready=True)
        self._place = place

    def _endpoints(self, *, ready: bool) -> None:
        path = object_path("discovery.k8s.io/v1", "endpointslices", "image-registry-1", namespace=TARGET)
        if self._client.find(path) is not None:
            self._client.delete(path)
        if ready:
            labels = {"kubernetes.io/service-name": NAME}
            endpoint = {"addresses": ["10.214.0.9"], "conditions": {"ready": True}}
            self._client.create(
                path.rpartition("/")[0],
                {
                    "metadata": {"name": "image-registry-1", "labels": labels},
                    "addressType": "IPv4",
                    "ports": [{"name": "5000-tcp", "port": 5000}],
                    "endpoints": [endpoint],
                },
            )

    def _uninstall_legacy(self) -> None:
        """The platform takes a release away when its record goes: workloads first, roles last, as Helm does."""
        if self._variant.gateway:
            self._uninstall_gateway()
        workload = object_path("apps/v1", "deployments", self._variant.name, namespace=LEGACY)
        record = self._client.find(self._record)
        if record is not None and "deletionTimestamp" not in record["metadata"]:
            return
        if self._client.find(workload) is not None:
            self._client.delete(workload)
            self._roles_go = time.monotonic() + ROLES_SECONDS
        if time.monotonic() < self._roles_go:
            return
        selector = {"labelSelector": f"helm.sh/release-name={self._variant.name}"}
        roles = self._client.get(object_path(RBAC, "clusterroles"), query=selector)["items"]
        if self._roles_go:
            self._roles_go = 0.0
            for item in roles:
                self._client.delete(object_path(RBAC, "clusterroles", item["metadata"]["name"]))
        elif record is not None and not roles:
            self._client.merge(self._record, {"metadata": {"finalizers": None}})

    def _uninstall_gateway(self) -> None:
        path = object_path("apps/v1", "deployments", GATEWAY, namespace=LEGACY)
        if self._client.find(self._record_of("registry-gateway")) is None and self._client.find(path) is not None:
            self._client.delete(path)

    def keep_record(self) -> None:
        """Until all that the release has made is gone, as a platform does by a finalizer."""
        self._client.merge(self._record, {"metadata": {"finalizers": ["platform.example.com/release"]}})

    @property
    def _record(self) -> str:
        return self._record_of(self._variant.name)

    @staticmethod
    def _record_of(name: str) -> str:
        return object_path("cluster.alauda.io/v1alpha1", "clusterplugininstances", name)


def _distribution() -> str:
    return program("docker-registry", "apt-get install docker-registry")
