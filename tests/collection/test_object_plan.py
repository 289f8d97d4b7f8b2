"""One object, planned by the API server and written once: no change is no write, check mode is an unwritten run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.alauda.registry.plugins.module_utils import _object_plan
from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster, ClusterError

from tests.collection.conftest import FakeCluster
from tests.conftest import status

PLACE = "/api/v1/namespaces/team/configmaps"
PATH = f"{PLACE}/one"
Wish = Callable[[dict[str, Any] | None], dict[str, Any] | None]


@pytest.fixture
def client(cluster: FakeCluster, kubeconfig: Path) -> Cluster:
    cluster.requests.clear()
    return Cluster(str(kubeconfig))


def data(**wanted: str) -> Wish:
    """This data in the object, whatever else is in it."""
    fresh = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}}
    return lambda current: _object_plan.combined(current or fresh, {"data": wanted})


def gone(_current: dict[str, Any] | None) -> None:
    return None


def writes(cluster: FakeCluster) -> list[str]:
    return [method for method, _path in cluster.requests if method != "GET"]


def test_the_plan_of_check_mode_is_what_the_run_does(client: Cluster, cluster: FakeCluster) -> None:
    cluster.put(PATH, {"data": {"a": "1"}})
    checked = _object_plan.settle(client, PATH, data(b="2"), check=True)
    assert cluster.objects[PATH]["data"] == {"a": "1"}
    done = _object_plan.settle(client, PATH, data(b="2"), check=False)
    assert cluster.objects[PATH]["data"] == {"a": "1", "b": "2"}
    assert _object_plan.diff([checked]) == _object_plan.diff([done])
    [entry] = _object_plan.diff([done])
    assert (entry["before"]["data"], entry["after"]["data"]) == ({"a": "1"}, {"a": "1", "b": "2"})
    assert "resourceVersion" not in entry["after"]["metadata"]


def test_what_is_so_already_is_neither_a_change_nor_a_write(client: Cluster, cluster: FakeCluster) -> None:
    cluster.put(PATH, {"data": {"a": "1"}})
    change = _object_plan.settle(client, PATH, data(a="1"), check=False)
    assert not change.changed
    assert not _object_plan.diff([change])
    assert writes(cluster) == []


def test_what_the_server_makes_equal_is_no_change(client: Cluster, cluster: FakeCluster) -> None:
    cluster.put(PATH, {"data": {"size": "2Gi"}})
    original = cluster._object

    def canonical(method: str, path: str, query: dict[str, list[str]], body: dict[str, Any]) -> Any:
        return original(method, path, query, {**body, "data": {"size": "2Gi"}} if method == "PUT" else body)

    cluster._object = canonical  # type: ignore[method-assign]
    assert not _object_plan.settle(client, PATH, data(size="2048Mi"), check=False).changed
    assert len(writes(cluster)) == 1  # the dry run


def test_it_is_made_and_taken_away_once(client: Cluster, cluster: FakeCluster) -> None:
    assert _object_plan.settle(client, PATH, data(a="1"), check=False).before is None
    assert not _object_plan.settle(client, PATH, data(a="1"), check=False).changed
    checked = _object_plan.settle(client, PATH, gone, check=True)
    assert checked.changed
    assert PATH in cluster.objects
    assert _object_plan.settle(client, PATH, gone, check=False).after is None
    assert PATH not in cluster.objects
    assert not _object_plan.settle(client, PATH, gone, check=False).changed


def test_who_wrote_in_between_is_not_overruled_but_read_again(client: Cluster, cluster: FakeCluster) -> None:
    cluster.put(PATH, {"data": {"a": "1"}})
    once = iter([True])

    def race(method: str, path: str) -> None:
        if method == "PUT" and next(once, False):
            cluster.put(path, {"data": {"a": "1", "theirs": "2"}})

    cluster.before = race
    change = _object_plan.settle(client, PATH, data(b="3"), check=False)
    assert change.changed
    assert cluster.objects[PATH]["data"] == {"a": "1", "theirs": "2", "b": "3"}


def test_what_would_be_refused_is_refused_in_check_mode(client: Cluster, cluster: FakeCluster) -> None:
    def answer(*_: object) -> tuple[int, dict[str, Any]]:
        return status(403, "exceeded quota: images")

    original = cluster._object
    cluster._object = lambda method, *rest: answer() if method == "POST" else original(method, *rest)  # type: ignore[method-assign]
    with pytest.raises(ClusterError, match="exceeded quota"):
        _object_plan.settle(client, PATH, data(a="1"), check=True)


def test_a_namespace_that_an_earlier_task_would_make_is_no_failure_of_check_mode(
    client: Cluster, cluster: FakeCluster
) -> None:
    original = cluster._object
    missing = status(404, 'namespaces "team" not found', "NotFound")
    cluster._object = lambda method, *rest: missing if method == "POST" else original(method, *rest)  # type: ignore[method-assign]
    assert _object_plan.settle(client, PATH, data(a="1"), check=True).changed
    with pytest.raises(ClusterError, match="not found"):
        _object_plan.settle(client, PATH, data(a="1"), check=False)


def test_members_are_combined_and_null_takes_one_away() -> None:
    base = {"a": {"x": 1, "y": [1]}, "b": 2}
    assert _object_plan.combined(base, {"a": {"y": [2], "x": None}, "c": 3}) == {"a": {"y": [2]}, "b": 2, "c": 3}
    assert base["b"] == 2
