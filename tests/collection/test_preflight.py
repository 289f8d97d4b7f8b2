"""The preflight: every unmet need at once, each with what was found and what to do, and nothing is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.alauda.registry.plugins.modules import registry_preflight

from tests.collection.conftest import CHART, NAMESPACE, node, storage_class

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.collection.conftest import FakeCluster, FakeHelm, Result, Run

HERE = f"/api/v1/namespaces/{NAMESPACE}"
CLAIM = f"{HERE}/persistentvolumeclaims/image-registry-storage"
OURS = {"meta.helm.sh/release-name": "image-registry", "meta.helm.sh/release-namespace": NAMESPACE}
Check = "Callable[..., Result]"


@pytest.fixture
def check(run: Run, fake_helm: FakeHelm) -> Callable[..., Result]:
    """Runs the preflight with values; helm is the fake one, so the rendered objects are few and known."""

    def run_check(values: dict[str, Any] | None = None, **arguments: object) -> Result:
        given = {"chart_ref": str(CHART), "helm_binary": fake_helm.binary, "values": values or {}, **arguments}
        return run(registry_preflight, **given)

    return run_check


def needs(result: Result) -> dict[str, str]:
    """Found and cure by need; two of one need are joined."""
    every: dict[str, str] = {}
    for finding in result["findings"]:
        every[finding["need"]] = f"{every.get(finding['need'], '')}{finding['found']}: {finding['cure']}\n"
    return every


def test_a_cluster_that_meets_every_need_passes_and_stays_as_it_is(
    cluster: FakeCluster, run: Run, helm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_preflight._needs, "_refused_by_the_chart", lambda *_: [])  # a dry run is helm's own
    before = dict(cluster.objects)
    result = run(registry_preflight, chart_ref=str(CHART), helm_binary=helm)
    assert result["findings"] == []
    assert result["kubernetes_version"] == "v1.33.1"
    assert cluster.objects == before


def test_every_unmet_need_is_named_at_once(cluster: FakeCluster, check: Callable[..., Result]) -> None:
    cluster.put("/version", {"gitVersion": "v1.28.4"})
    del cluster.objects["/apis/storage.k8s.io/v1/storageclasses/fast"]
    cluster.put("/api/v1/nodes/n1", node("s390x"))
    cluster.put(HERE, {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})
    cluster.put(
        "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication",
        {"data": {"client-ca-file": ""}},
    )
    result = check({"config": {"replicas": 2, "replica": 2}})
    assert result.failed
    assert set(needs(result)) == {
        "kubernetes-version",
        "aggregation-layer",
        "architecture",
        "storage-class",
        "access-mode",
        "namespace",
        "values",
    }
    for number, finding in enumerate(result["findings"], 1):
        assert finding["cure"]
        assert f"{number}. [{finding['need']}] {finding['found']}" in result.message
    assert "nothing was changed" in result.message


def test_findings_can_be_asked_for_without_a_failure(cluster: FakeCluster, check: Callable[..., Result]) -> None:
    cluster.put("/api/v1/nodes/n1", node(ready=False))
    result = check(fail=False)
    assert not result.failed
    assert "1 nodes and none is ready" in needs(result)["nodes"]


# ── tools, chart, values ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_missing_helm_is_named_and_the_rest_is_checked(cluster: FakeCluster, check: Callable[..., Result]) -> None:
    cluster.put("/version", {"gitVersion": "v1.28.4"})
    found = needs(check(helm_binary="/nowhere/helm"))
    assert "no program /nowhere/helm: install Helm 3.14 or later, or set registry_helm_binary" in found["helm"]
    assert "kubernetes-version" in found


def test_an_old_helm_is_named(fake_helm: FakeHelm, check: Callable[..., Result]) -> None:
    fake_helm.does(version="v3.9.4")
    assert "version 3.9.4, older than 3.14.0" in needs(check())["helm"]


def test_helm_4_is_new_enough(fake_helm: FakeHelm, check: Callable[..., Result]) -> None:
    fake_helm.does(version="v4.3.1")
    assert not check().failed


def test_a_chart_that_is_not_there_is_named(check: Callable[..., Result], tmp_path: Path) -> None:
    found = needs(check(chart_ref=str(tmp_path / "chart")))
    assert "there is no chart at" in found["chart"]
    assert "registry_chart_ref" in found["chart"]


def test_a_folder_without_a_chart_is_named(check: Callable[..., Result], tmp_path: Path) -> None:
    assert "has no Chart.yaml" in needs(check(chart_ref=str(tmp_path)))["chart"]


def test_a_misspelt_value_is_answered_with_the_right_one(check: Callable[..., Result]) -> None:
    assert (
        "config.replica is not a value of the chart: did you mean config.replicas?"
        in needs(check({"config": {"replica": 2}}))["values"]
    )


def test_a_contradiction_is_said_in_the_words_of_the_chart(run: Run, helm: str, cluster: FakeCluster) -> None:
    values: dict[str, Any] = {"config": {"storage": {"emptyDir": {}}}}
    result = run(registry_preflight, chart_ref=str(CHART), helm_binary=helm, values=values)
    assert (
        "config.storage has both pvc and emptyDir, and exactly one storage type can be configured: keep one"
        in needs(result)["values"]
    )
    assert [finding["need"] for finding in result["findings"]] == ["values"]
    assert cluster.requests


def test_what_the_chart_looks_up_in_the_cluster_is_said_before_anything_is_changed(
    fake_helm: FakeHelm, check: Callable[..., Result]
) -> None:
    fake_helm.does(refusal="the running database asked for 1Gi, and a StatefulSet can not change that: set it to 1Gi")
    assert "asked for 1Gi, and a StatefulSet can not change that: set it to 1Gi" in needs(check())["values"]


# ── the cluster as a whole ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_cluster_without_aggregation_is_named(cluster: FakeCluster, check: Callable[..., Result]) -> None:
    del cluster.objects["/apis/apiregistration.k8s.io/v1"]
    assert "--requestheader-client-ca-file" in needs(check())["aggregation-layer"]


def test_one_foreign_node_is_a_warning(cluster: FakeCluster, check: Callable[..., Result]) -> None:
    cluster.put("/api/v1/nodes/n2", node("s390x"))
    result = check()
    assert not result.failed
    assert result["findings"][0]["severity"] == "warning"
    assert "kubernetes.io/arch in config.nodeSelector" in needs(result)["architecture"]


def test_an_image_for_another_architecture_is_believed(cluster: FakeCluster, check: Callable[..., Result]) -> None:
    cluster.put("/api/v1/nodes/n1", node("s390x"))
    assert not check(architectures=["s390x"])["findings"]


def test_a_node_selector_that_no_node_has_is_named(check: Callable[..., Result]) -> None:
    found = needs(check({"config": {"nodeSelector": {"disk": "ssd"}}}))["nodes"]
    assert "config.nodeSelector (disk=ssd)" in found


def test_a_runtime_that_node_trust_does_not_know_is_a_warning(
    cluster: FakeCluster, check: Callable[..., Result]
) -> None:
    cluster.put("/api/v1/nodes/n1", node(runtime="cri-o://1.33"))
    assert "cri-o://1.33" in needs(check())["node-trust"]
    assert not check({"nodeCA": {"enabled": False}})["findings"]


# ── permissions ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_missing_permissions_are_named_by_place(
    cluster: FakeCluster, fake_helm: FakeHelm, check: Callable[..., Result]
) -> None:
    fake_helm.does(manifest=CLUSTER_ROLE)
    cluster.denied = {("create", "clusterroles", ""), ("delete", "clusterroles", ""), ("list", "pods", NAMESPACE)}
    found = needs(check())["permissions"]
    assert "may not create/delete clusterroles.rbac.authorization.k8s.io in the whole cluster" in found
    assert f"may not list pods in namespace {NAMESPACE}" in found
    assert "administrator" in found


def test_a_caller_who_may_nothing_is_told_everything_that_is_missing(
    cluster: FakeCluster, fake_helm: FakeHelm, check: Callable[..., Result]
) -> None:
    fake_helm.does(manifest=CLUSTER_ROLE)
    cluster.forbidden = {"/api/v1/", "/apis/storage", "/apis/rbac", "/apis/apireg"}
    cluster.denied = {("create", "clusterroles", ""), ("get", "namespaces", ""), ("get", "secrets", NAMESPACE)}
    result = check()
    assert set(needs(result)) == {"nodes", "permissions"}
    assert all(finding["found"].startswith("these") for finding in result["findings"] if finding["need"] != "nodes")
    assert "get namespaces" in needs(result)["permissions"]


def test_rights_that_may_not_be_granted_are_tried_without_writing(
    cluster: FakeCluster, fake_helm: FakeHelm, check: Callable[..., Result]
) -> None:
    fake_helm.does(manifest=CLUSTER_ROLE)
    cluster.denied = {("get", "nothing", "")}
    cluster.ungrantable = {"system:image-puller"}
    before = set(cluster.objects)
    assert "may not grant what ClusterRole system:image-puller grants" in needs(check())["permissions"]
    assert set(cluster.objects) == before


def test_nodes_that_may_not_be_read_do_not_stop_the_other_checks(
    cluster: FakeCluster, check: Callable[..., Result]
) -> None:
    cluster.forbidden = {"/api/v1/nodes"}
    del cluster.objects["/apis/storage.k8s.io/v1/storageclasses/fast"]
    result = check()
    assert set(needs(result)) == {"nodes", "storage-class"}


# ── storage and database ──────────────────────────────────────────────────────────────────────────────────────────────


def test_two_replicas_on_a_volume_of_one_node_are_named_once(run: Run, helm: str, cluster: FakeCluster) -> None:
    values = {"config": {"replicas": 2}}
    result = run(registry_preflight, chart_ref=str(CHART), helm_binary=helm, values=values)
    assert [finding["need"] for finding in result["findings"]] == ["access-mode"]
    assert "config.replicas is 2, and the storage is ReadWriteOnce" in result.message
    assert cluster.requests


def test_a_missing_default_class_is_named_with_the_classes_there_are(
    cluster: FakeCluster, check: Callable[..., Result]
) -> None:
    cluster.put("/apis/storage.k8s.io/v1/storageclasses/fast", storage_class())
    found = needs(check())["storage-class"]
    assert (
        "config.storage.pvc.storageClassName and config.metadata.postgresql.managed.storageClassName are empty" in found
    )
    assert "the cluster has fast" in found
    assert "make one the default" in found


def test_a_class_that_does_not_exist_is_named(check: Callable[..., Result]) -> None:
    found = needs(check({"config": {"storage": {"pvc": {"storageClassName": "fats"}}}}))["storage-class"]
    assert "names fats, and the cluster has fast" in found


def test_a_shared_volume_of_a_class_that_can_not_share_is_named(
    cluster: FakeCluster, check: Callable[..., Result]
) -> None:
    cluster.put("/apis/storage.k8s.io/v1/storageclasses/fast", storage_class("rancher.io/local-path", default=True))
    values = {"config": {"storage": {"pvc": {"accessMode": "ReadWriteMany"}}}}
    assert "makes volumes of one node" in needs(check(values))["access-mode"]


def test_a_claim_that_is_missing_is_named(check: Callable[..., Result]) -> None:
    found = needs(check({"config": {"storage": {"pvc": {"claim": "mine"}}}}))["claim"]
    assert "config.storage.pvc.claim names mine" in found


def test_a_claim_of_another_access_mode_is_named_with_its_own(
    cluster: FakeCluster, check: Callable[..., Result]
) -> None:
    cluster.put(f"{HERE}/persistentvolumeclaims/mine", {"spec": {"accessModes": ["ReadWriteOnce"]}})
    values = {"config": {"storage": {"pvc": {"claim": "mine", "accessMode": "ReadWriteMany"}}}}
    assert "set config.storage.pvc.accessMode to ReadWriteOnce" in needs(check(values))["access-mode"]


def test_a_claim_that_lost_its_volume_is_named(cluster: FakeCluster, check: Callable[..., Result]) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "volumeName": "pv-7"}
    cluster.put(CLAIM, {"metadata": {"annotations": OURS}, "spec": spec, "status": {"phase": "Lost"}})
    assert "has lost its volume pv-7" in needs(check())["claim"]


def test_a_kept_claim_can_not_change_its_class(cluster: FakeCluster, check: Callable[..., Result]) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": "slow"}
    cluster.put(CLAIM, {"metadata": {"annotations": OURS}, "spec": spec, "status": {"phase": "Bound"}})
    values = {"config": {"storage": {"pvc": {"storageClassName": "fast"}}}}
    assert "has the StorageClass slow, which can not be changed to fast" in needs(check(values))["storage-class"]


def test_an_external_database_needs_its_secret(cluster: FakeCluster, check: Callable[..., Result]) -> None:
    values = {"config": {"metadata": {"postgresql": {"managed": None, "secretName": "db"}}}}
    assert "names db, and namespace" in needs(check(values))["database"]
    cluster.put(f"{HERE}/secrets/db", {"data": {"host": "aA==", "port": "NQ=="}})
    assert "lacks database, username, password, sslmode" in needs(check(values))["database"]


def test_an_object_store_needs_its_credentials(cluster: FakeCluster, check: Callable[..., Result]) -> None:
    secret = f"{HERE}/secrets/image-registry-private-configuration-user"

    def found(**storage: object) -> str:
        return needs(check({"config": {"storage": {"pvc": None, **storage}}})).get("object-store", "")

    own = {"bucket": "images", "regionEndpoint": "https://s3.example.com"}
    assert "has no Secret image-registry-private-configuration-user" in found(s3=own)
    assert found(s3={"bucket": "images"}) == ""  # the Pod may have an identity of its own
    assert "has no Secret" in found(azure={"accountName": "images", "container": "images"})
    cluster.put(secret, {"data": {"REGISTRY_STORAGE_S3_ACCESSKEY": "aA=="}})
    assert "is not complete" in found(s3=own)
    cluster.put(
        secret, {"data": dict.fromkeys(("REGISTRY_STORAGE_S3_ACCESSKEY", "REGISTRY_STORAGE_S3_SECRETKEY"), "aA==")}
    )
    assert found(s3=own) == ""
    assert "is not complete" in found(swift={"authURL": "https://keystone.example.com/v3", "container": "images"})


def test_the_ca_of_an_object_store_is_there(cluster: FakeCluster, check: Callable[..., Result]) -> None:
    values = {"config": {"storage": {"pvc": None, "s3": {"bucket": "images", "trustedCA": {"name": "store-ca"}}}}}
    assert "config.storage.s3.trustedCA names store-ca" in needs(check(values))["object-store"]
    cluster.put(f"{HERE}/configmaps/store-ca", {"data": {"ca-bundle.crt": "PEM"}})
    assert "object-store" not in needs(check(values))


# ── names ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

CLUSTER_ROLE = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: system:image-puller
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata:
  name: v1.image.alauda.io
"""
APISERVICE = "/apis/apiregistration.k8s.io/v1/apiservices/v1.image.alauda.io"


def test_an_object_of_another_release_is_a_conflict(
    cluster: FakeCluster, fake_helm: FakeHelm, check: Callable[..., Result]
) -> None:
    fake_helm.does(manifest=CLUSTER_ROLE)
    other = {"meta.helm.sh/release-name": "old", "meta.helm.sh/release-namespace": "elsewhere"}
    cluster.put(APISERVICE, {"metadata": {"annotations": other}})
    cluster.put("/apis/rbac.authorization.k8s.io/v1/clusterroles/system:image-puller", {})
    found = needs(check())["name-conflict"]
    assert "APIService v1.image.alauda.io exists and belongs to release old in namespace elsewhere" in found
    assert "ClusterRole system:image-puller exists and belongs to no Helm release" in found
    assert "clusterRoles.create to false" in found


@pytest.mark.parametrize(
    "role",
    [
        {"rules": [{"apiGroups": ["registry.alauda.io"], "resources": ["images"], "verbs": ["get"]}]},
        {"metadata": {"annotations": {"meta.helm.sh/release-name": "old", "meta.helm.sh/release-namespace": "cpaas"}}},
    ],
    ids=["rules of the registry before", "another release"],
)
def test_a_role_that_carries_everybodys_pulls_is_left_and_never_deleted(
    cluster: FakeCluster, fake_helm: FakeHelm, check: Callable[..., Result], role: dict[str, Any]
) -> None:
    fake_helm.does(manifest=CLUSTER_ROLE)
    cluster.put("/apis/rbac.authorization.k8s.io/v1/clusterroles/system:image-puller", role)
    found = needs(check())["name-conflict"]
    assert "clusterRoles: {leave: [system:image-puller]}" in found
    assert "registry_operator_values: {operand: {clusterRoles: {leave: [system:image-puller]}}}" in found
    assert not any(word in found for word in ("delete", "uninstall", "leftover"))


def test_objects_of_this_release_are_no_conflict(
    cluster: FakeCluster, fake_helm: FakeHelm, check: Callable[..., Result]
) -> None:
    fake_helm.does(manifest=CLUSTER_ROLE)
    cluster.put(APISERVICE, {"metadata": {"annotations": OURS}})
    assert not check()["findings"]


@pytest.mark.parametrize(
    ("labels", "annotations", "values", "conflict"),
    [
        ({"pod-security.kubernetes.io/enforce": "restricted"}, {}, {}, True),
        ({"pod-security.kubernetes.io/enforce": "restricted"}, {}, {"nodeCA": {"enabled": False}}, False),
        (
            {"pod-security.kubernetes.io/enforce": "restricted"},
            {"registry.alauda.io/created-by": "alauda.registry.install"},
            {},
            False,
        ),
        ({"pod-security.kubernetes.io/enforce": "privileged"}, {}, {}, False),
        ({}, {}, {}, False),
    ],
    ids=["strict", "without node trust", "made by the role", "open", "unlabelled"],
)
def test_a_strict_namespace_of_somebody_else_is_not_overruled(
    cluster: FakeCluster,
    check: Callable[..., Result],
    labels: dict[str, str],
    annotations: dict[str, str],
    values: dict[str, Any],
    *,
    conflict: bool,
) -> None:
    cluster.put(HERE, {"metadata": {"labels": labels, "annotations": annotations}})
    assert ("pod-security" in needs(check(values))) is conflict


def test_secrets_and_classes_that_the_values_name_must_exist(check: Callable[..., Result]) -> None:
    route = {"name": "a", "hostname": "a.example.com", "secretName": "tls", "ingressClassName": "nginx"}
    config = {"routes": [route], "proxy": {"secretName": "proxy"}}
    found = needs(check({"global": {"imagePullSecrets": [{"name": "pull"}]}, "config": config}))
    assert "global.imagePullSecrets (pull) names Secret pull" in found["secret"]
    assert "config.routes (a) names Secret tls" in found["secret"]
    assert "config.proxy.secretName names Secret proxy" in found["secret"]
    assert "Ingress class nginx" in found["ingress-class"]
