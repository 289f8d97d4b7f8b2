"""What goes wrong around the operator: conditions tell the truth, and it recovers alone.

Others are where what they need is: an API server that goes away and a leader that is killed in `test_olm.py`, missing
rights and a release left pending in `test_reconciling.py`, a watch that tells nothing in `test_process.py`; in a whole
cluster, certificates that ended and a kube-apiserver that was away in `test_faults_in_a_cluster.py`.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from image_registry.operator.operand import CONFIG
from tests.at_once import at_once
from tests.operator.reconciled import Cluster

CLAIM = "image-registry-storage"


@pytest.fixture(autouse=True)
def _managed(cluster: Cluster) -> None:
    cluster.client.merge(CONFIG, {"spec": {"managementState": "Managed", "storage": {"pvc": {"size": "1Gi"}}}})
    cluster.settle()


def test_of_two_people_who_edit_at_once_the_last_one_gets_what_he_wrote(cluster: Cluster) -> None:
    def edits(level: str) -> None:
        for number in range(10):
            cluster.client.merge(CONFIG, {"spec": {"logLevel": level, "readOnly": bool(number % 2)}})

    stop = threading.Event()

    def works() -> None:
        while not stop.is_set():
            cluster.reconciler.turn()

    def both() -> None:
        try:
            at_once([lambda: edits("Debug"), lambda: edits("Trace")])
        finally:
            stop.set()

    at_once([works, both])
    cluster.settle()
    wanted = cluster.config()["spec"]
    (newest, *_) = cluster.reconciler.operand.releases()
    assert newest.deployed
    assert newest.values["config"]["logLevel"] == wanted["logLevel"], cluster.config()["status"]["conditions"]
    assert newest.values["config"]["readOnly"] == wanted["readOnly"]
    assert cluster.said()["Degraded"] == "False AsExpected"


def test_a_writer_that_was_not_up_to_date_is_told_so_and_nothing_is_mixed(cluster: Cluster) -> None:
    first = cluster.config()
    cluster.change(logLevel="Normal", replicas=1)
    first["spec"]["logLevel"] = "TraceAll"
    with pytest.raises(Exception, match="the object has been modified"):
        cluster.client.replace(CONFIG, first)
    cluster.settle()
    assert cluster.reconciler.operand.releases()[0].values["config"]["logLevel"] == "Normal"


def test_a_broken_value_of_the_chart_is_told_and_the_registry_runs_on(cluster: Cluster) -> None:
    before = cluster.find("apps/v1", "deployments", "image-registry")
    good = cluster.reconciler.base
    broken: dict[str, Any] = {**good, "nodeCA": {"enabled": "perhaps"}}
    cluster.reconciler.base = broken
    cluster.until(lambda: cluster.said()["Degraded"] == "True ConfigurationInvalid", "told")
    assert "nodeCA" in cluster.message("Degraded")
    after = cluster.find("apps/v1", "deployments", "image-registry")
    assert before is not None
    assert after is not None
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert cluster.said()["Progressing"] == "False Error"
    cluster.reconciler.base = good
    cluster.settle()
    assert cluster.said()["Degraded"] == "False AsExpected"


def test_a_claim_that_is_being_deleted_is_told_and_its_end_is_not_called_repaired(cluster: Cluster) -> None:
    path = cluster.path("v1", "persistentvolumeclaims", CLAIM)
    cluster.client.merge(path, {"metadata": {"finalizers": ["kubernetes.io/pvc-protection"]}})  # as while a Pod uses it
    revision = cluster.revision()
    cluster.client.delete(path)
    cluster.until(lambda: cluster.said()["StorageExists"] == "False ClaimDeleted", "told")
    assert "copy the images while they can still be pulled" in cluster.message("StorageExists")
    cluster.reconciler._compared = None
    cluster.reconciler.turn()
    assert cluster.revision() == revision, "nothing can keep it, so nothing is tried"
    cluster.client.merge(path, {"metadata": {"finalizers": []}})
    cluster.reconciler._compared = None
    cluster.settle()
    cluster.until(lambda: cluster.said()["StorageExists"] == "True ClaimBound", "an empty one")
    assert "StorageLost" in cluster.events()


def test_a_claim_of_somebody_that_vanishes_is_told_with_its_cure_and_never_made(cluster: Cluster) -> None:
    path = cluster.path("v1", "persistentvolumeclaims", "theirs")
    body = {
        "metadata": {"name": "theirs"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    cluster.client.create(path.rpartition("/")[0], body)
    cluster.change(storage={"pvc": {"claim": "theirs"}})
    cluster.settle()
    cluster.client.merge(path, {"metadata": {"finalizers": []}})
    cluster.client.delete(path)
    cluster.until(lambda: cluster.said()["StorageExists"] == "False ClaimNotFound", "told")
    assert "make claim theirs" in cluster.message("StorageExists")
    assert cluster.client.find(path) is None
    cluster.client.create(path.rpartition("/")[0], body)
    cluster.until(lambda: cluster.said()["StorageExists"].startswith("True"), "there again")
    cluster.change(storage={"pvc": {"claim": ""}})
    cluster.settle()


def test_an_image_api_whose_certificate_has_ended_is_not_called_available(cluster: Cluster) -> None:
    status = {
        "type": "Available",
        "status": "False",
        "reason": "FailedDiscoveryCheck",
        "message": "tls: failed to verify certificate: x509: certificate has expired",
        "lastTransitionTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    path = "/apis/apiregistration.k8s.io/v1/apiservices/v1.image.alauda.io"
    cluster.client.merge(f"{path}/status", {"status": {"conditions": [status]}})
    cluster.reconciler.turn()
    assert cluster.said()["Available"] == "False ImageApiUnavailable"


def test_a_certificate_that_is_gone_is_made_again(cluster: Cluster) -> None:
    revision = cluster.revision()
    path = cluster.path("v1", "secrets", "image-registry-tls")
    cluster.client.delete(path)
    cluster.reconciler._compared = None
    cluster.until(lambda: cluster.reconciler._attempt is not None, "repaired by the bootstrap")
    cluster.client.create(path.rpartition("/")[0], {"metadata": {"name": "image-registry-tls"}})  # what the Job does
    cluster.settle()
    assert cluster.revision() == revision + 1
