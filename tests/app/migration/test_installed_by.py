"""By whom this registry is installed in a migration: never by two who write the same release."""

from __future__ import annotations

from typing import Any, cast

import pytest

from image_registry.kube.client import ClusterClient
from image_registry.migration.config_settings import looked_after
from image_registry.migration.execution import Refused
from image_registry.migration.opening import chosen_way

CONFIG = "/apis/imageregistry.operator.alauda.io/v1/configs/cluster"
DEPLOYMENT = "/apis/apps/v1/namespaces/here/deployments/cluster-image-registry-operator"
THERE = "there is the Deployment here/cluster-image-registry-operator"


class FakeClient:
    """A named fake of a cluster: some objects by path."""

    def __init__(self, objects: dict[str, Any]) -> None:
        self.find = objects.get


@pytest.mark.parametrize(
    ("objects", "said"),
    [
        ({}, ""),
        ({CONFIG: {"spec": {"managementState": "Managed"}}}, "managementState of Config/cluster is Managed"),
        ({CONFIG: {"spec": {}}}, "managementState of Config/cluster is unset, which counts as Removed"),
        ({CONFIG: {"spec": {"managementState": "Unmanaged"}}}, ""),
        ({CONFIG: {"spec": {"managementState": "Unmanaged"}}, DEPLOYMENT: {}}, THERE),
        ({DEPLOYMENT: {}}, THERE),
    ],
)
def test_an_operator_is_seen_by_its_object_and_by_itself(objects: dict[str, Any], said: str) -> None:
    assert looked_after(cast("ClusterClient", FakeClient(objects)), "here") == said


@pytest.mark.parametrize(
    ("method", "chart", "operator", "begun", "way"),
    [
        ("", "", "", False, "operator"),
        ("", "chart", "", False, "helm"),
        ("", "chart", THERE, False, "operator"),
        ("operator", "chart", "", False, "operator"),
        ("helm", "chart", "", False, "helm"),
        ("helm", "chart", THERE, True, "helm"),
        ("", "chart", THERE, True, "operator"),
    ],
)
def test_the_operator_goes_first_and_what_was_begun_goes_on(
    method: str, chart: str, operator: str, begun: bool, way: str
) -> None:
    assert chosen_way(method, chart, operator, begun=begun) == way


@pytest.mark.parametrize(
    ("method", "chart", "operator", "said"),
    [
        ("helm", "chart", THERE, "an operator looks after this registry"),
        ("helm", "", "", "needs the chart"),
        ("olm", "chart", "", "'olm' is no way to install"),
    ],
)
def test_helm_is_refused_beside_an_operator(method: str, chart: str, operator: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        chosen_way(method, chart, operator, begun=False)
