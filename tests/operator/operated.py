"""An operator in a real, empty cluster, installed by kubectl alone: what the walks in the lab have in common."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from image_registry_lab.addresses import HOST
from tests.clients.programs import Crane, Registry
from tests.cluster.kubernetes import NAMESPACE, ROOT, CommandFailed, Kubectl, Team
from tests.operator import olm
from tests.operator.conftest import OPERATOR, OPERATOR_CHART
from tests.serve.conftest import free_port, program, wait_for_port
from tests.stores import servers

KIND = "configs.imageregistry.operator.alauda.io"
PRUNER_KIND = "imagepruners.imageregistry.operator.alauda.io"
SECONDS = 240
HEALED = 60


class Operated:
    """Config/cluster, its conditions, and waiting for them."""

    def __init__(self, kubectl: Kubectl) -> None:
        self.kubectl = kubectl

    def patch(self, **spec: Any) -> None:
        self.kubectl("patch", KIND, "cluster", "--type=merge", "-p", json.dumps({"spec": spec}))

    def config(self) -> dict[str, Any]:
        return self.kubectl.json("get", KIND, "cluster")

    def said(self) -> dict[str, str]:
        config = self.config()
        status = config.get("status") or {}
        if status.get("observedGeneration") != config["metadata"]["generation"]:
            return {}
        return {item["type"]: f"{item['status']} {item['reason']}" for item in status["conditions"]}

    def until(self, true: Callable[[], bool], what: str, seconds: float = SECONDS) -> float:
        began = time.monotonic()
        while not true():
            if time.monotonic() - began > seconds:
                log = self.kubectl("-n", NAMESPACE, "logs", f"deployment/{OPERATOR}", "--tail=20")
                pods = self.kubectl("-n", NAMESPACE, "get", "pods")
                pytest.fail(f"not {what} in {seconds:g} s: {self.config().get('status')}\n{pods}\n{log}")
            time.sleep(0.5)
        return time.monotonic() - began

    def ready(self) -> None:
        wanted = {"Available": "True Ready", "Progressing": "False Ready", "Degraded": "False AsExpected"}
        self.until(lambda: wanted.items() <= self.said().items(), "ready")

    def there(self, *what: str) -> bool:
        try:
            self.kubectl("-n", NAMESPACE, "get", *what)
        except CommandFailed:
            return False
        return True


def installed(lab: dict[str, str]) -> list[dict[str, Any]]:
    """What OLM would make of the bundle, with the images of the lab."""
    images = {
        "RELATED_IMAGE_IMAGE_REGISTRY": lab["IMAGE_REGISTRY_IMAGE"],
        "RELATED_IMAGE_POSTGRESQL": lab["POSTGRESQL_IMAGE"],
    }
    found = olm.install(OPERATOR_CHART / "bundle", NAMESPACE)
    for item in found:
        if item["kind"] == "Deployment":
            item["spec"]["replicas"] = 2
            (container,) = item["spec"]["template"]["spec"]["containers"]
            container["image"] = lab["OPERATOR_IMAGE"]
            container["env"] = [
                {**one, "value": images[one["name"]]} if one["name"] in images else one for one in container["env"]
            ]
    return found


@pytest.fixture(scope="module")
def lab() -> dict[str, str]:
    """Programs and images of the lab."""
    said = subprocess.run([ROOT / "lab/lab", "env"], capture_output=True, text=True, check=True).stdout
    found = dict(line.split("=", 1) for line in said.splitlines())
    assert "OPERATOR_IMAGE" in found, "run `lab/lab image --operator`"
    return found


@pytest.fixture(scope="module")
def operated(lab_kubeconfig: Path, lab: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    """The operator, installed by kubectl alone from the objects that OLM makes of the bundle."""
    kubectl = Kubectl(lab_kubeconfig)
    if NAMESPACE in kubectl.names("namespaces"):
        pytest.fail(f"namespace {NAMESPACE} exists: this walk wants an empty lab (lab/lab down --purge; lab/lab up)")
    kubectl("create", "namespace", NAMESPACE)
    kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=privileged")
    objects = installed(lab)
    # values of the operand that no image is: the ConfigMap that a bundle does not have
    values = json.dumps(
        {"extraEnv": [{"name": "REGISTRY_BLOB_PROMISE", "value": "1"}]}
    )  # so that garbage need not be old
    named = {"name": OPERATOR, "namespace": NAMESPACE}
    kubectl.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": named, "data": {"operand.yaml": values}})
    kubectl.apply(*objects)
    kubectl("-n", NAMESPACE, "rollout", "status", f"deployment/{OPERATOR}", "--timeout=120s")
    try:
        yield Operated(kubectl)
    finally:
        for kind in (KIND, PRUNER_KIND):
            kubectl("delete", kind, "cluster", "--ignore-not-found")
        kubectl("-n", NAMESPACE, "delete", "deployment", OPERATOR)
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path_factory.mktemp("home"))}
        command = [lab["HELM"], "--kubeconfig", str(lab_kubeconfig), "--namespace", NAMESPACE, "uninstall", "--wait"]
        subprocess.run([*command, "image-registry"], check=False, capture_output=True, env=environment)
        kubectl("delete", "namespace", NAMESPACE, "--timeout=120s")
        kubectl("delete", "customresourcedefinition", KIND, PRUNER_KIND)
        for item in objects:
            if item["kind"].startswith("ClusterRole"):
                kubectl("delete", item["kind"].lower(), item["metadata"]["name"], "--ignore-not-found")


def config(**spec: Any) -> dict[str, Any]:
    kind = {"apiVersion": "imageregistry.operator.alauda.io/v1", "kind": "Config"}
    return {**kind, "metadata": {"name": "cluster"}, "spec": spec}


@pytest.fixture(scope="module")
def team(operated: Operated) -> Iterator[Team]:
    found = Team.make(operated.kubectl)
    yield found
    operated.kubectl("delete", "namespace", found.namespace, "--wait=false")


@pytest.fixture
def crane(operated: Operated, team: Team, tmp_path: Path) -> Iterator[Crane]:
    """The builder's crane, at the Service as it is now."""
    service = operated.kubectl.json("-n", NAMESPACE, "get", "service", "image-registry")["spec"]["clusterIP"]
    bundle = operated.kubectl.json("-n", NAMESPACE, "get", "configmap", "image-registry-ca")["data"]["ca-bundle.crt"]
    ca, port, log = tmp_path / "ca.crt", free_port(), tmp_path / "log"
    ca.write_text(bundle, encoding="ascii")
    listen = f"TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr"
    with log.open("wb") as output:
        command = [program("socat", "apt-get install socat"), listen, f"TCP:{service}:5000"]
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        wait_for_port(f"127.0.0.1:{port}", process, log)
        client = Crane(Registry(f"localhost:{port}", ca, "builder", team.token()), tmp_path)
        client.login("builder", team.token())
        yield client
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An S3 server at the lab's bridge, where Pods reach it."""
    folder = tmp_path_factory.mktemp("store")
    (folder / "s3/images").mkdir(parents=True)
    host = f"{HOST}:{free_port()}"
    keys = {"ROOT_ACCESS_KEY": secrets.token_hex(10), "ROOT_SECRET_KEY": secrets.token_hex(20)}
    command = [servers.program("versitygw"), "--port", host, "--keep-alive", "posix", str(folder / "s3")]
    with servers.running(command, host, folder / "log", **keys):
        yield {**keys, "endpoint": f"http://{host}"}


def object_store(operated: Operated, store: dict[str, str]) -> dict[str, Any]:
    """What ``spec.storage`` says of the store; its keys are put into their Secret."""
    keys = {
        "REGISTRY_STORAGE_S3_ACCESSKEY": store["ROOT_ACCESS_KEY"],
        "REGISTRY_STORAGE_S3_SECRETKEY": store["ROOT_SECRET_KEY"],
    }
    name = {"name": "image-registry-private-configuration-user", "namespace": NAMESPACE}
    operated.kubectl.apply({"apiVersion": "v1", "kind": "Secret", "metadata": name, "stringData": keys})
    return {"s3": {"bucket": "images", "region": "us-east-1", "regionEndpoint": store["endpoint"]}}


def in_node(*command: str) -> str:
    """Run a command in the lab's first node."""
    done = subprocess.run(
        [ROOT / "lab/lab", "shell", "n1", *command], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def leader(operated: Operated) -> str:
    """Who holds the operator's lease: the name of its Pod, and what tells its process from the next one."""
    spec = operated.kubectl.json("-n", NAMESPACE, "get", "lease", OPERATOR)["spec"]
    return str(spec.get("holderIdentity") or "")


def kill_leader(operated: Operated) -> None:
    """SIGKILL to the process that leads and to all that it started, as the kernel would do it."""
    pod = leader(operated).rpartition("_")[0]
    (status,) = operated.kubectl.json("-n", NAMESPACE, "get", "pod", pod)["status"]["containerStatuses"]
    container = status["containerID"].removeprefix("containerd://")
    in_node("ctr", "--namespace", "k8s.io", "tasks", "kill", "--signal", "SIGKILL", container)


def said(capsys: pytest.CaptureFixture[str], text: str) -> None:
    """A figure, for who runs the walk."""
    with capsys.disabled():
        print(f"\n{text}")  # noqa: T201
