"""The operator in a real cluster, by kubectl alone: installed, used, broken, upgraded, removed, restored.

One walk in the order of this file, in an empty lab; it leaves the lab as it was.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from image_registry.kube.client import ClusterClient
from image_registry.operator import drift, release_record
from image_registry_lab.addresses import HOST
from image_registry_lab.images import Images
from image_registry_lab.places import Places, cache
from tests.clients.programs import Crane, Refused, Registry
from tests.cluster.kubernetes import NAMESPACE, ROOT, CommandFailed, Kubectl, Team
from tests.operator import olm, versions
from tests.operator.conftest import OPERATOR, OPERATOR_CHART
from tests.operator.under_load import Load
from tests.serve.conftest import CACHE, free_port, program, wait_for_port
from tests.stores import servers

pytestmark = pytest.mark.lab

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


@pytest.mark.parametrize("step", ["edited", "deleted"])
def test_every_object_of_the_release_is_put_back_within_a_minute(operated: Operated, step: str) -> None:
    kubectl = operated.kubectl
    (newest, *_) = sorted(kubectl.names("-n", NAMESPACE, "secrets", "-l", "owner=helm,status=deployed"), reverse=True)
    release = release_record.read(kubectl.json("-n", NAMESPACE, "get", "secret", newest))
    assert release is not None
    for item in release.objects():
        kind, name = drift.RESOURCES[item["kind"]], item["metadata"]["name"]
        if item["kind"] == "PersistentVolumeClaim":
            continue  # its end is the end of the images
        if "/" in item["apiVersion"]:
            version = item["apiVersion"].partition("/")
            kind = f"{kind}.{version[2]}.{version[0]}"
        where = ["-n", item["metadata"].get("namespace", NAMESPACE)]
        if step == "deleted":
            kubectl(*where, "delete", kind, name, "--wait=false")
        else:
            label = next(iter(item["metadata"]["labels"]))
            kubectl(*where, "label", "--overwrite", kind, name, f"{label}=edited")
    began = time.monotonic()
    operated.until(lambda: not drifted(operated, release), f"everything that was {step} as it was", HEALED + SECONDS)
    print(f"{len(release.objects())} objects {step}: as they were after {time.monotonic() - began:.0f} s")  # noqa: T201
    operated.ready()


def drifted(operated: Operated, release: release_record.Release) -> list[str]:
    """What is not there, or has another label than the chart says."""
    client = ClusterClient.from_kubeconfig(operated.kubectl.kubeconfig)
    found = []
    for item in release.objects():
        live = client.find(drift.path_of(item, NAMESPACE))
        labels = (live or {}).get("metadata", {}).get("labels") or {}
        if live is None or not (item["metadata"].get("labels") or {}).items() <= labels.items():
            found.append(f"{item['kind']} {item['metadata']['name']}")
    return found


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


def test_images_in_a_pod_are_said_to_be_lost_with_it(operated: Operated) -> None:
    operated.patch(storage={"pvc": None, "emptyDir": {}})
    operated.ready()
    assert operated.said()["StorageExists"] == "True StorageConfigurationChanged"
    assert operated.there("pvc/image-registry-storage"), "kept, with its images"


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


def test_an_object_store_serves_two_replicas(operated: Operated, store: dict[str, str]) -> None:
    keys = {
        "REGISTRY_STORAGE_S3_ACCESSKEY": store["ROOT_ACCESS_KEY"],
        "REGISTRY_STORAGE_S3_SECRETKEY": store["ROOT_SECRET_KEY"],
    }
    name = {"name": "image-registry-private-configuration-user", "namespace": NAMESPACE}
    operated.kubectl.apply({"apiVersion": "v1", "kind": "Secret", "metadata": name, "stringData": keys})
    s3 = {"bucket": "images", "region": "us-east-1", "regionEndpoint": store["endpoint"]}
    operated.patch(storage={"pvc": None, "emptyDir": None, "s3": s3}, replicas=2)
    operated.ready()
    assert operated.said()["StorageExists"] == "Unknown StorageConfigurationChanged"
    assert operated.config()["status"]["readyReplicas"] == 2


@pytest.fixture(scope="module")
def newer(lab: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Images of a newer version, with a step more of the database's schema, loaded into the lab."""
    folder = tmp_path_factory.mktemp("newer")
    charts = versions.newer(folder)
    images = Images(Places(cache()), print)
    app, operator = "lab.local/image-registry:newer", "lab.local/cluster-image-registry-operator:newer"
    steps = sorted(path.name for path in (ROOT / "app/src/image_registry/metadata/migrations/versions").glob("v*.py"))
    (folder / versions.MIGRATION).write_text(versions.migration(steps[-1][1:5]))
    place = "/opt/image-registry/lib/python3.11/site-packages/image_registry/metadata/migrations/versions/"
    text = f"FROM {lab['IMAGE_REGISTRY_IMAGE']}\nCOPY {versions.MIGRATION} {place}\n"
    (folder / "Containerfile").write_text(text)
    images._build(app, folder / "Containerfile", folder, {})
    told = {"IMAGE": app, "HELM_IMAGE": "lab.local/helm:1"}
    images._build(operator, ROOT / "app/operator.Containerfile", charts, told)
    for number, image in enumerate((app, operator)):
        images._buildah("push", "--quiet", image, f"docker-archive:{folder}/{number}.tar:{image}")
        subprocess.run([ROOT / "lab/lab", "load", f"{folder}/{number}.tar"], check=True, capture_output=True)
    return {**lab, "IMAGE_REGISTRY_IMAGE": app, "OPERATOR_IMAGE": operator, "charts": str(charts)}


def test_to_a_newer_version_and_back_nobody_notices(
    operated: Operated,
    lab: dict[str, str],
    newer: dict[str, str],
    crane: Crane,
    team: Team,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kubectl = operated.kubectl
    archive = str(CACHE / "images/bb.tar")
    crane.run("push", archive, crane.at(f"{team.namespace}/hello:1"))

    def runs(images: dict[str, str]) -> Callable[[], bool]:
        def true() -> bool:
            found = kubectl.json("-n", NAMESPACE, "get", "deployment", "image-registry")
            (container,) = found["spec"]["template"]["spec"]["containers"]
            return bool(container["image"] == images["IMAGE_REGISTRY_IMAGE"])

        return true

    definition = Path(newer["charts"]) / "cluster-image-registry-operator/templates/crds/configs.yaml"
    text = definition.read_text().replace("{{ .Chart.Version }}", versions.NUMBER)
    load = Load(crane, ClusterClient.from_kubeconfig(kubectl.kubeconfig), archive, team.namespace)
    with load:
        for images in (newer, lab):
            if images is newer:
                kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text)
            # a definition never goes back: who applies by hand leaves it out
            kubectl.apply(*(item for item in installed(images) if item["kind"] == "Deployment"))
            operated.until(runs(images), "the other version", SECONDS)
            if images is newer:
                operated.patch(**{versions.FIELD: "hello"})
            operated.ready()
            kubectl("-n", NAMESPACE, "rollout", "status", "deployment/image-registry", "--timeout=180s")
            kubectl("-n", NAMESPACE, "rollout", "status", "deployment/image-api-server", "--timeout=180s")
    with capsys.disabled():
        longest = max(load.outages, default=0.0)
        print(  # noqa: T201
            f"\nthere and back: {load.pulled} pulls, {len(load.pushed)} pushes, {len(load.failed)} failed; "
            f"Image API asked {load.asked} times, longest outage {longest:.2f} s"
        )
    assert load.failed == []
    assert [one for one in load.pushed if not crane.pull(one).startswith("sha256:")] == []
    assert len(load.pushed) > 5
    assert max(load.outages, default=0.0) < 1.0
    assert operated.config()["spec"][versions.FIELD] == "hello"
    assert operated.said()["FieldsIgnored"] == "True UnknownFields"


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
