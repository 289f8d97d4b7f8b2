"""The images are copied by a Job and the registry switched over, on a real kube-apiserver.

There are no nodes: the Job's command is really run, on folders, by a named fake of a kubelet; the operator is one too.
"""

from __future__ import annotations

import base64
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.alauda.registry.plugins.module_utils import _storage, _storage_copy
from ansible_collections.alauda.registry.plugins.module_utils._cluster import ClusterError
from ansible_collections.alauda.registry.plugins.modules import registry_storage_copy, registry_storage_info

from image_registry.kube.client import ClusterClient
from image_registry.oci.digest import Digest
from image_registry.relocating import places
from image_registry.relocating.cluster_job import NAME
from image_registry.storage import layout
from image_registry.storage.choice import S3, Filesystem, open_store
from tests.app.relocating.registry_tree import APP, Filled, blob, fill, snapshot
from tests.collection.acting_copier import ActingCopier
from tests.collection.acting_operator import ActingOperator
from tests.collection.conftest import Run
from tests.collection.controller import Controller
from tests.operator.conftest import program
from tests.operator.control_plane import ApiServer

pytestmark = pytest.mark.slow

NAMESPACE = "image-registry-system"
CORE, APPS = f"/api/v1/namespaces/{NAMESPACE}", f"/apis/apps/v1/namespaces/{NAMESPACE}"
NOTE = f"{CORE}/configmaps/{NAME}"
JOB = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs/{NAME}"
CONFIGS = "/apis/imageregistry.operator.alauda.io/v1/configs"
NEW = {"pvc": {"claim": "new"}}


@pytest.fixture(scope="module")
def kubeconfig(apiserver: ApiServer, configs: str) -> Path:
    """A namespace with what a registry on a claim consists of."""
    del configs
    client = apiserver.client
    if client.find(CORE) is None:
        client.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    return apiserver.kubeconfig


def claim(name: str) -> dict[str, Any]:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return {"metadata": {"name": name}, "spec": spec}


def deployment(claim_name: str) -> dict[str, Any]:
    labels = {"app": "image-registry"}
    container = {
        "name": "registry",
        "image": "registry:test",
        "env": [
            {"name": "REGISTRY_STORAGE", "value": "filesystem"},
            {"name": "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "value": "/registry"},
            {"name": "REGISTRY_AUTH", "value": "cluster"},
        ],
        "volumeMounts": [{"name": "storage", "mountPath": "/registry"}],
    }
    volume = {"name": "storage", "persistentVolumeClaim": {"claimName": claim_name}}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [container], "volumes": [volume]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": pod}
    return {"metadata": {"name": "image-registry", "namespace": NAMESPACE}, "spec": spec}


def config(**spec: Any) -> dict[str, Any]:
    kind = {"apiVersion": "imageregistry.operator.alauda.io/v1", "kind": "Config", "metadata": {"name": "cluster"}}
    return {**kind, "spec": {"managementState": "Managed", "storage": {"pvc": {}}, **spec}}


@pytest.fixture
def client(apiserver: ApiServer, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ClusterClient]:
    del kubeconfig
    monkeypatch.setattr(_storage_copy, "PAUSE", 0.1)
    client, claims = apiserver.client, f"{CORE}/persistentvolumeclaims"
    clear(client, claims)  # other files' playbooks keep the claim that they made, as they should
    for name in ("image-registry-storage", "new"):
        client.create(claims, claim(name))
    client.create(f"{APPS}/deployments", deployment("image-registry-storage"))
    yield client
    clear(client, claims)


def clear(client: ClusterClient, claims: str) -> None:
    made = (JOB, NOTE, f"{CORE}/secrets/{NAME}", f"{APPS}/deployments/image-registry", f"{CONFIGS}/cluster")
    for path in (*made, f"{claims}/image-registry-storage", f"{claims}/new", f"{claims}/own"):
        if client.find(path) is not None:
            client.delete(path)
        if client.find(path) is not None:  # nobody collects garbage here
            client.merge(path, {"metadata": {"finalizers": None}})


@pytest.fixture
def filled(tmp_path: Path) -> Filled:
    return fill(open_store(Filesystem(rootdirectory=tmp_path / "old")))


@pytest.fixture
def copier(client: ClusterClient, filled: Filled, tmp_path: Path) -> Iterator[ActingCopier]:
    del filled
    folders = {"/registry": tmp_path / "old", "/target": tmp_path / "new"}
    folders["/target"].mkdir()
    with ActingCopier(client, NAMESPACE, tmp_path, folders) as acting:
        yield acting


@pytest.mark.usefixtures("copier")
def test_a_job_copies_the_next_pass_brings_what_is_new_and_a_third_is_no_change(
    client: ClusterClient, filled: Filled, run: Run, tmp_path: Path
) -> None:
    foreseen = run(registry_storage_copy, check=True, storage=NEW)
    assert foreseen["changed"]
    assert client.find(JOB) is None
    before = snapshot(tmp_path / "old")
    first = run(registry_storage_copy, storage=NEW, timeout=60)
    assert not first.failed, first.message
    assert (first["changed"], first["report"]["state"], first["report"]["blobs"]["copied"]) == (True, "copied", 9)
    assert snapshot(tmp_path / "old") == before
    kept = client.get(f"{CORE}/persistentvolumeclaims/image-registry-storage")["metadata"]["annotations"]
    assert kept["helm.sh/resource-policy"] == "keep", "the way back outlives the release's interest in it"
    filled.image(APP, "v3", blob(7))
    last = run(registry_storage_copy, storage=NEW, state="complete", timeout=60)
    assert not last.failed, last.message
    assert (last["report"]["state"], last["report"]["blobs"]["copied"]) == ("complete", 2)
    again = run(registry_storage_copy, storage=NEW, state="complete", timeout=60)
    assert (again["changed"], again["report"]["state"]) == (False, "complete")
    assert open_store(Filesystem(rootdirectory=tmp_path / "new")).tags(APP) == ["v1", "v2", "v3"]
    assert run(registry_storage_copy, state="absent")["changed"]
    assert client.find(f"{CORE}/secrets/{NAME}") is None


@pytest.mark.usefixtures("copier")
def test_a_corrupt_blob_fails_the_task_by_name_and_may_be_accepted(filled: Filled, run: Run, tmp_path: Path) -> None:
    wrong = filled.digests[0]
    (tmp_path / "old" / layout.blob_data(wrong)).write_bytes(bytes(1000))
    failed = run(registry_storage_copy, storage=NEW, state="complete", timeout=60)
    assert failed.failed
    assert str(wrong) in failed.message
    assert failed["report"]["blobs"]["copied"] == 8
    accepted = run(registry_storage_copy, storage=NEW, state="complete", accept=[str(wrong)], timeout=60)
    assert not accepted.failed, accepted.message
    assert accepted["report"]["state"] == "complete"


def test_a_job_at_work_is_followed_by_every_task_of_the_same_copy_and_by_no_other(
    client: ClusterClient, run: Run
) -> None:
    secret = {"REGISTRY_STORAGE_S3_ACCESSKEY": "key", "REGISTRY_STORAGE_S3_SECRETKEY": "confidential-key"}
    wanted = {"storage": {"s3": {"bucket": "images", "region": "one"}}, "credentials": secret, "timeout": 0}
    waiting = run(registry_storage_copy, **wanted)
    assert waiting.failed
    assert "goes on, and the same task follows it again" in waiting.message
    made = client.get(JOB)
    again = run(registry_storage_copy, **wanted)
    assert client.get(JOB)["metadata"]["uid"] == made["metadata"]["uid"], again.message
    slower = run(registry_storage_copy, **{**wanted, "rate": 5})
    last = run(registry_storage_copy, **{**wanted, "state": "complete"})
    assert client.get(JOB)["metadata"]["uid"] == made["metadata"]["uid"]
    assert "follows it again" in slower.message
    assert "follows it again" in last.message
    stranger = {**wanted, "storage": {"s3": {"bucket": "others", "region": "one"}}}
    other = run(registry_storage_copy, **stranger)
    assert "another copy is at work, to another place" in other.message
    assert run(registry_storage_copy, check=True, **stranger).failed, "seen before the registry is read-only"
    assert "confidential-key" not in str(made) + waiting.message + other.message
    kept = client.get(f"{CORE}/secrets/{NAME}")["data"]
    assert base64.b64decode(kept["REGISTRY_STORAGE_S3_SECRETKEY"]) == b"confidential-key"
    assert b"REGISTRY_STORAGE_S3_BUCKET=images\n" in base64.b64decode(kept["storage.env"])


def test_the_last_pass_waits_for_an_earlier_one_and_is_its_own(
    client: ClusterClient, filled: Filled, run: Run, tmp_path: Path
) -> None:
    del filled
    assert "goes on" in run(registry_storage_copy, storage=NEW, timeout=0).message
    folders = {"/registry": tmp_path / "old", "/target": tmp_path / "new"}
    folders["/target"].mkdir()
    with ActingCopier(client, NAMESPACE, tmp_path, folders) as acting:
        last = run(registry_storage_copy, storage=NEW, state="complete", timeout=60)
    assert not last.failed, last.message
    assert last["report"]["state"] == "complete"
    assert ["--complete" in command for command in acting.commands] == [False, True]


HERE = {
    "s3": {"bucket": "images", "regionendpoint": "https://a.example.com", "rootdirectory": "acp", "region": "one"},
    "azure": {"container": "registry", "accountname": "old"},
    "claim": {},
}


@pytest.mark.parametrize(
    ("kind", "storage", "another"),
    [
        (
            "s3",
            {"s3": {"bucket": "images", "regionEndpoint": "https://a.example.com/", "rootDirectory": "/acp"}},
            False,
        ),
        ("s3", {"pvc": None, "s3": {"encrypt": True}}, False),
        ("s3", {"s3": {"bucket": "images"}}, True),
        ("s3", {"s3": {"bucket": "images", "regionEndpoint": "https://a.example.com"}}, True),
        ("s3", {"s3": {"rootDirectory": "other"}}, True),
        ("s3", {"oss": {"bucket": "images", "region": "one"}}, True),
        ("azure", {"azure": {"accountName": "old", "container": "registry"}}, False),
        ("azure", {"azure": {"accountName": "new", "container": "registry"}}, True),
        ("azure", {"azure": {"accountName": "old", "container": "registry", "cloudName": "AzureChinaCloud"}}, True),
        ("azure", {"pvc": {}}, True),
        ("claim", {"pvc": {"size": "2Gi"}}, False),
        ("claim", {"pvc": {"claim": "new"}}, True),
        ("claim", {"managementState": "Unmanaged"}, False),
        ("claim", {}, False),
    ],
)
def test_another_account_endpoint_or_root_directory_is_another_place(
    kind: str, storage: dict[str, Any], another: bool
) -> None:
    settings = HERE[kind]
    name = settings.get("bucket") or settings.get("container") or "image-registry-storage"
    assert _storage.elsewhere(storage, {"kind": kind, "name": name, "settings": settings}) is another


@pytest.mark.parametrize(
    ("has", "storage", "resized"),
    [
        ("100Gi", {"pvc": {"size": "50Gi"}}, "smaller"),
        ("100Gi", {"pvc": {"size": "200Gi"}}, "larger"),
        ("1Ti", {"pvc": {"size": "1024Gi"}}, "same"),
        ("1Ti", {"pvc": {"size": "1T"}}, "smaller"),
        ("1Gi", {"pvc": {"size": 1073741824}}, "same"),
        ("1Ti", {"pvc": {}}, ""),
        ("", {"pvc": {"size": "1Ti"}}, ""),
        ("1Ti", {"pvc": {"claim": "new", "size": "1Gi"}}, ""),
        ("1Ti", {}, ""),
    ],
)
def test_a_claim_is_as_large_as_its_quantity_and_not_as_its_text(
    has: str, storage: dict[str, Any], resized: str
) -> None:
    claim = {"kind": "claim", "name": "image-registry-storage", "settings": {}, "claim": {"requested": has}}
    assert _storage.resized(storage, claim) == resized


def test_a_size_that_is_no_quantity_is_named() -> None:
    claim = {"kind": "claim", "name": "image-registry-storage", "settings": {}, "claim": {"requested": "1Gi"}}
    with pytest.raises(ClusterError, match=r"storage.pvc.size: 'much' is no quantity"):
        _storage.resized({"pvc": {"size": "much"}}, claim)


def test_the_module_calls_a_source_as_the_command_does() -> None:
    endpoint = "https://s3.store.example.com"
    settings = {"bucket": "images", "regionendpoint": endpoint, "region": "x", "rootdirectory": "/a"}
    told = {"kind": "s3", "name": "images", "settings": settings}
    store = S3(bucket="images", regionendpoint=endpoint, region="x", rootdirectory="a")
    assert _storage_copy.called(told, "n") == places.called(store)
    claim = {"kind": "claim", "name": "image-registry-storage", "settings": {}}
    assert _storage_copy.called(claim, "n") == "claim n/image-registry-storage"


@pytest.mark.parametrize(
    ("storage", "said"),
    [
        ({"pvc": {"claim": "nowhere"}}, "there is no claim image-registry-system/nowhere"),
        ({"pvc": {}}, "lie in claim image-registry-storage already"),
        ({"pvc": None}, "name exactly one of"),
        ({"emptyDir": {}}, "goes with its Pod"),
    ],
)
def test_a_target_that_cannot_be_one_is_refused(
    client: ClusterClient, run: Run, storage: dict[str, Any], said: str
) -> None:
    refused = run(registry_storage_copy, storage=storage)
    assert refused.failed
    assert said in refused.message
    assert client.find(JOB) is None


def test_a_pod_of_a_rollout_that_is_not_over_is_named_with_the_place_that_it_uses_still(
    client: ClusterClient, run: Run
) -> None:
    template = deployment("image-registry-storage")["spec"]["template"]
    pod = client.create(f"{CORE}/pods", {**template, "metadata": {**template["metadata"], "name": "old"}})
    try:
        assert run(registry_storage_info)["pods_elsewhere"] == []
        item = client.get(f"{APPS}/deployments/image-registry")
        item["spec"]["template"]["spec"]["volumes"] = deployment("new")["spec"]["template"]["spec"]["volumes"]
        client.replace(f"{APPS}/deployments/image-registry", item)
        assert run(registry_storage_info)["pods_elsewhere"] == ["old"]
        client.merge(f"{CORE}/pods/{pod['metadata']['name']}/status", {"status": {"phase": "Succeeded"}})
        assert run(registry_storage_info)["pods_elsewhere"] == []
    finally:
        client.delete(f"{CORE}/pods/old?gracePeriodSeconds=0")


def test_the_role_moves_the_images_and_lets_the_registry_use_them(
    client: ClusterClient, apiserver: ApiServer, copier: ActingCopier, tmp_path: Path
) -> None:
    client.create(CONFIGS, config(readOnly=True))
    variables = {
        "registry_kubeconfig": str(apiserver.kubeconfig),
        "registry_helm_binary": program("helm"),
        "registry_wait_timeout": 60,
        "registry_verify": False,  # there is no Pod
        "registry_storage": NEW,
        "registry_storage_copy": True,
        "registry_storage_settle": 0,
    }
    with ActingOperator(client):
        controller = Controller(tmp_path, variables)
        done = controller.play("playbooks/storage.yml")
        assert client.get(f"{CONFIGS}/cluster")["spec"]["readOnly"] is True, "as somebody had wanted it before"
        assert client.find(NOTE) is None
        # as if that had been interrupted when the registry used the copy already, and was still read-only
        item = client.get(f"{APPS}/deployments/image-registry")
        item["spec"]["template"]["spec"]["volumes"] = deployment("new")["spec"]["template"]["spec"]["volumes"]
        client.replace(f"{APPS}/deployments/image-registry", item)
        client.create(f"{CORE}/secrets", {"metadata": {"name": NAME}})
        client.create(f"{CORE}/configmaps", {"metadata": {"name": NAME}, "data": {"readOnly": "false"}})
        controller.play("playbooks/storage.yml")
    after = client.get(f"{CONFIGS}/cluster")["spec"]
    assert after["storage"]["pvc"]["claim"] == "new", done.said
    assert after["readOnly"] is False
    assert ["--complete" in command for command in copier.commands] == [False, True]
    assert open_store(Filesystem(rootdirectory=tmp_path / "new")).stat(Digest.of(blob(3))) == 1000
    assert client.find(JOB) is None or client.get(JOB)["metadata"].get("deletionTimestamp")
    assert client.find(f"{CORE}/secrets/{NAME}") is None


def test_a_last_pass_that_fails_says_that_pushes_are_refused_and_how_to_go_on_or_give_up(
    client: ClusterClient, apiserver: ApiServer, copier: ActingCopier, filled: Filled, tmp_path: Path
) -> None:
    wrong = filled.digests[0]
    (tmp_path / "old" / layout.blob_data(wrong)).write_bytes(bytes(1000))
    client.create(CONFIGS, config(readOnly=False))
    variables = {
        "registry_kubeconfig": str(apiserver.kubeconfig),
        "registry_helm_binary": program("helm"),
        "registry_wait_timeout": 60,
        "registry_verify": False,  # there is no Pod
        "registry_storage": NEW,
        "registry_storage_copy": True,
        "registry_storage_settle": 0,
    }
    controller = Controller(tmp_path, variables)
    switch = ("--tags", "switch")
    with ActingOperator(client):
        said = controller.refused("playbooks/storage.yml", options=switch)
        assert client.get(f"{CONFIGS}/cluster")["spec"]["readOnly"] is True
        assert "still read-only, so every push is refused" in said
        assert "It uses claim image-registry-storage, the old place" in said
        accepting = f"""-e '{{"registry_storage_copy_accept": ["{wrong}"]}}'"""
        assert accepting in said.replace("\\", "")
        told = re.search(r"run the same with -e '(\{.*?\})'", said.replace("\\", ""))
        assert told, said
        controller.play("playbooks/storage.yml", options=(*switch, "-e", told[1]))
        given_up = client.get(f"{CONFIGS}/cluster")["spec"]
        assert (given_up["readOnly"], "claim" in given_up["storage"]["pvc"]) == (False, False)
        assert client.find(NOTE) is None
    assert ["--complete" in command for command in copier.commands] == [True]


def test_a_verification_that_fails_says_the_same_of_the_new_place(
    client: ClusterClient, apiserver: ApiServer, tmp_path: Path
) -> None:
    client.create(CONFIGS, config(readOnly=True, storage=NEW))
    item = client.get(f"{APPS}/deployments/image-registry")
    item["spec"]["template"]["spec"]["volumes"] = deployment("new")["spec"]["template"]["spec"]["volumes"]
    client.replace(f"{APPS}/deployments/image-registry", item)
    client.create(f"{CORE}/configmaps", {"metadata": {"name": NAME}, "data": {"readOnly": "false"}})
    variables = {
        "registry_kubeconfig": str(apiserver.kubeconfig),
        "registry_helm_binary": program("helm"),
        "registry_storage": NEW,
        "registry_storage_copy": True,
        "registry_storage_service_account": f"{NAMESPACE}/nobody",  # in whose name nothing can be asked
    }
    with ActingOperator(client):
        said = Controller(tmp_path, variables).refused("playbooks/storage.yml")
    assert "task 'The registry has everything that it says it has' failed" in said
    assert "It uses claim new, the new place" in said
    assert "registry_storage_copied=true and registry_storage_copy=false" in said
    assert client.get(f"{CONFIGS}/cluster")["spec"]["readOnly"] is True


def test_a_copy_is_given_up_and_what_the_role_does_not_copy_is_refused_before_anything_is_changed(
    client: ClusterClient, apiserver: ApiServer, tmp_path: Path
) -> None:
    client.create(CONFIGS, config(readOnly=True))
    client.create(f"{CORE}/secrets", {"metadata": {"name": NAME}})  # as passes leave it that a person stopped after
    variables = {"registry_kubeconfig": str(apiserver.kubeconfig), "registry_helm_binary": program("helm")}
    controller = Controller(tmp_path, variables)
    with ActingOperator(client):
        controller.play("playbooks/storage.yml")
    given_up = client.get(f"{CONFIGS}/cluster")
    assert given_up["spec"]["readOnly"] is True, "the role had not made it so"
    assert client.find(f"{CORE}/secrets/{NAME}") is None
    shrunk = controller.refused("playbooks/storage.yml", registry_storage={"pvc": {"size": "512Mi"}})
    assert "image-registry-storage has 1Gi, and a claim never shrinks to 512Mi: nothing was changed" in shrunk
    item = client.get(f"{APPS}/deployments/image-registry")
    told = {"": "s3", "_S3_BUCKET": "images", "_S3_REGIONENDPOINT": "https://a.example.com"}
    env = [{"name": f"REGISTRY_STORAGE{name}", "value": value} for name, value in told.items()]
    item["spec"]["template"]["spec"]["containers"][0]["env"] = env
    client.replace(f"{APPS}/deployments/image-registry", item)
    bucket = {"s3": {"bucket": "images", "regionEndpoint": "https://b.example.com"}}
    refused = controller.refused("playbooks/storage.yml", registry_storage=bucket, registry_storage_copy=True)
    assert "does not copy from one s3 to another" in refused
    unsaid = controller.refused("playbooks/storage.yml", registry_storage=bucket)
    assert "registry_storage_copied=true if they are there" in unsaid
    assert client.get(f"{CONFIGS}/cluster")["metadata"]["generation"] == given_up["metadata"]["generation"]


def test_a_pod_that_does_not_end_is_named_with_its_node_and_with_what_ends_it(
    client: ClusterClient, apiserver: ApiServer, tmp_path: Path
) -> None:
    client.create(CONFIGS, config(readOnly=True, storage=NEW))
    template = deployment("image-registry-storage")["spec"]["template"]
    body = {**template, "metadata": {**template["metadata"], "name": "late"}}
    client.create(f"{CORE}/pods", {**body, "spec": {**body["spec"], "nodeName": "n9"}})
    item = client.get(f"{APPS}/deployments/image-registry")
    item["spec"]["template"]["spec"]["volumes"] = deployment("new")["spec"]["template"]["spec"]["volumes"]
    client.replace(f"{APPS}/deployments/image-registry", item)
    client.create(f"{CORE}/configmaps", {"metadata": {"name": NAME}, "data": {"readOnly": "false"}})
    variables = {
        "registry_kubeconfig": str(apiserver.kubeconfig),
        "registry_helm_binary": program("helm"),
        "registry_wait_timeout": 5,
        "registry_verify": False,
    }
    controller = Controller(tmp_path, variables)
    with ActingOperator(client):
        given_up = controller.refused("playbooks/storage.yml")
        told = re.search(r"kubectl (-n \S+ delete pod late --grace-period=0 --force) \.", given_up)
        assert told, given_up
        assert "every push is refused" in given_up
        assert "Pods use another one still: late on node n9 (which is gone)" in given_up
        assert "Never while the node may still run the Pod" in given_up
        assert client.get(f"{CONFIGS}/cluster")["spec"]["readOnly"] is True
        command = [program("kubectl"), f"--kubeconfig={apiserver.kubeconfig}", *told[1].split()]
        subprocess.run(command, capture_output=True, check=True, timeout=60)
        controller.play("playbooks/storage.yml")
    assert client.get(f"{CONFIGS}/cluster")["spec"]["readOnly"] is False
    assert client.find(NOTE) is None
