"""Limits as the cluster states them: read, remembered, and believed while nobody can be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from image_registry.kube.constraints import REMEMBERED, Constraint, Constraints, ConstraintsUnknown
from image_registry.kube.errors import KubeError
from image_registry.kube.quantity import whole

if TYPE_CHECKING:
    from tests.conftest import FakeCluster

RANGES = "/api/v1/namespaces/team/limitranges"
QUOTAS = "/api/v1/namespaces/team/resourcequotas"
RANGE = {
    "metadata": {"name": "images"},
    "spec": {
        "limits": [
            {"type": "alauda.io/Image", "max": {"storage": "1Gi"}},
            {"type": "alauda.io/ImageStream", "max": {"alauda.io/image-tags": "20", "alauda.io/images": "30"}},
            {"type": "Container", "max": {"memory": "1Gi"}},
            {"type": "alauda.io/Image"},
        ]
    },
}
QUOTA: dict[str, Any] = {
    "metadata": {"name": "objects", "namespace": "team"},
    "spec": {"hard": {"alauda.io/imagestreams": "10", "count/imagestreams.image.alauda.io": "9", "pods": "5"}},
    "status": {"used": {"pods": "1"}},
}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def stated(cluster: FakeCluster, path: str, *items: dict[str, Any]) -> None:
    cluster.put(path, {"items": list(items)})


@pytest.fixture
def cluster(fake_cluster: FakeCluster) -> FakeCluster:
    stated(fake_cluster, RANGES, RANGE)
    stated(fake_cluster, QUOTAS, QUOTA, {**QUOTA, "spec": {**QUOTA["spec"], "scopes": ["BestEffort"]}})
    return fake_cluster


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10", 10),
        ("1Ki", 1024),
        ("1.5Gi", 3 << 29),
        ("2k", 2000),
        ("1M", 1000000),
        ("1e3", 1000),
        ("1E3", 1000),
        ("500m", 1),
        ("0", 0),
        ("16Ei", (1 << 63) - 1),
        (7, 7),
    ],
)
def test_quantities_are_read_as_kubernetes_means_them(text: object, value: int) -> None:
    assert whole(text) == value


@pytest.mark.parametrize("text", ["", "ten", "1KiB", "1 Gi", "--1", "1e9999", "0x10", None])
def test_what_is_no_quantity_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is no quantity"):
        whole(text)


def test_what_limits_images_is_found_and_nothing_else(cluster: FakeCluster) -> None:
    assert Constraints(cluster.client()).of("team") == (
        Constraint("LimitRange", "images", "alauda.io/Image", "storage", 1 << 30),
        Constraint("LimitRange", "images", "alauda.io/ImageStream", "alauda.io/image-tags", 20),
        Constraint("LimitRange", "images", "alauda.io/ImageStream", "alauda.io/images", 30),
        Constraint("ResourceQuota", "objects", "", "alauda.io/imagestreams", 10),
        Constraint("ResourceQuota", "objects", "", "count/imagestreams.image.alauda.io", 9),
    )


def test_an_answer_is_good_for_a_while_and_forgotten_when_told(cluster: FakeCluster) -> None:
    clock = Clock()
    constraints = Constraints(cluster.client(), clock)
    first = constraints.of("team")
    asked = len(cluster.requests)
    stated(cluster, RANGES)
    assert constraints.of("team") == first
    assert len(cluster.requests) == asked
    constraints.forget("other")
    assert constraints.of("team") == first
    constraints.forget("team")
    assert len(constraints.of("team")) == 2
    stated(cluster, QUOTAS)
    clock.now = REMEMBERED + 1
    assert constraints.of("team") == ()


def test_what_was_known_holds_while_the_cluster_cannot_be_asked(cluster: FakeCluster) -> None:
    constraints = Constraints(cluster.client())
    first = constraints.of("team")
    constraints.forget()
    cluster.failures = [503] * 20
    assert constraints.of("team") == first
    with pytest.raises(ConstraintsUnknown, match="limits of namespace other"):
        constraints.of("other")


def test_without_the_permission_nothing_is_limited(cluster: FakeCluster) -> None:
    cluster.forbidden = {RANGES}
    assert Constraints(cluster.client()).of("team") == ()


def test_used_is_written_where_it_is_shown(cluster: FakeCluster) -> None:
    stated(cluster, "/api/v1/resourcequotas", QUOTA, {"metadata": {"name": "pods"}, "spec": {"hard": {"pods": "1"}}})
    constraints = Constraints(cluster.client())
    [quota] = constraints.quotas()
    assert (quota.namespace, quota.name, quota.used) == ("team", "objects", {"pods": "1"})
    path = f"{QUOTAS}/objects/status"
    cluster.put(path, {"status": {"used": {"pods": "1"}}})
    constraints.show_used(quota, {"alauda.io/imagestreams": "3"})
    assert cluster.objects[path]["status"]["used"] == {"pods": "1", "alauda.io/imagestreams": "3"}
    cluster.forbidden = {path}
    with pytest.raises(KubeError):
        constraints.show_used(quota, {})
