from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from image_registry.kube.errors import ClusterUnreachable
from image_registry.kube.namespaces import Namespaces
from image_registry.kube.remembered import REMEMBERED

if TYPE_CHECKING:
    from tests.conftest import FakeCluster

PATH = "/api/v1/namespaces/"


def test_only_a_namespace_that_stays_takes_new_images(fake_cluster: FakeCluster) -> None:
    fake_cluster.put(PATH + "demo", {"status": {"phase": "Active"}})
    fake_cluster.put(PATH + "ending", {"status": {"phase": "Terminating"}})
    namespaces = Namespaces(fake_cluster.client())
    assert [namespaces.is_active(name) for name in ("demo", "ending", "missing")] == [True, False, False]


def test_an_answer_is_remembered_for_ten_seconds(fake_cluster: FakeCluster) -> None:
    now = [100.0]
    namespaces = Namespaces(fake_cluster.client(), lambda: now[0])
    assert not namespaces.is_active("demo")
    fake_cluster.put(PATH + "demo", {"status": {"phase": "Active"}})
    assert not namespaces.is_active("demo")
    now[0] += REMEMBERED
    assert namespaces.is_active("demo")
    assert len(fake_cluster.requests) == 2


def test_no_answer_is_no_yes(fake_cluster: FakeCluster) -> None:
    namespaces = Namespaces(fake_cluster.client())
    fake_cluster.stop()
    with pytest.raises(ClusterUnreachable):
        namespaces.is_active("demo")
