"""The operator in a real cluster, by kubectl alone: installed, used, broken, removed, restored, its storage changed.

One walk in the order of this file, in an empty lab; it leaves the lab as it was.
"""

from __future__ import annotations

import base64
import itertools
import time
from collections.abc import Iterator

import pytest

from image_registry.kube import release_record
from image_registry.kube.client import ClusterClient
from image_registry.operator import drift
from tests.clients.programs import Crane, Refused
from tests.cluster.kubernetes import NAMESPACE, CommandFailed, Team
from tests.operator.conftest import OPERATOR
from tests.operator.operated import (
    HEALED,
    KIND,
    SECONDS,
    Operated,
    config,
    crane,
    in_node,
    kill_leader,
    lab,
    leader,
    object_store,
    operated,
    said,
    store,
    team,
)
from tests.serve.conftest import CACHE

__all__ = ["crane", "lab", "operated", "store", "team"]

pytestmark = pytest.mark.lab


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
def test_every_object_of_the_release_is_put_back_within_a_minute(
    operated: Operated, step: str, capsys: pytest.CaptureFixture[str]
) -> None:
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
    whole = f"everything that was {step} as it was"
    seconds = operated.until(lambda: not drifted(operated, release), whole, HEALED + SECONDS)
    said(capsys, f"{len(release.objects())} objects {step}: as they were after {seconds:.0f} s")
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


def test_another_leader_takes_over(operated: Operated, capsys: pytest.CaptureFixture[str]) -> None:
    first = leader(operated)
    operated.kubectl("-n", NAMESPACE, "delete", "pod", first.rpartition("_")[0], "--wait=false")
    asked = operated.until(lambda: leader(operated) not in ("", first), "another leader", 45)
    operated.patch(logLevel="Debug")
    operated.ready()
    second = leader(operated)
    kill_leader(operated)
    killed = operated.until(lambda: leader(operated) not in ("", second), "another leader", 30)
    operated.patch(logLevel="Normal")
    operated.ready()
    said(
        capsys, f"another one led {asked:.1f} s after the leader's Pod was deleted, {killed:.1f} s after it was killed"
    )


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


def test_images_in_a_pod_are_said_to_be_lost_with_it(operated: Operated, crane: Crane, team: Team) -> None:
    operated.patch(storage={"pvc": None, "emptyDir": {}})
    operated.ready()
    assert operated.said()["StorageExists"] == "True StorageConfigurationChanged"
    assert operated.there("pvc/image-registry-storage"), "kept, with its images"
    goes_in_and_out(crane, f"{team.namespace}/pod:1")


@pytest.fixture(scope="module")
def shared(operated: Operated) -> Iterator[str]:
    """A claim of somebody's, of a folder of the node that every Pod there may write."""
    folder, name = "/opt/local-path-provisioner/shared", "shared"
    in_node("install", "-d", "-o", "65532", "-g", "65532", "-m", "0770", folder)
    spec = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    operated.kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {**spec, "capacity": {"storage": "2Gi"}, "hostPath": {"path": folder}},
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {**spec, "volumeName": name, "resources": {"requests": {"storage": "2Gi"}}},
        },
    )
    yield name
    operated.kubectl("delete", "persistentvolume", name, "--wait=false")
    in_node("rm", "-r", folder)


def goes_in_and_out(crane: Crane, reference: str) -> None:
    pushed = crane.run("push", str(CACHE / "images/bb.tar"), crane.at(reference))
    assert crane.pull(reference) == pushed.strip().rpartition("@")[2]


def test_a_folder_that_several_pods_may_write_serves_two_replicas(
    operated: Operated, crane: Crane, team: Team, shared: str
) -> None:
    operated.patch(storage={"emptyDir": None, "pvc": {"claim": shared, "accessMode": "ReadWriteMany"}}, replicas=2)
    operated.ready()
    assert operated.said()["StorageExists"] == "True StorageConfigurationChanged"
    assert operated.config()["status"]["readyReplicas"] == 2
    goes_in_and_out(crane, f"{team.namespace}/folder:1")


def test_an_object_store_serves_two_replicas(
    operated: Operated, crane: Crane, team: Team, store: dict[str, str]
) -> None:
    # crane does not follow a redirect to a private address, which the store of the lab has
    operated.patch(storage={"pvc": None, **object_store(operated, store)}, disableRedirect=True)
    operated.ready()
    assert operated.said()["StorageExists"] == "Unknown StorageConfigurationChanged"
    assert operated.config()["status"]["readyReplicas"] == 2
    goes_in_and_out(crane, f"{team.namespace}/object:1")


def test_what_the_operator_costs_at_rest_is_printed(operated: Operated, capsys: pytest.CaptureFixture[str]) -> None:
    operated.ready()
    pod = leader(operated).rpartition("_")[0]
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
    said(capsys, f"operator at rest: {second[0] - first[0]:.2f} CPU seconds in half a minute, {second[1]:.0f} MiB")
    assert second[0] - first[0] < 3, "a tenth of a processor"
    assert second[1] < 200
