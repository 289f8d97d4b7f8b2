"""Config, ImagePruner and routes written by the modules into a real kube-apiserver; the operator is a named fake."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.alauda.registry.plugins.module_utils import _conditions, _inputs
from ansible_collections.alauda.registry.plugins.module_utils._cluster import ClusterError
from ansible_collections.alauda.registry.plugins.modules import (
    image_pruner,
    image_pruner_info,
    registry_config,
    registry_object,
    registry_route,
    registry_route_info,
    registry_storage_info,
)

from image_registry.kube.client import ClusterClient
from tests.collection.acting_operator import WELL, ActingOperator
from tests.collection.conftest import FakeCluster, Run
from tests.operator.control_plane import ApiServer

NAMESPACE = "image-registry-system"
CONFIGS = "/apis/imageregistry.operator.alauda.io/v1/configs"
SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"
PVC = {"managementState": "Managed", "storage": {"pvc": {}}}
QUICK = {"timeout": 10, "patience": 1}


@pytest.fixture(scope="module")
def kubeconfig(apiserver: ApiServer, configs: str) -> Path:
    """Instead of the fake's: everything here asks a real kube-apiserver."""
    del configs
    if apiserver.client.find(f"/api/v1/namespaces/{NAMESPACE}") is None:
        apiserver.client.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    return apiserver.kubeconfig


@pytest.fixture
def client(apiserver: ApiServer, kubeconfig: Path) -> Iterator[ClusterClient]:
    """An API server that has no object of the operator, before and after."""
    del kubeconfig
    yield apiserver.client
    for path in (f"{CONFIGS}/cluster", f"{CONFIGS.replace('configs', 'imagepruners')}/cluster"):
        if apiserver.client.find(path) is not None:
            apiserver.client.delete(path)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The named fake answers at once."""
    monkeypatch.setattr(_conditions, "PAUSE", 0.1)


@pytest.fixture
def operator(client: ClusterClient) -> Iterator[ActingOperator]:
    with ActingOperator(client) as acting:
        yield acting


def spec(client: ClusterClient) -> dict[str, Any]:
    return dict(client.get(f"{CONFIGS}/cluster")["spec"])


@pytest.mark.usefixtures("operator")
def test_check_mode_says_what_the_run_then_does_and_the_next_run_does_nothing(client: ClusterClient, run: Run) -> None:
    foreseen = run(registry_config, check=True, spec=PVC)
    assert foreseen["changed"]
    assert client.find(f"{CONFIGS}/cluster") is None
    done = run(registry_config, spec=PVC, **QUICK)
    assert not done.failed, done.message
    assert done["changed"]
    assert foreseen["diff"] == done["diff"]
    assert foreseen["config"]["spec"] == done["config"]["spec"] == spec(client)
    assert spec(client)["replicas"] == 1, "defaults are those of the definition"
    again = run(registry_config, spec=PVC, **QUICK)
    assert (again["changed"], again["diff"]) == (False, [])
    assert {item["type"] for item in again["conditions"]} == set(WELL)


@pytest.mark.usefixtures("operator")
def test_what_is_not_named_stays_and_exactness_takes_it_back(client: ClusterClient, run: Run) -> None:
    run(registry_config, spec={**PVC, "logLevel": "Debug"}, **QUICK)
    assert run(registry_config, spec={"readOnly": True}, **QUICK)["changed"]
    assert (spec(client)["logLevel"], spec(client)["readOnly"]) == ("Debug", True)
    assert run(registry_config, remove=["logLevel"], **QUICK)["changed"]
    assert spec(client)["logLevel"] == "Normal"
    assert run(registry_config, spec=PVC, exact=True, **QUICK)["changed"]
    assert spec(client)["readOnly"] is False
    assert not run(registry_config, spec=PVC, exact=True, **QUICK)["changed"]


@pytest.mark.usefixtures("operator")
def test_another_storage_is_refused_until_it_is_allowed_by_name(client: ClusterClient, run: Run) -> None:
    run(registry_config, spec=PVC, **QUICK)
    s3 = {"storage": {"s3": {"bucket": "images", "region": "eu-central-1"}}}
    for check in (True, False):
        refused = run(registry_config, check=check, spec=s3)
        assert refused.failed
        assert "the images lie in claim image-registry-storage" in refused.message
        assert "s3 images of eu-central-1" in refused.message
    assert "s3" not in spec(client)["storage"]
    allowed = run(registry_config, spec=s3, storage_change="allow", **QUICK)
    assert not allowed.failed, allowed.message
    assert set(spec(client)["storage"]) == {"s3"}, "one kind takes the place of the other"


@pytest.mark.usefixtures("operator")
def test_images_are_only_deleted_when_the_namespace_is_named(client: ClusterClient, run: Run) -> None:
    run(registry_config, spec={**PVC, "storage": {"managementState": "Managed", "pvc": {}}}, **QUICK)
    gone = {"managementState": "Removed"}
    refused = run(registry_config, spec=gone)
    assert refused.failed
    assert "image-registry-storage" in refused.message
    assert run(registry_config, spec=gone, confirm="another").failed
    assert spec(client)["managementState"] == "Managed"
    assert not run(registry_config, spec=gone, confirm=NAMESPACE, **QUICK).failed


@pytest.mark.usefixtures("operator")
def test_a_contradiction_is_refused_in_check_mode_too(client: ClusterClient, run: Run) -> None:
    refused = run(registry_config, check=True, spec={**PVC, "replicas": 3})
    assert refused.failed
    assert "only one node can mount a claim that is not ReadWriteMany" in refused.message
    assert client.find(f"{CONFIGS}/cluster") is None


def test_a_wrong_name_type_or_choice_is_refused_before_anybody_is_asked(run: Run) -> None:
    for wrong in ({"replica": 1}, {"replicas": "many"}, {"logLevel": "loud"}):
        assert run(registry_config, kubeconfig="/nowhere", spec=wrong).failed


def test_waiting_ends_early_when_a_person_is_needed(operator: ActingOperator, run: Run) -> None:
    operator.says = {**WELL, "Degraded": ("True", "PermissionDenied"), "Progressing": ("False", "Error")}
    failed = run(registry_config, spec=PVC, timeout=60, patience=1)
    assert failed.failed
    assert "PermissionDenied" in failed.message
    assert "in vain" in failed.message


def test_an_operator_that_says_nothing_is_named(operator: ActingOperator, run: Run) -> None:
    operator.idle = True
    failed = run(registry_config, spec=PVC, timeout=1)
    assert failed.failed
    assert "the operator has not seen this change yet" in failed.message
    assert run(registry_config, spec=PVC, wait=False)["changed"] is False


@pytest.mark.usefixtures("operator")
def test_without_its_object_the_registry_is_left_alone(client: ClusterClient, run: Run) -> None:
    run(registry_config, spec=PVC, **QUICK)
    assert run(registry_config, check=True, state="absent")["changed"]
    assert client.find(f"{CONFIGS}/cluster") is not None
    assert run(registry_config, state="absent")["changed"]
    assert client.find(f"{CONFIGS}/cluster") is None
    assert not run(registry_config, state="absent")["changed"]


@pytest.mark.usefixtures("operator")
def test_a_route_is_one_of_several_and_does_not_touch_the_others(client: ClusterClient, run: Run) -> None:
    run(registry_config, spec=PVC, **QUICK)
    first = {"name": "public", "hostname": "registry.example.com", "secret_name": "public-tls", "admitted": True}
    foreseen = run(registry_route, check=True, **first)
    done = run(registry_route, **first, **QUICK)
    assert not done.failed, done.message
    assert foreseen["diff"] == done["diff"]
    assert done["route"]["admitted"]
    assert run(registry_route, name="inside", hostname="registry.corp.example", **QUICK)["changed"]
    assert not run(registry_route, **first, **QUICK)["changed"]
    assert [one["name"] for one in spec(client)["routes"]] == ["public", "inside"]
    listed = run(registry_route_info)["routes"]
    assert [(one["hostname"], one["kind"], one["admitted"]) for one in listed] == [
        ("registry.example.com", "Ingress", True),
        ("registry.corp.example", "Ingress", True),
    ]
    refused = run(registry_route, check=True, name="third", hostname="registry.example.com")
    assert "a host twice" in refused.message
    assert run(registry_route, name="public", state="absent", **QUICK)["changed"]
    assert not run(registry_route, name="public", state="absent", **QUICK)["changed"]
    assert [one["name"] for one in spec(client)["routes"]] == ["inside"]


@pytest.mark.usefixtures("client")
def test_a_route_needs_somebody_who_makes_it(run: Run) -> None:
    failed = run(registry_route, name="public", hostname="registry.example.com")
    assert failed.failed
    assert "there is no Config/cluster" in failed.message
    assert run(registry_route_info)["routes"] == []


@pytest.mark.usefixtures("operator")
def test_the_pruner_is_changed_told_and_left_alone(run: Run) -> None:
    wanted = {"schedule": "0 3 * * 0", "keepYoungerThanDuration": "30d"}
    assert run(image_pruner_info)["exists"] is False
    foreseen = run(image_pruner, check=True, spec=wanted)
    done = run(image_pruner, spec=wanted, **QUICK)
    assert not done.failed, done.message
    assert foreseen["diff"] == done["diff"]
    assert not run(image_pruner, spec=wanted, **QUICK)["changed"]
    told = run(image_pruner_info)
    assert told["spec"]["schedule"] == "0 3 * * 0"
    assert told["spec"]["keepTagRevisions"] == 3
    refused = run(image_pruner, check=True, spec={"schedule": "61 * * * *"})
    assert "the minute in spec.schedule" in refused.message


def test_a_secret_is_written_and_never_told(client: ClusterClient, run: Run) -> None:
    given = {"name": "storage", "data": {"KEY": "confidential"}}
    foreseen = run(registry_object, check=True, **given)
    assert client.find(f"{SECRETS}/storage") is None
    done = run(registry_object, **given)
    assert foreseen["diff"] == done["diff"]
    assert "confidential" not in json.dumps(done.document)
    assert client.get(f"{SECRETS}/storage")["data"] == {"KEY": "Y29uZmlkZW50aWFs"}
    assert not run(registry_object, **given)["changed"]
    assert run(registry_object, name="storage", data={"OTHER": "x"})["keys"] == ["KEY", "OTHER"]
    assert run(registry_object, **given, exact=True)["keys"] == ["KEY"]
    assert run(registry_object, name="storage", state="absent")["changed"]
    assert not run(registry_object, name="storage", state="absent")["changed"]


def test_who_reads_a_secret_begins_anew_when_it_changes_and_only_then(client: ClusterClient, run: Run) -> None:
    place = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
    labels = {"app": "reader"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "reader", "image": "x"}]}}
    body = {"metadata": {"name": "reader"}, "spec": {"selector": {"matchLabels": labels}, "template": pod}}
    client.create(SECRETS, {"metadata": {"name": "read"}, "stringData": {"KEY": "confidential"}})
    client.create(place, body)
    try:

        def generation() -> int:
            return int(client.get(f"{place}/reader")["metadata"]["generation"])

        given = {"name": "read", "restart": ["reader", "nobody"]}
        assert not run(registry_object, data={"KEY": "confidential"}, **given)["changed"]
        assert generation() == 1
        assert run(registry_object, data={"KEY": "confidential-too"}, **given)["changed"]
        assert generation() == 2
        assert not run(registry_object, data={"KEY": "confidential-too"}, **given)["changed"]
        assert generation() == 2
    finally:
        client.delete(f"{place}/reader")


def test_a_run_that_ended_between_the_secret_and_its_reader_is_taken_up(
    cluster: FakeCluster, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = str(cluster.kubeconfig(tmp_path / "bare"))
    reader = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/reader"
    cluster.put(reader, {"metadata": {"name": "reader"}, "spec": {"template": {"metadata": {}}}})
    given = {"kubeconfig": bare, "name": "read", "data": {"KEY": "confidential"}, "restart": ["reader"]}

    def unreachable(*_: object, **__: object) -> None:
        raise ClusterError("the API server went away")

    with monkeypatch.context() as patched:
        patched.setattr(_inputs, "restarted", unreachable)
        assert run(registry_object, **given).failed
    assert f"{SECRETS}/read" in cluster.objects
    foreseen = run(registry_object, check=True, **given)
    assert foreseen["changed"], "the Secret is as it shall be; its reader does not know"
    done = run(registry_object, **given)
    assert done["changed"]
    assert done["diff"] == foreseen["diff"]
    notes = cluster.objects[reader]["spec"]["template"]["metadata"]["annotations"]
    assert notes == {"inputs.registry.alauda.io/read": done["digest"]}
    assert not cluster.objects[f"{SECRETS}/read"]["metadata"].get("annotations"), "the mark is taken away"
    assert not run(registry_object, **given)["changed"]


def test_what_the_registry_makes_itself_is_refused(client: ClusterClient, run: Run) -> None:
    labels = {"app.kubernetes.io/managed-by": "image-registry-bootstrap"}
    client.create(SECRETS, {"metadata": {"name": "image-registry-keys", "labels": labels}})
    refused = run(registry_object, name="image-registry-keys", data={"key": "confidential"})
    assert refused.failed
    assert "image-registry-bootstrap" in refused.message


def test_the_storage_is_told_as_the_registry_runs_with_it(client: ClusterClient, run: Run) -> None:
    assert run(registry_storage_info)["kind"] == ""
    claims = f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims"
    size = {"resources": {"requests": {"storage": "5Gi"}}, "accessModes": ["ReadWriteOnce"]}
    client.create(claims, {"metadata": {"name": "image-registry-storage"}, "spec": size})
    kept = run(registry_storage_info)
    assert (kept["kind"], kept["claim"]["requested"]) == ("claim", "5Gi")
    assert kept["unread"] == "no Pod that runs mounts the claim"
    labels = {"app": "registry"}
    env = [
        {"name": "REGISTRY_STORAGE_S3_BUCKET", "value": "images"},
        {"name": "REGISTRY_STORAGE_S3_REGION", "value": "eu"},
    ]
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "registry", "image": "x", "env": env}]}}
    place = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
    client.create(
        place, {"metadata": {"name": "image-registry"}, "spec": {"selector": {"matchLabels": labels}, "template": pod}}
    )
    try:
        found = run(registry_storage_info)
        assert (found["kind"], found["name"], found["settings"]) == (
            "s3",
            "images",
            {"bucket": "images", "region": "eu"},
        )
        assert found["used_bytes"] is None
    finally:
        client.delete(f"{place}/image-registry")


def test_before_the_operator_is_there_check_mode_goes_on_and_a_run_says_what_is_missing(
    run: Run, cluster: FakeCluster, tmp_path: Path
) -> None:
    cluster.unserved.add(CONFIGS)
    bare = str(cluster.kubeconfig(tmp_path / "bare"))
    foreseen = run(registry_config, check=True, kubeconfig=bare, spec=PVC)
    assert foreseen["changed"]
    assert foreseen["diff"][0]["after"]["spec"] == {"managementState": "Managed", "storage": {"pvc": {}}}
    failed = run(registry_config, kubeconfig=bare, spec=PVC)
    assert failed.failed
    assert "install that first" in failed.message
