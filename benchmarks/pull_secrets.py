"""Measures managed pull Secrets with a real kube-apiserver: the first pass, rest, a restart, renewing.

The API server and its etcd run on the same cores and nothing else does: no controller and no node, so ServiceAccounts
are made here. The controller is a process of its own, so that its memory and processor time are its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from prometheus_client import CollectorRegistry

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import KubeError
from image_registry.kube.listing import AS_METADATA, items
from image_registry.operator import pull_secret_plan
from image_registry.operator.pull_secret_settings import PullSecretOptions
from image_registry.operator.pull_secrets import PullSecrets
from image_registry_lab.places import Places, cache
from tests.operator.control_plane import ControlPlane

SYSTEM = "image-registry-system"
CRD = Path(__file__).parents[1] / "charts/cluster-image-registry-operator/templates/crds/configs.yaml"
CONFIGS = "/apis/imageregistry.operator.alauda.io/v1/configs"
LONGEST = 900.0
PREFIX = "image_registry_operator_pull_secrets"


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """What one process of the controller did: ``calls`` to the API server, ``written`` tokens."""

    name: str
    seconds: float
    calls: int
    written: int
    cpu: float
    memory: float

    def row(self) -> str:
        """A row of a table."""
        rate = f"{self.calls / self.seconds:.1f}"
        shown = (self.name, f"{self.seconds:.1f} s", f"{self.calls:,}", rate, f"{self.written:,}")
        return " | ".join(("", *shown, f"{self.cpu:.1f} s", f"{self.memory:.0f} MiB", "")).strip()


HEAD = "| phase | time | API calls | calls/s | tokens written | processor | memory at peak |\n" + "| --- " * 7 + "|"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; the exit status is 1 if something was written that should not have been."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--namespaces", type=int, default=500)
    parser.add_argument("--accounts", type=int, default=10, help="ServiceAccounts of each namespace")
    parser.add_argument("--rate", type=float, default=100.0, help="calls a second, at most")
    parser.add_argument("--rest", type=float, default=20.0, help="seconds of rest to be watched")
    parser.add_argument("--renew", type=int, default=500, help="tokens to be renewed")
    parser.add_argument("--worker", metavar="KUBECONFIG", help=argparse.SUPPRESS)
    parser.add_argument("--until", choices=["settled", "renewed"], default="settled", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        work(options)
        return 0
    with tempfile.TemporaryDirectory(prefix="pull-secrets-") as folder:
        places = Places(cache())
        plane = ControlPlane(Path(folder), _ports(), places.program("etcd"), places.program("kube-apiserver"))
        try:
            server = plane.start()
            fill(server.client, options.namespaces, options.accounts)
            found = measure(server.client, server.kubeconfig, options)
        finally:
            plane.stop()
    print(HEAD)
    print("\n".join(phase.row() for phase in found))
    return int(found[2].written != 0 or found[1].written != 0)


def fill(client: ClusterClient, namespaces: int, accounts: int) -> None:
    """A cluster with a registry and with many who could pull from it."""
    _create(client, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", yaml.safe_load(CRD.read_text("utf-8")))
    _create(client, "/api/v1/namespaces", {"metadata": {"name": SYSTEM}})
    service = {"metadata": {"name": "image-registry"}, "spec": {"ports": [{"port": 5000}]}}
    _create(client, object_path("v1", "services", namespace=SYSTEM), service)
    kind = {"apiVersion": "imageregistry.operator.alauda.io/v1", "kind": "Config", "metadata": {"name": "cluster"}}
    config = {**kind, "spec": {"managementState": "Managed", "storage": {"emptyDir": {}}}}
    until = time.monotonic() + 60
    while True:
        try:
            _create(client, CONFIGS, config)
            break
        except KubeError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)

    def one(number: int) -> None:
        name = f"bench-{number:05}"
        _create(client, "/api/v1/namespaces", {"metadata": {"name": name}})
        for account in range(accounts):
            path = object_path("v1", "serviceaccounts", namespace=name)
            _create(client, path, {"metadata": {"name": f"account-{account:03}"}})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(namespaces)))


def measure(client: ClusterClient, kubeconfig: Path, options: argparse.Namespace) -> list[Phase]:
    """First pass, rest, restart, renewing."""
    first, rest = run(kubeconfig, options, "first pass")
    before = versions(client)
    restart, _ = run(kubeconfig, options, "restart")
    if versions(client) != before:
        raise SystemExit("a restart has written to Secrets or ServiceAccounts")
    renewed, _ = run(kubeconfig, options, "renewing", "--until", "renewed")
    return [first, rest, restart, renewed]


def versions(client: ClusterClient) -> dict[str, str]:
    """Of every Secret and ServiceAccount."""
    found = {}
    for kind in ("secrets", "serviceaccounts"):
        for item in items(client, object_path("v1", kind), limit=500, accept=AS_METADATA):
            found[item["metadata"]["uid"]] = item["metadata"]["resourceVersion"]
    return found


def run(kubeconfig: Path, options: argparse.Namespace, name: str, *more: str) -> tuple[Phase, Phase]:
    """One process, to the end of its work and for a while of rest."""
    command = [sys.executable, "-m", "benchmarks.pull_secrets", "--worker", str(kubeconfig), *more]
    command += [f"--rate={options.rate}", f"--rest={options.rest}", f"--renew={options.renew}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env={**os.environ, "PYTHONPATH": "lab:."})
    first, rest = (json.loads(line) for line in done.stdout.decode().splitlines() if line.startswith("{"))
    return Phase(name=name, **first), Phase(name=f"rest of {options.rest:.0f} s", **rest)


def work(options: argparse.Namespace) -> None:
    """The controller, and two lines about it."""
    if options.until == "renewed":
        pull_secret_plan.EARLIEST = pull_secret_plan.LATEST = 0.0
    registry = CollectorRegistry()
    secret_options = PullSecretOptions(namespace=SYSTEM, calls_per_second=options.rate)
    client = ClusterClient.from_kubeconfig(Path(options.worker))
    keeper = PullSecrets(client, secret_options, registry)
    stop = threading.Event()
    thread = threading.Thread(target=keeper.run, args=(stop,))
    began = time.monotonic()
    thread.start()

    def through() -> bool:
        if options.until == "renewed":
            return _written(registry) >= int(options.renew)
        return keeper.condition().reason == "AsExpected"

    while not through():
        if time.monotonic() - began > LONGEST:
            raise SystemExit(f"not through after {LONGEST:g} s: {keeper.condition()}")
        time.sleep(0.05)
    first = _figures(registry, time.monotonic() - began)
    print(json.dumps(first), flush=True)
    begun = time.monotonic()
    if options.until == "settled":
        time.sleep(options.rest)
    second = _figures(registry, max(time.monotonic() - begun, 0.001))
    less = {name: second[name] - first[name] for name in ("calls", "written", "cpu")}
    print(json.dumps({**second, **less}), flush=True)
    stop.set()
    thread.join()


def _figures(registry: CollectorRegistry, seconds: float) -> dict[str, Any]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    calls = int(registry.get_sample_value(f"{PREFIX}_api_calls_total") or 0)
    cpu = used.ru_utime + used.ru_stime
    return {
        "seconds": seconds,
        "calls": calls,
        "written": _written(registry),
        "cpu": cpu,
        "memory": _peak(),
    }


def _peak() -> float:
    """MiB of this program; what ``getrusage`` says may be of whoever has started it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def _written(registry: CollectorRegistry) -> int:
    return int(
        sum(
            sample.value
            for metric in registry.collect()
            for sample in metric.samples
            if sample.name == f"{PREFIX}_written_total"
        )
    )


def _create(client: ClusterClient, path: str, body: dict[str, Any]) -> None:
    try:
        client.create(path, body)
    except KubeError as error:
        if error.reason != "AlreadyExists":
            raise


def _ports() -> tuple[int, int, int]:
    found = []
    probes = [socket.socket() for _ in range(3)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
        found.append(int(probe.getsockname()[1]))
    for probe in probes:
        probe.close()
    return found[0], found[1], found[2]


if __name__ == "__main__":
    sys.exit(main())
