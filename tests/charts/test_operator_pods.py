"""Several Pods of the operator: not all on one node where that can be, and never all away at once by intent."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

CHART = Path(__file__).resolve().parents[2] / "charts/cluster-image-registry-operator"


@pytest.fixture
def render(helm, tmp_path):
    def objects(**values):
        file = tmp_path / "values.yaml"
        file.write_text(yaml.safe_dump(values))
        return {item["kind"]: item for item in yaml.safe_load_all(helm.template(file, chart=CHART)) if item}

    return objects


def test_a_single_pod_needs_neither_spread_nor_budget(render):
    """A budget for it would hold up whoever empties its node."""
    for replicas in (0, 1):
        objects = render(replicas=replicas)
        assert "PodDisruptionBudget" not in objects
        assert "topologySpreadConstraints" not in objects["Deployment"]["spec"]["template"]["spec"]


def test_several_pods_are_spread_where_that_is_possible_and_go_one_by_one(render):
    objects = render(replicas=2)
    template = objects["Deployment"]["spec"]["template"]
    spread = template["spec"]["topologySpreadConstraints"]
    assert [one["topologyKey"] for one in spread] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    assert {one["whenUnsatisfiable"] for one in spread} == {"ScheduleAnyway"}  # a single node takes both
    for selector in (objects["PodDisruptionBudget"]["spec"]["selector"], *(one["labelSelector"] for one in spread)):
        assert selector == objects["Deployment"]["spec"]["selector"]
    assert objects["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1


def test_who_wants_something_else_gets_it(render):
    own = [{"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}]
    objects = render(replicas=2, topologySpreadConstraints=own, podDisruptionBudget={"enabled": False})
    assert objects["Deployment"]["spec"]["template"]["spec"]["topologySpreadConstraints"] == own
    assert "PodDisruptionBudget" not in objects
    budget = render(replicas=3, podDisruptionBudget={"maxUnavailable": "50%"})["PodDisruptionBudget"]
    assert budget["spec"]["maxUnavailable"] == "50%"
