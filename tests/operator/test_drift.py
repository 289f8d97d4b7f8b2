"""Every object that the release is made of, whatever the chart makes tomorrow: edited once, deleted once.

The list is that of the release itself. Managed, everything is put back; Unmanaged, nothing is touched.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from image_registry.operator import drift
from image_registry.operator.operand import CONFIG
from tests.operator.conftest import NAMESPACE
from tests.operator.reconciled import Cluster

MINUTE = 60.0
Object = dict[str, Any]
SPEC: Object = {
    "managementState": "Managed",
    "storage": {"pvc": {"size": "1Gi"}},
    "defaultRoute": True,
    "routeDefaults": {"domain": "apps.example.com"},
}
STEADY = {"PersistentVolumeClaim"}
"""Kinds that people may edit: a claim can be enlarged."""


@pytest.fixture(scope="module")
def items(cluster: Cluster) -> list[Object]:
    """The objects of the release, with as many features as need no other operator."""
    cluster.client.merge(CONFIG, {"spec": SPEC})
    cluster.settle()
    releases = cluster.reconciler.operand.releases()
    assert releases, cluster.config()["status"]["conditions"]
    newest = releases[0]
    return newest.objects()


@pytest.fixture(autouse=True)
def _managed_again(cluster: Cluster) -> Iterator[None]:
    yield
    cluster.change(managementState="Managed")
    cluster.reconciler._compared = None
    cluster.settle()


def name(item: Object) -> str:
    return f"{item['kind']} {item['metadata']['name']}"


def path(item: Object) -> str:
    return drift.path_of(item, NAMESPACE)


def edited(item: Object) -> Object:
    """A change of something that the chart says: of the content where that is easily said, else of a label."""
    kind = item["kind"]
    if kind in ("Role", "ClusterRole") and item.get("rules"):
        return {"rules": []}
    if kind == "ConfigMap" and item.get("data"):
        return {"data": {next(iter(item["data"])): "edited"}}
    if kind in ("Deployment", "StatefulSet"):
        return {"spec": {"replicas": 7}}
    if kind == "CronJob":
        return {"spec": {"schedule": "1 1 1 1 *"}}
    if kind == "DaemonSet":
        return {"spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": None}}}
    if kind == "NetworkPolicy":
        return {"spec": {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "somebody"}}}}
    if kind in ("RoleBinding", "ClusterRoleBinding"):
        return {"subjects": [{"kind": "ServiceAccount", "name": "somebody", "namespace": NAMESPACE}]}
    if kind == "Ingress":
        return {"spec": {"rules": [{"host": "somebody.example.com"}]}}
    if kind == "APIService":
        return {"spec": {"groupPriorityMinimum": 1, "versionPriority": 1}}
    return {"metadata": {"labels": {next(iter(item["metadata"]["labels"])): "edited"}}}


def content(live: Object) -> Object:
    return {key: part for key, part in drift._content(live).items() if key != "metadata"} | {
        "labels": live["metadata"].get("labels")
    }


def gone(cluster: Cluster, item: Object) -> None:
    """Deleted, and nobody uses it, as a controller would find that is not here."""
    if item["kind"] == "PersistentVolumeClaim":
        cluster.client.merge(path(item), {"metadata": {"finalizers": []}})
    cluster.client.delete(path(item))


def until_nothing_differs(cluster: Cluster) -> float:
    began = time.monotonic()
    cluster.reconciler._compared = None

    def nothing() -> bool:
        release = cluster.reconciler.operand.releases()[0]
        return (
            release.deployed and cluster.reconciler._attempt is None and not cluster.reconciler.operand.drift(release)
        )

    cluster.until(nothing, "everything as it was")
    return time.monotonic() - began


def test_every_object_that_is_edited_is_seen_and_changed_back(cluster: Cluster, items: list[Object]) -> None:
    before = {name(item): content(cluster.client.get(path(item))) for item in items}
    assert len(items) > 30
    for item in items:
        cluster.client.merge(path(item), edited(item))
    seen = set(cluster.reconciler.operand.drift(cluster.reconciler.operand.releases()[0]))
    assert seen >= {name(item) for item in items if item["kind"] not in STEADY}
    assert until_nothing_differs(cluster) < MINUTE
    after = {name(item): content(cluster.client.get(path(item))) for item in items if item["kind"] not in STEADY}
    assert after == {key: before[key] for key in after}


def test_every_object_that_is_deleted_is_seen_and_made_again(cluster: Cluster, items: list[Object]) -> None:
    for item in items:
        gone(cluster, item)
    seen = set(cluster.reconciler.operand.drift(cluster.reconciler.operand.releases()[0]))
    assert seen >= {name(item) for item in items}
    assert until_nothing_differs(cluster) < MINUTE
    assert [name(item) for item in items if cluster.client.find(path(item)) is None] == []


def test_unmanaged_neither_is_touched(cluster: Cluster, items: list[Object]) -> None:
    cluster.change(managementState="Unmanaged")
    cluster.settle()
    half = len(items) // 2
    for item in items[:half]:
        cluster.client.merge(path(item), edited(item))
    for item in items[half:]:
        gone(cluster, item)
    left = {
        name(item): content(cluster.client.get(path(item))) for item in items[:half] if item["kind"] != "Deployment"
    }
    for _ in range(5):
        cluster.reconciler._compared = None
        cluster.reconciler.turn()
    assert {name(item): content(cluster.client.get(path(item))) for item in items[:half]} == left
    assert [name(item) for item in items[half:] if cluster.client.find(path(item)) is not None] == []


def test_what_somebody_writes_again_and_again_is_told_and_fought_over_ever_less_often(
    cluster: Cluster, items: list[Object]
) -> None:
    (service,) = [item for item in items if name(item) == "Service image-registry"]
    runs = 0

    def told() -> bool:
        nonlocal runs
        cluster.client.merge(path(service), edited(service))
        cluster.reconciler._compared = None
        runs = len(cluster.reconciler.operand.releases())
        return cluster.said()["Progressing"] == "True Error"

    cluster.until(told, "told")
    assert "Service image-registry differs again" in cluster.message("Progressing")
    assert "DriftNotRepaired" in cluster.events()
    for _ in range(5):
        cluster.client.merge(path(service), edited(service))
        cluster.reconciler._compared = None
        cluster.reconciler.turn()
    assert len(cluster.reconciler.operand.releases()) == runs, "ten seconds have not passed"
    assert cluster.reconciler._failure is not None
    cluster.reconciler._failure = None
    assert until_nothing_differs(cluster) < MINUTE
