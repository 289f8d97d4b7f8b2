"""By whom this registry is installed in a migration: never by two who write the same release."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from image_registry.kube.client import ClusterClient
from image_registry.migration.config_settings import looked_after
from image_registry.migration.execution import Refused
from image_registry.migration.journal import Journal, State
from image_registry.migration.opening import begun_by, chosen_way
from image_registry.migration.phases import Action, Phase
from tests.app.migration.test_execution import plan_of, step

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
        ("", "", "", "", "operator"),
        ("", "chart", "", "", "helm"),
        ("", "chart", THERE, "", "operator"),
        ("operator", "chart", "", "", "operator"),
        ("helm", "chart", "", "", "helm"),
        ("helm", "chart", THERE, "helm", "helm"),
        ("", "chart", THERE, "helm", "helm"),
        ("", "chart", "", "operator", "operator"),
    ],
)
def test_the_operator_goes_first_and_what_was_begun_goes_on(
    method: str, chart: str, operator: str, begun: str, way: str
) -> None:
    assert chosen_way(method, chart, operator, begun=begun) == way


@pytest.mark.parametrize(
    ("method", "chart", "operator", "begun", "said"),
    [
        ("helm", "chart", THERE, "", "an operator looks after this registry"),
        ("helm", "", "", "", "needs the chart"),
        ("", "", THERE, "helm", "needs the chart"),
        ("helm", "chart", "", "operator", "was begun by operator, and goes on and back by it"),
        ("olm", "chart", "", "", "'olm' is no way to install"),
    ],
)
def test_helm_is_refused_beside_an_operator_and_nobody_goes_on_for_another(
    method: str, chart: str, operator: str, begun: str, said: str
) -> None:
    with pytest.raises(Refused, match=said):
        chosen_way(method, chart, operator, begun=begun)


def test_the_journal_says_by_whom_a_migration_was_begun(tmp_path: Path) -> None:
    install = step("install", Phase.PREPARE, Action.INSTALL, "it is removed")
    plan = plan_of((install,))
    journal = Journal(tmp_path / "journal", plan)
    assert begun_by(plan, journal) == ""
    journal.write(install, State.BEGUN, saved={"keeper": "helm", "absent": True})
    assert begun_by(plan, Journal(tmp_path / "journal", plan)) == "helm"
    journal.write(install, State.UNDONE)
    assert begun_by(plan, Journal(tmp_path / "journal", plan)) == ""
