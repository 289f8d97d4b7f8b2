"""The registry in the lab, as a team's pipeline sees it: over TLS, with a token of a ServiceAccount.

Two namespaces are made for the run and deleted after it. The token is for the registry's audience, so it would open
nothing else.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from image_registry_lab.places import Places, cache
from tests.cluster.kubernetes import NAMESPACE, Kubectl, Team
from tests.conformance.protocol import Client, Credentials
from tests.conformance.target import Target
from tests.serve.conftest import free_port, program, wait_for_port

ROLES = ("system:image-pusher", "system:image-deleter", "view")


@contextmanager
def registry(folder: Path) -> Iterator[Target]:
    """The registry that ``make demo`` installed."""
    kubeconfig = Places(cache()).kubeconfig
    if not kubeconfig.is_file():
        raise SystemExit(f"no lab cluster ({kubeconfig} does not exist): run `make demo` first")
    kubectl = Kubectl(kubeconfig)
    bundle = kubectl.json("-n", NAMESPACE, "get", "configmap", "image-registry-ca")["data"]["ca-bundle.crt"]
    ca = folder / "ca.crt"
    ca.write_text(bundle, encoding="ascii")
    teams = [Team.make(kubectl), Team.make(kubectl)]
    try:
        account = f"{teams[0].namespace}:builder"
        for team in teams:
            for role in ROLES:
                binding = ["rolebinding", f"conformance-{role.rpartition(':')[2]}", f"--clusterrole={role}"]
                kubectl("-n", team.namespace, "create", *binding, f"--serviceaccount={account}")
        token = kubectl("-n", teams[0].namespace, "create", "token", "builder", "--audience=image-registry").strip()
        service = kubectl.json("-n", NAMESPACE, "get", "service", "image-registry")["spec"]["clusterIP"]
        with _forwarded(service, folder / "forward.log") as address:
            client = Client(f"https://{address}", Credentials("serviceaccount", token), ca)
            yield Target(client, (teams[0].namespace, teams[1].namespace))
    finally:
        for team in teams:
            kubectl("delete", "namespace", team.namespace, "--wait=false", "--ignore-not-found")


@contextmanager
def _forwarded(service: str, log: Path) -> Iterator[str]:
    """``localhost:PORT``: a name of the Service's certificate."""
    port = free_port()
    listen = f"TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program("socat", "apt-get install socat"), listen, f"TCP:{service}:5000"], stdout=output, stderr=output
        )
    try:
        wait_for_port(f"127.0.0.1:{port}", process, log)
        yield f"localhost:{port}"
    finally:
        process.terminate()
        process.wait(10)
