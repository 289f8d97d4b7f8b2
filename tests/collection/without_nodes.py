"""A whole cluster but for its nodes: a real kube-apiserver, the real garbage collector, and named fakes of the rest.

Helm waits, playbooks judge and an uninstallation ends only where somebody does what controllers and kubelets do.
Objects are collected by the real kube-controller-manager; that Pods run is said by :class:`Workloads`: there are none.
"""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import yaml

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import ClusterUnreachable, KubeError
from image_registry.operator import certificates
from image_registry.operator.release_secrets import SECRETS
from image_registry.relocating.cluster_job import NAME as COPY
from tests.operator.conftest import NAMESPACE, OPERATOR, control_plane, program, started
from tests.operator.control_plane import ApiServer
from tests.operator.hands import Hands
from tests.operator.processes import Process

API_SERVICE = "/apis/apiregistration.k8s.io/v1/apiservices/v1.image.alauda.io"
IMAGE_API = "image-api-server"
IMAGE_API_HOST = f"{IMAGE_API}.{NAMESPACE}.svc"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nof nobody\n-----END CERTIFICATE-----\n"
Object = dict[str, Any]


@dataclass(frozen=True)
class OfficeAt:
    """Where the Image API listens, and the CA of its certificate, in base64."""

    address: str
    port: int
    authority: str

    @staticmethod
    def of(kubeconfig: Path) -> OfficeAt:
        """What a kubeconfig says."""
        found = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))["clusters"][0]["cluster"]
        address, _, port = str(found["server"]).removeprefix("https://").rpartition(":")
        return OfficeAt(address, int(port), found["certificate-authority-data"])


def own_address() -> str:
    """One of this machine that Kubernetes takes for an endpoint: a loopback address is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect(("198.51.100.1", 9))  # sends nothing
        return str(asking.getsockname()[0])


class Workloads(Hands):
    """Hands that make what Helm waits for: ReplicaSets, and ready StatefulSets and DaemonSets.

    The release's Image API leads to ``office`` on this machine, as no Pod serves it.
    """

    others = frozenset({COPY})
    """What a copy of the storage does is done by :class:`ActingCopier`, for whoever wants it."""

    def __init__(self, client: ClusterClient, namespace: str, office: OfficeAt) -> None:
        super().__init__(client, namespace)
        self._office = office

    def _look(self) -> None:
        super()._look()
        if self._all("apps/v1", "deployments"):
            self._there("configmaps", "image-registry-ca", data={"ca-bundle.crt": CERTIFICATE})
            for name in SECRETS:
                self._there("secrets", name)
        for deployment in self._all("apps/v1", "deployments"):
            self._replica_set(deployment)
        for item in self._all("apps/v1", "statefulsets"):
            count, revision = item["spec"]["replicas"], f"{item['metadata']['name']}-{item['metadata']['generation']}"
            numbers = dict.fromkeys(("replicas", "readyReplicas", "availableReplicas", "updatedReplicas"), count)
            both = {"currentReplicas": count, "currentRevision": revision, "updateRevision": revision}
            self._told("statefulsets", item, {**numbers, **both})
        for item in self._all("apps/v1", "daemonsets"):
            names = ("desiredNumberScheduled", "currentNumberScheduled", "updatedNumberScheduled", "numberReady")
            self._told("daemonsets", item, {**dict.fromkeys(names, 1), "numberMisscheduled": 0})
        self._lead()

    def _there(self, resource: str, name: str, **more: Object) -> None:
        """Jobs are done without doing anything; this is what they would have made."""
        path = object_path("v1", resource, name, namespace=self._namespace)
        if self._client.find(path) is None:
            self._client.create(path.rpartition("/")[0], {"metadata": {"name": name}, **more})

    def _told(self, resource: str, item: Object, status: Object) -> None:
        status = {"observedGeneration": item["metadata"]["generation"], **status}
        known = item.get("status") or {}
        if any(known.get(name) != value for name, value in status.items()):
            self._status("apps/v1", resource, item, status)

    def _replica_set(self, deployment: Object) -> None:
        """Helm looks for the one of the newest template."""
        meta, spec = deployment["metadata"], deployment["spec"]
        digest = hashlib.sha256(json.dumps(spec["template"], sort_keys=True).encode()).hexdigest()[:8]
        path = object_path("apps/v1", "replicasets", f"{meta['name']}-{digest}", namespace=self._namespace)
        if self._client.find(path) is not None:
            return
        owner = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": meta["name"],
            "uid": meta["uid"],
            "controller": True,
        }
        labels = spec["template"]["metadata"]["labels"]
        body = {
            "metadata": {"name": f"{meta['name']}-{digest}", "labels": labels, "ownerReferences": [owner]},
            "spec": {name: spec[name] for name in ("replicas", "selector", "template")},
        }
        made = self._client.create(path.rpartition("/")[0], body)
        count = spec["replicas"]
        ready = {"replicas": count, "readyReplicas": count, "availableReplicas": count}
        self._status("apps/v1", "replicasets", made, {"observedGeneration": 1, **ready})

    def _lead(self) -> None:
        """What the endpoint controller, and the Job that says whom to trust, would write: nothing of the release."""
        service = object_path("v1", "services", IMAGE_API, namespace=self._namespace)
        slices = object_path("discovery.k8s.io/v1", "endpointslices", namespace=self._namespace)
        if self._client.find(service) is not None and self._client.find(f"{slices}/{IMAGE_API}") is None:
            body = {
                "metadata": {"name": IMAGE_API, "labels": {"kubernetes.io/service-name": IMAGE_API}},
                "addressType": "IPv4",
                "endpoints": [{"addresses": [self._office.address], "conditions": {"ready": True}}],
                "ports": [{"name": "https", "port": self._office.port, "protocol": "TCP"}],
            }
            self._client.create(slices, body)
        registered = self._client.find(API_SERVICE)
        if registered is not None and registered["spec"].get("caBundle") != self._office.authority:
            self._client.merge(API_SERVICE, {"spec": {"caBundle": self._office.authority}})


@contextmanager
def collected(folder: Path, server: ApiServer) -> Iterator[None]:
    """While the real garbage collector and the end of namespaces are at work."""
    command = [
        program("kube-controller-manager"),
        f"--kubeconfig={server.kubeconfig}",
        "--controllers=garbage-collector-controller,namespace-controller,persistentvolumeclaim-protection-controller",
        "--leader-elect=false",
        "--secure-port=0",
    ]
    with (folder / "controller-manager.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


@contextmanager
def cluster_without_nodes(folder: Path, office: OfficeAt) -> Iterator[ApiServer]:
    """One node that is ready in name, one class of storage, and what the hooks of the chart would have made."""
    authority = folder / "front-proxy.crt"
    authority.write_bytes(certificates.make_authority("front proxy", datetime.now(UTC)).certificate)
    vouching = f"--requestheader-client-ca-file={authority}"
    with (
        started(control_plane(folder, vouching, "--enable-aggregator-routing=true")) as server,
        collected(folder, server),
    ):
        client = server.client
        node = client.create("/api/v1/nodes", {"metadata": {"name": "n1", "labels": {"kubernetes.io/os": "linux"}}})
        info = dict.fromkeys(
            (
                "bootID",
                "kernelVersion",
                "kubeProxyVersion",
                "kubeletVersion",
                "machineID",
                "operatingSystem",
                "osImage",
                "systemUUID",
            ),
            "none",
        )
        info |= {"architecture": "amd64", "containerRuntimeVersion": "containerd://2.0.0"}
        conditions = [{"type": "Ready", "status": "True"}]
        client.merge(
            f"/api/v1/nodes/{node['metadata']['name']}/status", {"status": {"conditions": conditions, "nodeInfo": info}}
        )
        marks = {"storageclass.kubernetes.io/is-default-class": "true"}
        body = {"metadata": {"name": "fast", "annotations": marks}, "provisioner": "example.com/disks"}
        client.create("/apis/storage.k8s.io/v1/storageclasses", {**body, "allowVolumeExpansion": True})
        with Workloads(client, NAMESPACE, office):
            yield server


class LateOperator:
    """The real operator as a process, with its own account, from when a playbook has installed it."""

    def __init__(self, server: ApiServer, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="late operator", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(20)

    def _run(self) -> None:
        path = object_path("apps/v1", "deployments", OPERATOR, namespace=NAMESPACE)
        process: Process | None = None
        while not self._over.wait(0.3):
            try:
                there = self._server.client.find(path) is not None
            except (KubeError, ClusterUnreachable):
                continue
            if there and process is None:
                account = self._server.as_account(self._folder, OPERATOR, NAMESPACE)
                process = Process(account, self._folder, "operator")
            elif process is not None and not there:
                process.__exit__()
                process = None
        if process is not None:
            process.__exit__()
