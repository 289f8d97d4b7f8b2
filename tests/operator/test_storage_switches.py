"""The storage changed by editing Config, from one kind to another, in a real kube-apiserver.

Every pair is in the unit test of the same name. Here a walk over the kinds that differ for Kubernetes: the operator's
own claim, one that somebody else made, none at all, and a store.
"""

from __future__ import annotations

from typing import Any

import pytest

from image_registry.operator.config_values import CLAIM, STORAGE_KINDS
from tests.operator.reconciled import Cluster

Object = dict[str, Any]
LEGACY = "legacy"
WALK: list[tuple[Object, str]] = [
    # what is edited, and where images are said to be left
    ({"pvc": {"size": "1Gi"}}, ""),
    ({"emptyDir": {}}, "images in claim image-registry-storage were not moved"),
    ({"s3": {"bucket": "images", "region": "here"}}, "images in emptyDir of the Pod went with it"),
    ({"pvc": {"claim": LEGACY}}, "images in s3 images of here were not moved"),
]


@pytest.fixture(scope="module")
def legacy(cluster: Cluster) -> Object:
    """A claim that somebody else made."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return cluster.client.create(
        cluster.path("v1", "persistentvolumeclaims"), {"metadata": {"name": LEGACY}, "spec": spec}
    )


def choose(cluster: Cluster, storage: Object) -> None:
    """As an administrator edits it: one kind is written, the others are taken out."""
    wanted: Object = {**dict.fromkeys(STORAGE_KINDS), "managementState": "Managed", **storage}
    if wanted["pvc"] is not None:
        wanted["pvc"] = {"claim": None, **wanted["pvc"]}
    cluster.change(managementState="Managed", storage=wanted)
    cluster.settle()


def uid(cluster: Cluster, name: str) -> str:
    claim = cluster.find("v1", "persistentvolumeclaims", name)
    assert claim is not None, f"claim {name} is gone"
    assert "deletionTimestamp" not in claim["metadata"], f"claim {name} is going"
    return str(claim["metadata"]["uid"])


def volume(cluster: Cluster) -> Object:
    """Where the Pods of the registry keep blobs; empty for a store."""
    found = cluster.find("apps/v1", "deployments", "image-registry")
    assert found is not None
    volumes = {item["name"]: item for item in found["spec"]["template"]["spec"]["volumes"]}
    return {name: part for name, part in volumes.get("storage", {}).items() if name != "name"}


def test_no_change_deletes_a_claim_and_each_says_where_the_images_are_left(cluster: Cluster, legacy: Object) -> None:
    choose(cluster, WALK[0][0])
    own = uid(cluster, CLAIM)
    for storage, left in WALK[1:]:
        before = cluster.revision()
        choose(cluster, storage)
        assert cluster.revision() == before + 1, "one upgrade"
        assert cluster.said()["StorageExists"].endswith(" StorageConfigurationChanged")
        assert left in cluster.message("StorageExists")
        assert cluster.said()["Degraded"] == "False AsExpected"
        assert (uid(cluster, CLAIM), uid(cluster, LEGACY)) == (own, legacy["metadata"]["uid"])
        assert set(cluster.config()["status"]["storage"]) - {"managementState"} == set(storage)
        match storage:
            case {"pvc": {"claim": name}}:
                assert volume(cluster)["persistentVolumeClaim"]["claimName"] == name
            case {"emptyDir": _}:
                assert "emptyDir" in volume(cluster)
            case _:
                assert volume(cluster) == {}
    changes = cluster.reconciler.metrics.registry.get_sample_value("image_registry_operator_storage_reconfigured_total")
    assert changes == len(WALK) - 1


def test_removed_after_a_change_deletes_neither_what_was_adopted_nor_what_was_left(
    cluster: Cluster, legacy: Object
) -> None:
    for storage in (WALK[0][0], WALK[-1][0]):
        choose(cluster, storage)
    own = uid(cluster, CLAIM)
    cluster.change(managementState="Removed")
    cluster.settle()
    for _ in range(3):
        cluster.reconciler.turn()
    assert cluster.find("apps/v1", "deployments", "image-registry") is None
    assert (uid(cluster, CLAIM), uid(cluster, LEGACY)) == (own, legacy["metadata"]["uid"])
    assert "StorageDeleted" not in cluster.events()


def test_two_kinds_at_once_are_refused_before_anything_happens(cluster: Cluster) -> None:
    revision = cluster.revision()
    with pytest.raises(Exception, match="exactly one storage type can be configured"):
        cluster.change(storage={"s3": {"bucket": "images"}})
    cluster.reconciler.turn()
    assert cluster.revision() == revision
