"""k8s.io/sample-apiserver beside ours in the same cluster: what an aggregated API is when its authors write one.

It runs as a process of the machine with the lab's etcd; the API server is led to it by an APIService as to any other.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from image_registry_lab import addresses
from image_registry_lab.pki import Keys
from image_registry_lab.places import Places, cache
from tests.cluster.kubernetes import CommandFailed, Kubectl
from tests.cluster.raw import RawApi
from tests.serve.conftest import free_port, program

GROUP = "wardle.example.com"
VERSIONS = ("v1alpha1", "v1beta1")
NAMESPACE = "sample-apiserver"
READY_SECONDS = 60


@contextmanager
def running(kubectl: Kubectl, raw: RawApi, folder: Path) -> Iterator[None]:
    """The group is served within; nothing of it stays."""
    places = Places(cache())
    keys = Keys(places.keys)
    port = free_port()
    log = folder / "sample-apiserver.log"
    options = {
        "kubeconfig": kubectl.kubeconfig,
        "authentication-kubeconfig": kubectl.kubeconfig,
        "authorization-kubeconfig": kubectl.kubeconfig,
        "bind-address": addresses.HOST,
        "secure-port": port,
        "cert-dir": folder,
        "etcd-servers": "https://127.0.0.1:2379",
        "etcd-prefix": f"/registry/{GROUP}",
        "etcd-cafile": keys.path("etcd-ca.crt"),
        "etcd-certfile": keys.path("etcd-client.crt"),
        "etcd-keyfile": keys.path("etcd-client.key"),
    }
    command = [program("sample-apiserver", "run `lab/lab build sample-apiserver`")]
    command += [f"--{name}={value}" for name, value in options.items()]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder)
    try:
        kubectl.apply(*_objects(port))
        _await(raw, process, log)
        yield
    finally:
        for version in VERSIONS:
            kubectl("delete", "apiservice", f"{version}.{GROUP}", "--ignore-not-found")
        kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")
        process.kill()  # asked nicely it waits a minute for watchers; its objects went with their namespace
        process.wait(10)


def _objects(port: int) -> list[dict[str, object]]:
    place = {"name": "sample-apiserver", "namespace": NAMESPACE}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "Service", "metadata": place, "spec": {"ports": [{"name": "api", "port": 443}]}},
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**place, "labels": {"kubernetes.io/service-name": "sample-apiserver"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [addresses.HOST], "conditions": {"ready": True}}],
            "ports": [{"name": "api", "port": port, "protocol": "TCP"}],
        },
        *(_api_service(version, place) for version in VERSIONS),
    ]


def _api_service(version: str, service: dict[str, str]) -> dict[str, object]:
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"{version}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "version": version,
            "groupPriorityMinimum": 1000,
            "versionPriority": 15,
            "service": service,
            # it makes its certificate itself at every start; it is on this machine and holds nothing
            "insecureSkipTLSVerify": True,
        },
    }


def _await(raw: RawApi, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + READY_SECONDS
    while raw("GET", f"/apis/{GROUP}/{VERSIONS[-1]}/flunders").status != 200:
        said = log.read_text(errors="replace")[-2000:]
        if process.poll() is not None:
            raise CommandFailed(f"sample-apiserver ended: {said}")
        if time.monotonic() > end:
            raise CommandFailed(f"sample-apiserver is not served after {READY_SECONDS} s: {said}")
        time.sleep(0.2)
