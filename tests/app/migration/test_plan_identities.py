"""Steps, routes and Secrets are told apart by their whole names, so that none is passed over as done."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from image_registry.migration.assess import assess
from image_registry.migration.facts import ObjectName
from image_registry.migration.findings import Severity
from image_registry.migration.phases import Action, Phase
from image_registry.migration.plan import Step
from image_registry.migration.planning import plan
from image_registry.migration.waiting import jobs_at_work
from image_registry_lab.legacy.variants import HOST
from tests.app.migration.conftest import LegacyCluster
from tests.app.migration.test_execution import plan_of
from tests.app.migration.test_plans import changed

Change = Callable[[LegacyCluster], None]


def again(kind: str, /, name: str = "", namespace: str = "", host: str = "") -> Change:
    """Another object of a kind, which differs in what is named here."""

    def change(cluster: LegacyCluster) -> None:
        for document in list(cluster.documents.values()):
            if document["kind"] == kind and document["metadata"]["namespace"] == "cpaas-system":
                other = copy.deepcopy(document)
                other["metadata"] |= {"name": name or document["metadata"]["name"]}
                other["metadata"] |= {"namespace": namespace or document["metadata"]["namespace"]}
                for entry in other["spec"].get("rules", ()):
                    entry["host"] = host
                cluster.put(other)

    return change


def test_jobs_of_one_name_in_two_namespaces_are_both_suspended_and_waited_for(tmp_path: Path) -> None:
    steps = list(plan(changed("4.2-pvc", again("CronJob", namespace="ops"), tmp_path)).phase(Phase.FREEZE))
    suspended = [str(step.object) for step in steps if any(c.pointer == "/spec/suspend" for c in step.changes)]
    names = [f"CronJob {place}/ac-prune-images-cronjob" for place in ("cpaas-system", "ops")]
    assert suspended == names
    assert [step.id for step in steps if step.id == "freeze/jobs" and len(step.parameters["jobs"]) == 2]


def test_a_job_that_was_running_when_its_cron_job_was_suspended_is_at_work() -> None:
    def job(name: str, owner: str, active: int) -> dict[str, Any]:
        owners = [{"apiVersion": "batch/v1", "kind": "CronJob", "name": owner, "uid": "1", "controller": True}]
        metadata = {"name": name, "namespace": "ops", "ownerReferences": owners}
        return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "status": {"active": active}}

    cluster = LegacyCluster([job("prune-1", "prune", 1), job("prune-0", "prune", 0), job("other-1", "other", 1)])
    assert list(jobs_at_work(cluster, [["CronJob", "prune", "ops"]])) == ["Job ops/prune-1 is at work"]
    assert list(jobs_at_work(cluster, [["Job", "other-1", "ops"]])) == ["Job ops/other-1 is at work"]
    assert not list(jobs_at_work(cluster, [["CronJob", "prune", "elsewhere"]]))


def test_two_ingresses_get_two_routes_and_share_one_certificate(tmp_path: Path) -> None:
    case = changed("4.2-pvc", again("Ingress", name="second", host="images.second.test"), tmp_path)
    found = plan(case)
    assert [(r["name"], r["hostname"]) for r in found.values["routes"]] == [
        ("legacy", HOST), ("legacy-1", "images.second.test"),
    ]  # fmt: skip
    removed = [step.id for step in found.phase(Phase.CUTOVER) if step.action is Action.DELETE]
    assert len(removed) == 2
    assert len([step for step in found.steps if step.id.startswith("secret/")]) == 1


def test_one_host_of_two_ingresses_is_one_route(tmp_path: Path) -> None:
    found = plan(changed("4.2-pvc", again("Ingress", name="second", host=HOST), tmp_path))
    assert [route["name"] for route in found.values["routes"]] == ["legacy"]


@pytest.mark.parametrize("host", ["*.second.test", "Second.test", "second.test:8443"])
def test_a_host_that_no_route_can_have_blocks_by_its_name(host: str, tmp_path: Path) -> None:
    case = changed("4.2-pvc", again("Ingress", name="second", host=host), tmp_path)
    found = [finding for finding in assess(case) if finding.rule == "route-host"]
    assert [(finding.id, finding.severity) for finding in found] == [(f"route-host:{host}", Severity.BLOCKING)]
    assert [route["hostname"] for route in plan(case).values["routes"]] == [HOST]


def test_two_steps_of_one_identity_are_no_plan() -> None:
    step = Step("a", Phase.PREPARE, Action.SAVE, "Save", ObjectName("ConfigMap", "a"))
    with pytest.raises(ValueError, match="two steps have the identity a"):
        plan_of([step, step])
