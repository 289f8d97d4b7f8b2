"""ImagePruner with the real Helm and a real kube-apiserver: the CronJob follows it, its status tells of its Jobs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from image_registry.kube.errors import KubeError
from image_registry.kube.own_access import Right, missing
from image_registry.operator.operand import CONFIG
from image_registry.operator.pruner import PRUNER
from image_registry.operator.pruner_status import CRON_JOB
from image_registry.pruning.gathering import check_rights
from image_registry.pruning.rules import Rules
from tests.operator.conftest import NAMESPACE, ApiServer
from tests.operator.reconciled import Cluster

SMALL = {"managementState": "Managed", "storage": {"emptyDir": {}}}


class Pruned(Cluster):
    """With a look at what this file is about."""

    def pruner(self) -> dict[str, Any]:
        return self.client.get(PRUNER)

    def pruner_said(self) -> dict[str, str]:
        found = self.pruner().get("status", {}).get("conditions", [])
        return {item["type"]: f"{item['status']} {item['reason']}" for item in found}

    def cron_job(self) -> dict[str, Any]:
        return self.client.get(self.path("batch/v1", "cronjobs", CRON_JOB))

    def arguments(self) -> list[str]:
        (container,) = self.cron_job()["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        found: list[str] = container["args"]
        return found

    def number(self, name: str, **labels: str) -> float:
        found = self.reconciler.metrics.registry.get_sample_value(
            f"image_registry_operator_image_pruner_{name}", labels
        )
        return found or 0.0


@pytest.fixture(scope="module")
def pruned(cluster: Cluster) -> Pruned:
    """The registry of this file, for all its tests in their order."""
    cluster.change(**SMALL)
    return Pruned(cluster.client, cluster.reconciler, cluster.hands)


def test_images_are_pruned_from_the_first_day_and_the_object_says_how(pruned: Pruned) -> None:
    pruned.settle()
    pruner = pruned.pruner()
    assert pruner["spec"]["schedule"] == "0 0 * * *"
    assert pruned.pruner_said() == {
        "Available": "True AsExpected",
        "Scheduled": "True Scheduled",
        "Failed": "False NeverRun",
        "Degraded": "False AsExpected",
    }
    assert pruner["status"]["schedule"] == "0 0 * * *"
    assert pruned.number("install_status") == 2


def test_its_account_has_every_right_that_both_steps_ask_for(
    pruned: Pruned, apiserver: ApiServer, tmp_path: Path
) -> None:
    pruned.settle()
    account = apiserver.as_account(tmp_path, "pruner", NAMESPACE).client
    check_rights(account, Rules(now=0), [], confirm=True, local_usage=False)
    upkeep = [Right(verb, "image.alauda.io", "registry", "upkeep") for verb in ("create", "get")]
    assert missing(account, upkeep) == []
    assert account.get(CONFIG)["spec"]["managementState"] == "Managed"
    with pytest.raises(KubeError):
        account.get(pruned.path("v1", "secrets"))


def test_the_cron_job_follows_the_object_which_is_never_written(pruned: Pruned) -> None:
    pruned.client.merge(PRUNER, {"spec": {"schedule": "@weekly", "suspend": True, "exclude": ["^base/"]}})
    before = pruned.pruner()
    pruned.until(lambda: pruned.cron_job()["spec"]["suspend"], "suspended")
    pruned.until(lambda: pruned.pruner_said()["Scheduled"] == "False Suspended", "told")
    spec = pruned.cron_job()["spec"]
    assert spec["schedule"] == "@weekly"
    assert "--whitelist=^base/" in pruned.arguments()
    after = pruned.pruner()
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert after["status"]["observedGeneration"] == after["metadata"]["generation"]
    assert after["status"]["schedule"] == ""
    assert pruned.number("install_status") == 1
    pruned.client.merge(PRUNER, {"spec": {"schedule": "30 2 * * 6", "suspend": False}})
    pruned.until(lambda: pruned.pruner()["status"]["schedule"] == "30 2 * * 6", "scheduled again")


def test_a_cron_job_that_is_edited_or_deleted_comes_back(pruned: Pruned) -> None:
    pruned.settle()
    path = pruned.path("batch/v1", "cronjobs", CRON_JOB)
    pruned.client.merge(path, {"spec": {"schedule": "* * * * *"}})
    pruned.reconciler._compared = None
    pruned.until(lambda: pruned.cron_job()["spec"]["schedule"] == "30 2 * * 6", "repaired")
    pruned.client.delete(path)
    pruned.reconciler._compared = None
    pruned.until(lambda: pruned.client.find(path) is not None, "made again")


def test_an_expression_that_cannot_be_read_changes_nothing_and_is_told(pruned: Pruned) -> None:
    pruned.client.merge(PRUNER, {"spec": {"exclude": ["("], "keepTagRevisions": 0}})
    pruned.until(lambda: pruned.pruner_said()["Degraded"] == "True SpecInvalid", "told")
    told = next(item["message"] for item in pruned.pruner()["status"]["conditions"] if item["type"] == "Degraded")
    assert "correct spec.exclude" in told
    assert "--whitelist=^base/" in pruned.arguments()
    assert "--keep-tag-revisions=3" in pruned.arguments()
    assert pruned.said()["Degraded"] == "False AsExpected", "pulls and pushes go on"
    pruned.client.merge(PRUNER, {"spec": {"exclude": None, "keepTagRevisions": 3}})
    pruned.until(lambda: pruned.pruner_said()["Degraded"] == "False AsExpected", "well again")


@pytest.mark.parametrize("broken", [False, True])
def test_what_the_last_job_did_is_in_the_status(pruned: Pruned, *, broken: bool) -> None:
    pruned.settle()
    name = f"by-hand-{str(broken).lower()}"
    template = pruned.cron_job()["spec"]["jobTemplate"]
    metadata = {"name": name, "labels": template["metadata"]["labels"]}
    pruned.hands.broken = broken
    body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]}
    pruned.client.create(pruned.path("batch/v1", "jobs"), body)
    wanted = "Failed" if broken else "Complete"

    def told() -> bool:
        run = (pruned.pruner().get("status") or {}).get("lastRun") or {}
        return (run.get("job"), run.get("state")) == (name, wanted)

    pruned.until(told, "told")
    pruned.hands.broken = False
    said = pruned.pruner_said()
    assert said["Failed"] == ("True BackoffLimitExceeded" if broken else "False Complete")
    assert said["Degraded"] == ("True JobFailed" if broken else "False AsExpected")
    assert "lastSuccessfulTime" in pruned.pruner()["status"]
    assert pruned.number("last_run_failed") == int(broken)
    assert pruned.number("runs_total", outcome="failure" if broken else "success") == 1
    assert pruned.said()["Degraded"] == "False AsExpected"
    assert ("PruneFailed" if broken else "Pruned") in pruned.events()
    time.sleep(1.1)  # what was made last is found by seconds


def test_a_removed_registry_keeps_its_cron_job_which_collects_nothing(pruned: Pruned) -> None:
    pruned.change(managementState="Removed")
    pruned.settle()
    assert "--collect-garbage=false" in pruned.arguments()
    pruned.change(managementState="Unmanaged")
    pruned.until(lambda: pruned.pruner_said()["Available"] == "True Unmanaged", "told")
    pruned.change(managementState="Managed")
    pruned.settle()


def test_a_deleted_object_is_made_anew_with_what_is_in_force(pruned: Pruned) -> None:
    pruned.client.merge(PRUNER, {"spec": {"suspend": True, "keepTagRevisions": 7}})
    pruned.settle()
    pruned.until(lambda: pruned.cron_job()["spec"]["suspend"], "suspended")
    pruned.client.delete(PRUNER)
    pruned.reconciler.turn()
    assert pruned.pruner()["spec"]["suspend"] is True
    assert pruned.pruner()["spec"]["keepTagRevisions"] == 7
    pruned.settle()
    assert pruned.cron_job()["spec"]["suspend"] is True
