"""The reconciler with the real Helm and a real kube-apiserver: states, repair, healing, failures with their cure."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from image_registry.kube.client import ClusterClient
from image_registry.kube.release_record import Release
from image_registry.operator.drift import RESOURCES
from image_registry.operator.operand import CONFIG
from tests.operator.conftest import OPERATOR, ROOT
from tests.operator.reconciled import Cluster

CHART = ROOT / "charts/image-registry"
PVC: dict[str, Any] = {"managementState": "Managed", "storage": {"pvc": {"size": "1Gi"}}}


def test_without_a_state_nothing_is_installed_and_the_next_step_is_told(cluster: Cluster) -> None:
    cluster.settle()
    assert cluster.said()["Available"] == "True Removed"
    assert "set spec.managementState to Managed" in cluster.message("Removed")
    assert cluster.find("apps/v1", "deployments", "image-registry") is None
    assert "Removed" in cluster.events()


@pytest.mark.parity(16)
def test_managed_installs_the_registry_and_never_writes_the_specification(cluster: Cluster) -> None:
    cluster.change(**PVC)
    before = cluster.config()
    cluster.settle()
    after = cluster.config()
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    status = after["status"]
    assert cluster.said() == {
        "Available": "False ImageApiUnavailable",  # nothing runs behind its Service here
        "Progressing": "False Ready",
        "Degraded": "False AsExpected",
        "Removed": "False Managed",
        "StorageExists": "True ClaimBound",
        "CertificatesValid": "False CertificateInvalid",  # nor does anybody make certificates
        "NodeCADaemonAvailable": "True AsExpected",
        "ImagesIntact": "Unknown NotTold",
    }
    assert status["readyReplicas"] == 1
    assert status["latestAvailableRevision"] == 1
    assert status["hostnames"] == {"internal": "image-registry.image-registry-system.svc:5000"}
    assert status["storage"]["pvc"]["size"] == "1Gi"
    assert "s3" not in status["storage"]
    names = {item["name"] for item in status["generations"]}
    assert {"image-registry", "image-api-server", "image-registry-db", "node-ca"} <= names


def test_a_quiet_cluster_is_only_looked_at(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.settle()
    before = cluster.config()
    asked: list[str] = []
    request = ClusterClient.request

    def counted(self: ClusterClient, method: Any, *arguments: Any, **options: Any) -> dict[str, Any]:
        asked.append(method)
        return request(self, method, *arguments, **options)

    cluster.reconciler._compared = None
    cluster.reconciler.turn()
    monkeypatch.setattr(ClusterClient, "request", counted)
    cluster.reconciler._compared = None
    cluster.reconciler.turn()
    assert set(asked) == {"GET"}
    assert len(asked) < 90, "twice a minute"
    monkeypatch.undo()
    assert cluster.config() == before, "no revision, no status, no time is written"


def test_every_kind_of_the_chart_can_be_compared(cluster: Cluster) -> None:
    newest = cluster.reconciler.operand.releases()[0]
    kinds = {item["kind"] for item in newest.objects()}
    assert "Deployment" in kinds
    assert kinds <= set(RESOURCES)


def test_a_change_is_rolled_out(cluster: Cluster) -> None:
    cluster.change(logLevel="Debug", storage={"pvc": {"accessMode": "ReadWriteOnce"}})
    cluster.settle()
    assert cluster.revision() == 2
    found = cluster.find("apps/v1", "deployments", "image-registry")
    assert found is not None
    assert "Debug" in json.dumps(found["spec"])


def test_read_only_is_a_change_of_one_config_map(cluster: Cluster) -> None:
    before = cluster.find("apps/v1", "deployments", "image-registry")
    cluster.change(readOnly=True)
    cluster.settle()
    modes = cluster.find("v1", "configmaps", "image-registry-modes")
    assert modes is not None
    assert modes["data"]["readOnly"].startswith("true")
    after = cluster.find("apps/v1", "deployments", "image-registry")
    assert before is not None
    assert after is not None
    assert after["metadata"]["generation"] == before["metadata"]["generation"], "no Pod restarts"
    cluster.change(readOnly=False)
    cluster.settle()


def compared_again(cluster: Cluster) -> None:
    cluster.reconciler._compared = None


def test_what_is_deleted_comes_back(cluster: Cluster) -> None:
    cluster.settle()
    gone = [
        ("v1", "services", "image-registry"),
        ("apps/v1", "deployments", "image-registry"),
        ("v1", "configmaps", "image-registry-modes"),
        ("rbac.authorization.k8s.io/v1", "roles", "image-registry-modes"),
        ("v1", "serviceaccounts", "registry"),
    ]
    for version, resource, name in gone:
        cluster.client.delete(cluster.path(version, resource, name))
    compared_again(cluster)
    cluster.until(lambda: all(cluster.find(*item) is not None for item in gone), "everything back")
    cluster.settle()
    assert "DriftRepaired" in cluster.events()


def test_what_is_edited_is_changed_back(cluster: Cluster) -> None:
    cluster.settle()
    path = cluster.path("apps/v1", "deployments", "image-registry")
    cluster.client.merge(path, {"spec": {"replicas": 0}})
    role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:image-puller"
    cluster.client.merge(role, {"rules": []})
    compared_again(cluster)
    cluster.until(lambda: cluster.client.get(path)["spec"]["replicas"] == 1, "one replica again")
    cluster.until(lambda: bool(cluster.client.get(role)["rules"]), "rules again")
    cluster.settle()


def test_what_people_add_is_left_alone(cluster: Cluster) -> None:
    cluster.settle()
    revision = cluster.revision()
    cluster.client.merge(
        cluster.path("v1", "services", "image-registry"), {"metadata": {"annotations": {"example.com/mine": "yes"}}}
    )
    compared_again(cluster)
    cluster.reconciler.turn()
    assert cluster.revision() == revision


def test_a_revision_left_pending_is_healed(cluster: Cluster) -> None:
    cluster.settle()
    newest = cluster.reconciler.operand.releases()[0]
    secret = cluster.client.get(cluster.path("v1", "secrets", newest.name))
    document = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(secret["data"]["release"]))))
    document["version"] = newest.revision + 1
    document["info"] |= {"status": "pending-upgrade", "last_deployed": "2026-01-01T00:00:00Z"}
    packed = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(document).encode()))).decode()
    name = f"sh.helm.release.v1.image-registry.v{newest.revision + 1}"
    labels = {**secret["metadata"]["labels"], "status": "pending-upgrade", "version": str(newest.revision + 1)}
    body = {"metadata": {"name": name, "labels": labels}, "type": secret["type"], "data": {"release": packed}}
    cluster.client.create(cluster.path("v1", "secrets"), body)
    cluster.change(logLevel="Normal")
    cluster.settle()
    assert "ReleaseHealed" in cluster.events()
    assert cluster.reconciler.operand.releases()[0].deployed
    assert cluster.said()["Degraded"] == "False AsExpected"


def test_what_only_the_chart_can_refuse_ends_in_a_condition_with_its_cure(cluster: Cluster) -> None:
    cluster.settle()
    cluster.change(storage={"pvc": {"accessMode": "ReadWriteMany"}})
    cluster.until(lambda: cluster.said()["Degraded"] == "True ConfigurationInvalid", "refused")
    assert "set spec.storage.pvc.accessMode to ReadWriteOnce" in cluster.message("Degraded")
    assert cluster.said()["Progressing"] == "False Error"
    assert "ConfigurationInvalid" in cluster.events()
    cluster.change(storage={"pvc": {"accessMode": "ReadWriteOnce"}})
    cluster.settle()
    assert cluster.said()["Degraded"] == "False AsExpected"


def test_a_bootstrap_that_fails_is_told_and_tried_again(cluster: Cluster) -> None:
    cluster.settle()
    cluster.hands.broken = True
    cluster.change(logLevel="Trace")
    cluster.until(lambda: cluster.said()["Progressing"] == "True Error", "failed")
    assert "see kubectl -n image-registry-system get jobs,pods" in cluster.message("Progressing")
    cluster.hands.broken = False
    assert cluster.reconciler._failure is not None
    cluster.reconciler._failure.until = datetime.now(UTC)  # or wait for ten seconds
    cluster.settle()
    assert cluster.said()["Degraded"] == "False AsExpected"


def test_a_change_does_not_wait_for_an_upgrade_that_hangs(cluster: Cluster) -> None:
    cluster.settle()
    cluster.hands.idle = True
    cluster.change(logLevel="TraceAll")
    cluster.until(lambda: cluster.said()["Progressing"] == "True Applying", "helm running")
    revision = cluster.reconciler.operand.releases()[0].revision
    cluster.change(logLevel="Normal")
    cluster.until(lambda: cluster.reconciler._attempt is None, "helm told to end")
    cluster.hands.idle = False
    cluster.settle()
    newest = cluster.reconciler.operand.releases()[0]
    assert newest.deployed
    assert newest.revision > revision
    assert newest.values["config"]["logLevel"] == "Normal"
    assert cluster.said()["Degraded"] == "False AsExpected"


def test_an_upgrade_that_ends_while_its_record_is_read_was_not_left_behind(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.settle()
    healed = cluster.reconciler.metrics.registry.get_sample_value("image_registry_operator_releases_healed_total")
    cluster.change(logLevel="Trace")
    cluster.until(lambda: cluster.reconciler._attempt is not None, "helm running")
    attempt = cluster.reconciler._attempt
    assert attempt is not None
    operand = cluster.reconciler.operand
    read = operand.releases

    def slowly() -> list[Release]:
        """The record as it was before Helm ended, and old enough to count as left behind."""
        found = [dataclasses.replace(one, written=datetime(2026, 1, 1, tzinfo=UTC)) for one in read()]
        while attempt.running.outcome() is None:
            time.sleep(0.05)
        return found

    monkeypatch.setattr(operand, "releases", slowly)
    cluster.reconciler.turn()
    monkeypatch.undo()
    cluster.settle()
    after = cluster.reconciler.metrics.registry.get_sample_value("image_registry_operator_releases_healed_total")
    assert after == healed


def test_missing_rights_are_told_and_what_was_seen_stays(cluster: Cluster) -> None:
    cluster.settle()
    before = cluster.said()
    path = cluster.path("rbac.authorization.k8s.io/v1", "rolebindings", OPERATOR)
    binding = cluster.client.get(path)
    cluster.client.delete(path)
    cluster.until(lambda: cluster.said()["Degraded"] == "True PermissionDenied", "denied")
    assert "give the operator's ServiceAccount what its chart gives it" in cluster.message("Degraded")
    after = cluster.said()
    assert {name: after[name] for name in ("Available", "StorageExists")} == {
        name: before[name] for name in ("Available", "StorageExists")
    }
    assert cluster.config()["status"]["readyReplicas"] == 1
    cluster.client.create(path.rpartition("/")[0], {**binding, "metadata": {"name": OPERATOR}})
    cluster.until(lambda: cluster.said() == before, "well again")


@pytest.mark.parity(16)
def test_unmanaged_touches_nothing(cluster: Cluster) -> None:
    cluster.settle()
    cluster.change(managementState="Unmanaged")
    cluster.settle()
    assert cluster.said()["Available"] == "True Unmanaged"
    revision = cluster.revision()
    path = cluster.path("v1", "configmaps", "image-registry-modes")
    cluster.client.delete(path)
    cluster.change(readOnly=True)
    compared_again(cluster)
    for _ in range(3):
        cluster.reconciler.turn()
    assert cluster.client.find(path) is None
    assert cluster.revision() == revision
    cluster.change(managementState="Managed", readOnly=False)
    cluster.until(lambda: cluster.client.find(path) is not None, "looked after again")
    cluster.settle()


@pytest.mark.parity(16)
def test_removed_takes_the_servers_away_and_keeps_claim_and_database(cluster: Cluster) -> None:
    cluster.settle()
    cluster.change(managementState="Removed")
    cluster.settle()
    assert cluster.said()["Removed"] == "True Removed"
    assert cluster.said()["Progressing"] == "False Removed"
    assert cluster.find("apps/v1", "deployments", "image-registry") is None
    assert cluster.client.find("/apis/apiregistration.k8s.io/v1/apiservices/v1.image.alauda.io") is None
    assert cluster.find("v1", "persistentvolumeclaims", "image-registry-storage") is not None
    assert cluster.find("apps/v1", "statefulsets", "image-registry-db") is not None
    assert "hostnames" not in cluster.config()["status"]
    cluster.change(managementState="Managed")
    cluster.settle()
    assert cluster.find("apps/v1", "deployments", "image-registry") is not None


def test_removed_with_managed_storage_lets_go_of_what_the_operator_made(cluster: Cluster) -> None:
    database = {
        "metadata": {
            "name": "data-image-registry-db-0",
            "labels": {"app.kubernetes.io/instance": "image-registry", "app.kubernetes.io/name": "image-registry-db"},
        },
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    claims = cluster.path("v1", "persistentvolumeclaims")
    cluster.client.create(claims, database)  # what the controller of StatefulSets would make
    cluster.change(storage={"managementState": "Managed"})
    cluster.settle()
    both = ["image-registry-storage", "data-image-registry-db-0"]
    assert cluster.config()["status"]["ownedClaims"] == both
    assert "Removed would delete claim image-registry-storage and data-image-registry-db-0" in cluster.message(
        "StorageExists"
    )

    def going() -> bool:
        found = [cluster.find("v1", "persistentvolumeclaims", name) for name in both]
        return all(claim is None or claim["metadata"].get("deletionTimestamp") for claim in found)

    cluster.change(managementState="Removed")
    cluster.until(going, "both claims are deleted")
    assert cluster.find("apps/v1", "statefulsets", "image-registry-db") is None
    assert "StorageDeleted" in cluster.events()
    for name in both:
        if cluster.find("v1", "persistentvolumeclaims", name) is not None:  # nobody protects claims here
            cluster.client.merge(f"{claims}/{name}", {"metadata": {"finalizers": None}})
    cluster.settle()
    revision = cluster.revision()
    compared_again(cluster)
    for _ in range(3):
        cluster.reconciler.turn()
    assert cluster.revision() == revision, "nothing is made again"
    assert cluster.said()["StorageExists"] == "False ClaimDeleted"
    cluster.change(managementState="Managed", storage={"managementState": None})
    cluster.settle()
    assert cluster.find("v1", "persistentvolumeclaims", "image-registry-storage") is not None
    assert cluster.find("apps/v1", "statefulsets", "image-registry-db") is not None


def test_a_removal_that_is_called_off_deletes_no_storage(cluster: Cluster) -> None:
    name = "data-image-registry-db-0"
    labels = {"app.kubernetes.io/instance": "image-registry", "app.kubernetes.io/name": "image-registry-db"}
    body = {
        "metadata": {"name": name, "labels": labels},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    if cluster.find("v1", "persistentvolumeclaims", name) is None:
        cluster.client.create(cluster.path("v1", "persistentvolumeclaims"), body)
    cluster.change(managementState="Managed", storage={"managementState": "Managed"})
    cluster.settle()
    assert name in cluster.config()["status"]["ownedClaims"]
    cluster.change(managementState="Removed")
    cluster.reconciler.turn()
    deadline = time.monotonic() + 30  # Helm writes down first what it is going to do
    while not cluster.reconciler.operand.releases()[0].values.get("deleteStorage"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    cluster.change(managementState="Unmanaged")
    for _ in range(4):
        cluster.reconciler.turn()
    for kept in (name, "image-registry-storage"):
        claim = cluster.find("v1", "persistentvolumeclaims", kept)
        assert claim is not None
        assert "deletionTimestamp" not in claim["metadata"]
    cluster.change(managementState="Managed", storage={"managementState": None})
    cluster.settle()
    cluster.client.delete(f"{cluster.path('v1', 'persistentvolumeclaims')}/{name}")
    cluster.client.merge(f"{cluster.path('v1', 'persistentvolumeclaims')}/{name}", {"metadata": {"finalizers": None}})


@pytest.mark.parity(16)
def test_another_storage_keeps_the_claim_and_says_that_nothing_was_moved(cluster: Cluster) -> None:
    cluster.settle()
    cluster.change(storage={"managementState": "Managed"})
    cluster.settle()
    cluster.change(storage={"pvc": None, "s3": {"bucket": "images", "region": "here"}})
    cluster.settle()
    assert cluster.find("v1", "persistentvolumeclaims", "image-registry-storage") is not None
    assert cluster.said()["StorageExists"] == "Unknown StorageConfigurationChanged"
    assert "images in claim image-registry-storage were not moved" in cluster.message("StorageExists")
    assert "StorageChanged" in cluster.events()


def test_a_deleted_config_leaves_the_registry_as_it_is(cluster: Cluster, configs: str) -> None:
    cluster.settle()
    spec = cluster.config()["spec"]
    cluster.client.delete(CONFIG)
    cluster.reconciler.turn()
    assert cluster.find("apps/v1", "deployments", "image-registry") is not None
    body = {"apiVersion": "imageregistry.operator.alauda.io/v1", "kind": "Config", "metadata": {"name": "cluster"}}
    cluster.client.create(configs, {**body, "spec": spec})
    cluster.settle()
    assert cluster.said()["Degraded"] == "False AsExpected"


def test_the_metrics_tell_what_happened(cluster: Cluster) -> None:
    def number(name: str, **labels: str) -> float:
        return cluster.reconciler.metrics.registry.get_sample_value(f"image_registry_operator_{name}", labels) or 0.0

    assert number("helm_runs_total", outcome="success") > 5
    assert number("helm_runs_total", outcome="failure") >= 2
    assert number("drift_repaired_total") >= 6
    assert number("releases_healed_total") >= 1
    assert number("storage_reconfigured_total") == 1
    assert number("condition", type="Degraded", reason="AsExpected") == 0
