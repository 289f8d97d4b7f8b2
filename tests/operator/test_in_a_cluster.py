"""The operator in a real cluster, by kubectl and helm alone: installed, used, broken, removed, restored.

One walk in the order of this file, in an empty lab; it leaves the lab as it was.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.programs import Crane, Refused, Registry
from tests.cluster.kubernetes import NAMESPACE, ROOT, CommandFailed, Kubectl, Team
from tests.operator.conftest import OPERATOR, OPERATOR_CHART
from tests.serve.conftest import CACHE, free_port, program, wait_for_port

pytestmark = pytest.mark.lab

KIND = "configs.imageregistry.operator.alauda.io"
PRUNER_KIND = "imagepruners.imageregistry.operator.alauda.io"
SECONDS = 240
HEALED = 60


def reference(image: str) -> dict[str, str]:
    registry, _, rest = image.partition("/")
    repository, _, tag = rest.rpartition(":")
    return {"registry": registry, "repository": repository, "tag": tag}


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


@pytest.fixture(scope="module")
def operated(lab_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    """The operator, installed by Helm as the how-to says."""
    kubectl = Kubectl(lab_kubeconfig)
    if NAMESPACE in kubectl.names("namespaces"):
        pytest.fail(f"namespace {NAMESPACE} exists: this walk wants an empty lab (lab/lab down --purge; lab/lab up)")
    said = subprocess.run([ROOT / "lab/lab", "env"], capture_output=True, text=True, check=True).stdout
    lab = dict(line.split("=", 1) for line in said.splitlines())
    assert "OPERATOR_IMAGE" in lab, "run `lab/lab image --operator`"
    values = tmp_path_factory.mktemp("values") / "values.json"
    operand = {
        "image": reference(lab["IMAGE_REGISTRY_IMAGE"]),
        "postgresql": {"image": reference(lab["POSTGRESQL_IMAGE"])},
        "extraEnv": [{"name": "REGISTRY_BLOB_PROMISE", "value": "1"}],  # so that garbage need not be old
    }
    values.write_text(json.dumps({"image": reference(lab["OPERATOR_IMAGE"]), "operand": operand, "replicas": 2}))
    kubectl("create", "namespace", NAMESPACE)
    kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=privileged")
    environment = {"PATH": os.environ["PATH"], "HOME": str(values.parent), "KUBECONFIG": str(lab_kubeconfig)}

    def helm(*arguments: str) -> None:
        done = subprocess.run(
            [lab["HELM"], *arguments, "--namespace", NAMESPACE],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    helm("install", OPERATOR, str(OPERATOR_CHART), "--values", str(values), "--wait", "--timeout", "120s")
    try:
        yield Operated(kubectl)
    finally:
        helm("uninstall", OPERATOR, "--wait")
        assert KIND in kubectl.names("customresourcedefinitions"), "it is kept on purpose"
        for kind in (KIND, PRUNER_KIND):
            kubectl("delete", kind, "cluster", "--ignore-not-found")
        helm("uninstall", "image-registry", "--ignore-not-found", "--wait")
        kubectl("delete", "namespace", NAMESPACE, "--timeout=120s")
        kubectl("delete", "customresourcedefinition", KIND, PRUNER_KIND)


def config(**spec: Any) -> dict[str, Any]:
    kind = {"apiVersion": "imageregistry.operator.alauda.io/v1", "kind": "Config"}
    return {**kind, "metadata": {"name": "cluster"}, "spec": spec}


def test_two_replicas_run_and_one_leads(operated: Operated) -> None:
    deployment = operated.kubectl.json("-n", NAMESPACE, "get", "deployment", OPERATOR)
    assert deployment["status"]["readyReplicas"] == 2
    operated.until(lambda: operated.there("lease", OPERATOR), "a lease", 30)


def test_an_unset_state_says_that_nothing_runs(operated: Operated) -> None:
    operated.kubectl.apply(config())
    operated.until(lambda: operated.said().get("Removed") == "True Removed", "removed", 60)
    assert not operated.there("deployment", "image-registry")
    shown = operated.kubectl("describe", KIND, "cluster")
    assert "set spec.managementState to Managed" in " ".join(shown.split())


@pytest.mark.parity(16)
def test_a_managed_registry_comes_up(operated: Operated) -> None:
    storage = {"pvc": {"size": "2Gi"}}
    database = {"postgresql": {"managed": {"size": "1Gi"}}}
    operated.kubectl.apply(config(managementState="Managed", storage=storage, metadata=database))
    operated.ready()
    assert operated.said()["StorageExists"] == "True ClaimBound"
    assert operated.config()["status"]["readyReplicas"] == 1
    row = operated.kubectl("get", KIND, "cluster").splitlines()[1].split()
    assert row[:6] == ["cluster", "Managed", "True", "False", "False", "1"]


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


def test_images_go_in_and_out(operated: Operated, crane: Crane, team: Team) -> None:
    crane.run("push", str(CACHE / "images/bb.tar"), crane.at(f"{team.namespace}/hello:1"))
    assert "hello" in operated.kubectl.names("imagestreams", "-n", team.namespace)


def test_read_only_is_entered_without_a_restart(operated: Operated, crane: Crane, team: Team) -> None:
    before = operated.kubectl.names("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=image-registry")
    hello = f"{team.namespace}/hello:1"

    tags = itertools.count()

    def refused() -> bool:
        try:
            crane.copy(hello, f"{team.namespace}/hello:again{next(tags)}")  # what is there already is not pushed
        except Refused:
            return True
        return False

    operated.patch(readOnly=True)
    operated.until(refused, "refused", HEALED)
    crane.pull(hello)
    operated.ready()
    assert operated.kubectl.names("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=image-registry") == before


def test_writing_again_and_scaling_follow_the_specification_and_its_rules(operated: Operated) -> None:
    with pytest.raises(CommandFailed, match=r"set spec\.replicas to 1"):
        operated.patch(replicas=2)
    operated.patch(readOnly=False, replicas=0)
    operated.until(lambda: operated.said().get("Available") == "False NoReplicasAvailable", "nothing serves", 90)
    operated.patch(replicas=1)
    operated.ready()


def test_what_somebody_deletes_is_back_within_a_minute(operated: Operated, crane: Crane, team: Team) -> None:
    crane.copy(f"{team.namespace}/hello:1", f"{team.namespace}/hello:again")
    gone = ("service/image-registry", "deployment/image-api-server", "secret/image-registry-tls")
    operated.kubectl("-n", NAMESPACE, "delete", *gone)
    operated.until(lambda: all(operated.there(what) for what in gone), "everything back", HEALED)
    operated.ready()


def test_what_somebody_edits_is_changed_back_within_a_minute(operated: Operated) -> None:
    def replicas() -> int:
        return int(operated.kubectl.json("-n", NAMESPACE, "get", "deployment", "image-registry")["spec"]["replicas"])

    operated.kubectl("-n", NAMESPACE, "scale", "deployment", "image-registry", "--replicas=0")
    operated.until(lambda: replicas() == 1, "one replica again", HEALED)
    operated.ready()


def test_another_leader_takes_over(operated: Operated) -> None:
    def leader() -> str:
        spec = operated.kubectl.json("-n", NAMESPACE, "get", "lease", OPERATOR)["spec"]
        return str(spec["holderIdentity"]).rpartition("_")[0]

    first = leader()
    operated.kubectl("-n", NAMESPACE, "delete", "pod", first, "--wait=false")
    operated.until(lambda: leader() not in ("", first), "another leader", 45)
    operated.patch(logLevel="Debug")
    operated.ready()


@pytest.mark.parity(16)
def test_unmanaged_is_left_alone(operated: Operated) -> None:
    operated.patch(managementState="Unmanaged")
    operated.until(lambda: operated.said().get("Available") == "True Unmanaged", "unmanaged", 60)
    operated.kubectl("-n", NAMESPACE, "delete", "poddisruptionbudget", "image-api-server")
    operated.patch(readOnly=True)
    operated.until(lambda: operated.said().get("Available") == "True Unmanaged", "looked at again", 60)
    assert not operated.there("poddisruptionbudget", "image-api-server")
    operated.patch(readOnly=False)
    operated.patch(managementState="Managed")
    operated.until(lambda: operated.there("poddisruptionbudget", "image-api-server"), "looked after again", HEALED)
    operated.ready()


@pytest.mark.parity(16)
def test_removed_takes_the_servers_and_keeps_the_images(operated: Operated) -> None:
    operated.patch(managementState="Removed")
    wanted = {"Removed": "True Removed", "Progressing": "False Removed"}
    operated.until(lambda: wanted.items() <= operated.said().items(), "removed")
    for what in ("deployment/image-registry", "deployment/image-api-server", "service/image-registry"):
        assert not operated.there(what), what
    assert operated.there("pvc/image-registry-storage")
    assert "v1.image.alauda.io" not in operated.kubectl.names("apiservices")


def test_restored_it_has_them_again(operated: Operated, team: Team) -> None:
    operated.patch(managementState="Managed")
    operated.ready()
    assert "hello" in operated.kubectl.names("imagestreams", "-n", team.namespace)


@pytest.mark.parity(16)
def test_the_image_from_before_can_be_pulled(crane: Crane, team: Team) -> None:
    assert crane.pull(f"{team.namespace}/hello:1").startswith("sha256:")


def test_what_the_operator_costs_at_rest_is_printed(operated: Operated, capsys: pytest.CaptureFixture[str]) -> None:
    operated.ready()
    identity = operated.kubectl.json("-n", NAMESPACE, "get", "lease", OPERATOR)["spec"]["holderIdentity"]
    pod = identity.rpartition("_")[0]
    script = base64.b64encode(
        b"import os,glob\n"
        b"t=open('/proc/1/stat').read().rsplit(')',1)[1].split()\n"
        b"r=[l for l in open('/proc/1/status') if l.startswith('VmRSS')][0].split()[1]\n"
        b"print((int(t[11])+int(t[12]))/os.sysconf('SC_CLK_TCK'), int(r)//1024)\n"
    ).decode()
    command = ["-n", NAMESPACE, "exec", pod, "--", "python3", "-c", f"import base64;exec(base64.b64decode('{script}'))"]
    first = [float(word) for word in operated.kubectl(*command).split()]
    time.sleep(30)
    second = [float(word) for word in operated.kubectl(*command).split()]
    with capsys.disabled():
        print(f"\noperator at rest: {second[0] - first[0]:.2f} CPU seconds in half a minute, {second[1]:.0f} MiB")  # noqa: T201
    assert second[0] - first[0] < 3, "a tenth of a processor"
    assert second[1] < 200
