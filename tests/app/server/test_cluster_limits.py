"""From a LimitRange in the cluster to a refused push, and from a push to what a quota shows."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from image_registry.imagestreams import limits
from image_registry.imagestreams.limits import Limit, LimitExceeded, LimitsUnknown, Scope
from image_registry.imagestreams.service import ImageStreams
from image_registry.kube.constraints import Constraint
from image_registry.metadata import usage
from image_registry.metadata.database import Database
from image_registry.oci.reference import Repository
from image_registry.server import cluster_limits
from image_registry.server.cluster_limits import ClusterLimits, read
from tests.app import content

if TYPE_CHECKING:
    from tests.conftest import FakeCluster

QUOTAS = "/api/v1/namespaces/team/resourcequotas"


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def hard(cluster: FakeCluster, **values: str) -> None:
    quota = {
        "metadata": {"name": "objects", "namespace": "team"},
        "spec": {"hard": {f"alauda.io/{name}": value for name, value in values.items()}},
    }
    cluster.put(QUOTAS, {"items": [quota]})
    cluster.put("/api/v1/resourcequotas", {"items": [quota]})


def push(streams: ImageStreams, name: str) -> None:
    streams.push(
        Repository("team", name),
        content.image(name),
        tag="latest",
        config=None,
        pushed_by="ann",
        authorize_create=lambda: None,
        before_commit=lambda: None,
    )


@pytest.mark.parametrize(
    ("constraint", "expected"),
    [
        (("LimitRange", "a", "alauda.io/Image", "storage", 5), Limit("LimitRange a", Scope.IMAGE, limits.SIZE, 5)),
        (
            ("LimitRange", "a", "alauda.io/ImageStream", "alauda.io/images", 5),
            Limit("LimitRange a", Scope.STREAM, limits.IMAGES, 5),
        ),
        (("LimitRange", "a", "alauda.io/Image", "memory", 5), None),
        (("LimitRange", "a", "alauda.io/ImageStream", "storage", 5), None),
        (
            ("ResourceQuota", "q", "", "alauda.io/image-storage", 5),
            Limit("ResourceQuota q", Scope.NAMESPACE, limits.STORAGE, 5),
        ),
        (
            ("ResourceQuota", "q", "", "count/imagestreams.image.alauda.io", 5),
            Limit("ResourceQuota q", Scope.NAMESPACE, limits.STREAMS, 5, "count/imagestreams.image.alauda.io"),
        ),
        (("ResourceQuota", "q", "", "alauda.io/other", 5), None),
    ],
)
def test_constraints_of_the_cluster_are_limits_of_the_rules(constraint: Any, expected: Limit | None) -> None:
    assert read(Constraint(*constraint)) == expected


@pytest.mark.parity(8)
def test_a_quota_of_the_cluster_refuses_a_push_and_shows_what_is_used(
    fake_cluster: FakeCluster, database: Database
) -> None:
    hard(fake_cluster, imagestreams="1", **{"image-tags": "7"})
    fake_cluster.put("/api/v1/namespaces/team/limitranges", {"items": []})
    fake_cluster.put(f"{QUOTAS}/objects/status", {"status": {}})
    given = ClusterLimits(fake_cluster.client())
    streams = ImageStreams(database, internal_hostname="registry:5000", limits=given)
    push(streams, "one")
    with pytest.raises(LimitExceeded, match=r"exceeded quota: objects, requested: alauda\.io/imagestreams=1, used"):
        push(streams, "two")
    assert given.show_once(streams) == 1
    shown = fake_cluster.objects[f"{QUOTAS}/objects/status"]["status"]["used"]
    assert shown == {"alauda.io/imagestreams": "1", "alauda.io/image-tags": "1"}


def test_a_quota_that_shows_the_truth_is_not_written_again(fake_cluster: FakeCluster, database: Database) -> None:
    quota = {
        "metadata": {"name": "objects", "namespace": "team"},
        "spec": {"hard": {"alauda.io/images": "5"}},
        "status": {"used": {"alauda.io/images": "0"}},
    }
    fake_cluster.put("/api/v1/resourcequotas", {"items": [quota]})
    streams = ImageStreams(database, internal_hostname="registry:5000")
    assert ClusterLimits(fake_cluster.client()).show_once(streams) == 0


def test_what_no_quota_names_is_not_counted(
    fake_cluster: FakeCluster, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes above all: their sum reads every image of the namespace, and this happens every few seconds."""
    quota = {
        "metadata": {"name": "objects", "namespace": "team"},
        "spec": {"hard": {"count/imagestreams.image.alauda.io": "5"}},
    }
    fake_cluster.put("/api/v1/resourcequotas", {"items": [quota]})
    fake_cluster.put(f"{QUOTAS}/objects/status", {"status": {}})
    for name in ("content", "images_in", "tags_in"):
        monkeypatch.setattr(usage, name, None)
    streams = ImageStreams(database, internal_hostname="registry:5000")
    push(streams, "one")
    assert ClusterLimits(fake_cluster.client()).show_once(streams) == 1
    shown = fake_cluster.objects[f"{QUOTAS}/objects/status"]["status"]["used"]
    assert shown == {"count/imagestreams.image.alauda.io": "1"}


def test_limits_that_nobody_can_tell_are_no_reason_to_let_everything_pass(fake_cluster: FakeCluster) -> None:
    fake_cluster.failures = [503] * 20
    with pytest.raises(LimitsUnknown, match="limits of namespace team"):
        ClusterLimits(fake_cluster.client())("team")


def test_a_raised_quota_acts_when_the_cluster_tells_of_it(
    fake_cluster: FakeCluster, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_limits, "INTERVAL", 0.05)
    hard(fake_cluster, imagestreams="1")
    fake_cluster.put("/api/v1/namespaces/team/limitranges", {"items": []})
    fake_cluster.watched |= {"/api/v1/resourcequotas", "/api/v1/limitranges"}
    given = ClusterLimits(fake_cluster.client())
    streams = ImageStreams(database, internal_hostname="registry:5000", limits=given)
    given.start(streams)
    until(lambda: len(fake_cluster._watchers) == 2)
    push(streams, "one")
    hard(fake_cluster, imagestreams="2")
    fake_cluster.tell("/api/v1/resourcequotas", "MODIFIED", "team", "objects")

    def raised() -> bool:
        return given("team")[0].maximum == 2

    until(raised)
    push(streams, "two")
