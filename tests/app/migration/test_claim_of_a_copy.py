"""What a copy goes to: values that chart and operator take, however many replicas there were."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from image_registry.migration.case import Case
from image_registry.migration.choices import Way
from image_registry.migration.findings import Severity
from image_registry.migration.phases import Action, Phase
from image_registry.migration.plan import Plan
from image_registry.migration.planning import plan
from image_registry_lab.places import Places, cache
from tests.app.migration.conftest import LegacyCluster
from tests.app.migration.test_plans import EVERYTHING, changed, rules

CHART = Path(__file__).resolve().parents[3] / "charts" / "image-registry"
DATABASE: dict[str, Any] = {"config": {"metadata": {"postgresql": {"managed": {}}}}}


def three(cluster: LegacyCluster) -> None:
    """As a console installs it."""
    for document in cluster.documents.values():
        if document["kind"] in ("ClusterPluginInstance", "ModuleInfo"):
            document["spec"]["config"]["global"]["replicas"] = 3


def copied(folder: Path, **choices: Any) -> Case:
    wanted = {"accepted": EVERYTHING, "way": Way.COPY, "claim_size": 1 << 40, **choices}
    return changed("4.2-pvc", three, folder, **wanted)


def rendered(made: Plan, home: Path) -> str:
    """By the chart's own schema and checks; why not, if it refuses."""
    [install] = [step for step in made.phase(Phase.PREPARE) if step.action is Action.INSTALL]
    values = {"config": {**install.parameters["values"], **DATABASE["config"]}}
    places = [os.environ.get("HELM"), Places(cache()).program("helm"), shutil.which("helm")]
    helm = next((place for place in places if place and os.access(place, os.X_OK)), None)
    if helm is None:
        pytest.skip("there is no helm: make tools")
    command = [helm, "template", "image-registry", str(CHART), "--kube-version=1.37", "--values=-"]
    done = subprocess.run(
        command, input=json.dumps(values), capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(home)}, timeout=60,
    )  # fmt: skip
    return done.stderr if done.returncode else ""


def test_a_copy_of_three_replicas_has_one_says_so_and_is_taken_by_the_chart(tmp_path: Path) -> None:
    made = plan(copied(tmp_path))
    assert made.ready, [finding.id for finding in made.blockers]
    assert made.values["replicas"] == 1
    [gap] = [gap for gap in made.gaps if gap.startswith("global.replicas (3)")]
    assert "--claim-access-mode ReadWriteMany" in gap
    assert rendered(made, tmp_path) == ""


def test_a_copy_to_a_claim_of_many_nodes_keeps_three_replicas(tmp_path: Path) -> None:
    made = plan(copied(tmp_path, claim_access_mode="ReadWriteMany", claim_class="nfs"))
    assert made.ready, [finding.id for finding in made.blockers]
    assert made.values["replicas"] == 3
    claim = {"size": "1024Gi", "storageClassName": "nfs", "accessMode": "ReadWriteMany"}
    assert made.values["storage"] == {"pvc": claim}
    assert not [gap for gap in made.gaps if gap.startswith("global.replicas")]
    assert rendered(made, tmp_path) == ""


def test_the_chart_refuses_what_the_plan_had_before(tmp_path: Path) -> None:
    """Else the two tests above could not fail."""
    made = plan(copied(tmp_path))
    [install] = [step for step in made.phase(Phase.PREPARE) if step.action is Action.INSTALL]
    wrong = {**install.parameters, "values": {**install.parameters["values"], "replicas": 3}}
    steps = tuple(replace(step, parameters=wrong) if step is install else step for step in made.steps)
    assert "config.replicas is 3" in rendered(replace(made, steps=steps), tmp_path)


def test_a_class_that_the_cluster_does_not_have_blocks(tmp_path: Path) -> None:
    case = copied(tmp_path, claim_class="fast")
    known = replace(case.inventory.target, storage_classes=("nfs", "slow"))
    case.inventory = replace(case.inventory, target=known)
    assert "claim-class" in rules(case, Severity.BLOCKING)
    case.choices = replace(case.choices, claim_class="slow")
    assert "claim-class" not in rules(case)


def test_a_registry_with_a_bucket_gets_the_copy_there(tmp_path: Path) -> None:
    case = copied(tmp_path)
    case.inventory = replace(case.inventory, target=replace(case.inventory.target, storage="s3"))
    made = plan(case)
    assert made.ready, [finding.id for finding in made.blockers]
    assert "storage" not in made.values
    assert made.values["replicas"] == 3, "Pods share a bucket"
    assert "space-unknown" not in rules(case)
