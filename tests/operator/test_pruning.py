"""ImagePruner with the real Helm and a real kube-apiserver: the CronJob follows it, its status tells of its Jobs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from image_registry.kube.client import object_path
from image_registry.kube.errors import KubeError
from image_registry.kube.own_access import Right, missing
from image_registry.operator.helm import Helm
from image_registry.operator.operand import CONFIG, Operand
from image_registry.operator.operator_events import Events
from image_registry.operator.operator_metrics import OperatorMetrics
from image_registry.operator.pruner import PRUNER, Pruner
from image_registry.operator.pruner_metrics import PrunerMetrics
from image_registry.operator.pruner_status import CRON_JOB
from image_registry.operator.reconciler import Reconciler
from image_registry.operator.secret_plan import SECRETS
from image_registry.pruning.gathering import check_rights
from image_registry.pruning.rules import Rules
from tests.operator.conftest import NAMESPACE, ROOT, ApiServer, program, uninstall
from tests.operator.hands import Hands
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
def cluster(
    apiserver: ApiServer, operator: ApiServer, configs: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pruned]:
    """A registry that the operator looks after, for all tests of this file in their order."""
    client = apiserver.client
    for name in SECRETS:  # the hook Jobs are done without doing anything
        with contextlib.suppress(KubeError):
            client.create(object_path("v1", "secrets", namespace=NAMESPACE), {"metadata": {"name": name}})
    home = tmp_path_factory.mktemp("helm")
    helm = Helm(program("helm"), ROOT / "charts/image-registry", NAMESPACE, home, operator.kubeconfig)
    events, metrics = Events(operator.client), OperatorMetrics()
    pruner = Pruner(operator.client, NAMESPACE, events, PrunerMetrics(metrics.registry))
    reconciler = Reconciler(Operand(operator.client, NAMESPACE), helm, events, metrics, {}, pruner)
    body = {"apiVersion": "imageregistry.operator.alauda.io/v1", "kind": "Config", "metadata": {"name": "cluster"}}
    client.create(configs, {**body, "spec": SMALL})
    with Hands(client, NAMESPACE) as hands:
        yield Pruned(client, reconciler, hands)
        reconciler.stop()
    client.delete(CONFIG)
    client.delete(PRUNER)
    uninstall(apiserver, home)


def test_images_are_pruned_from_the_first_day_and_the_object_says_how(cluster: Pruned) -> None:
    cluster.settle()
    pruner = cluster.pruner()
    assert pruner["spec"]["schedule"] == "0 0 * * *"
    assert cluster.pruner_said() == {
        "Available": "True AsExpected",
        "Scheduled": "True Scheduled",
        "Failed": "False NeverRun",
        "Degraded": "False AsExpected",
    }
    assert pruner["status"]["schedule"] == "0 0 * * *"
    assert cluster.number("install_status") == 2


def test_its_account_has_every_right_that_both_steps_ask_for(
    cluster: Pruned, apiserver: ApiServer, tmp_path: Path
) -> None:
    cluster.settle()
    account = apiserver.as_account(tmp_path, "pruner", NAMESPACE).client
    check_rights(account, Rules(now=0), [], confirm=True, local_usage=False)
    upkeep = [Right(verb, "image.alauda.io", "registry", "upkeep") for verb in ("create", "get")]
    assert missing(account, upkeep) == []
    assert account.get(CONFIG)["spec"]["managementState"] == "Managed"
    with pytest.raises(KubeError):
        account.get(cluster.path("v1", "secrets"))


def test_the_cron_job_follows_the_object_which_is_never_written(cluster: Pruned) -> None:
    cluster.client.merge(PRUNER, {"spec": {"schedule": "@weekly", "suspend": True, "exclude": ["^base/"]}})
    before = cluster.pruner()
    cluster.until(lambda: cluster.cron_job()["spec"]["suspend"], "suspended")
    cluster.until(lambda: cluster.pruner_said()["Scheduled"] == "False Suspended", "told")
    spec = cluster.cron_job()["spec"]
    assert spec["schedule"] == "@weekly"
    assert "--whitelist=^base/" in cluster.arguments()
    after = cluster.pruner()
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert after["status"]["observedGeneration"] == after["metadata"]["generation"]
    assert after["status"]["schedule"] == ""
    assert cluster.number("install_status") == 1
    cluster.client.merge(PRUNER, {"spec": {"schedule": "30 2 * * 6", "suspend": False}})
    cluster.until(lambda: cluster.pruner()["status"]["schedule"] == "30 2 * * 6", "scheduled again")


def test_a_cron_job_that_is_edited_or_deleted_comes_back(cluster: Pruned) -> None:
    cluster.settle()
    path = cluster.path("batch/v1", "cronjobs", CRON_JOB)
    cluster.client.merge(path, {"spec": {"schedule": "* * * * *"}})
    cluster.reconciler._compared = None
    cluster.until(lambda: cluster.cron_job()["spec"]["schedule"] == "30 2 * * 6", "repaired")
    cluster.client.delete(path)
    cluster.reconciler._compared = None
    cluster.until(lambda: cluster.client.find(path) is not None, "made again")


def test_an_expression_that_cannot_be_read_changes_nothing_and_is_told(cluster: Pruned) -> None:
    cluster.client.merge(PRUNER, {"spec": {"exclude": ["("], "keepTagRevisions": 0}})
    cluster.until(lambda: cluster.pruner_said()["Degraded"] == "True SpecInvalid", "told")
    told = next(item["message"] for item in cluster.pruner()["status"]["conditions"] if item["type"] == "Degraded")
    assert "correct spec.exclude" in told
    assert "--whitelist=^base/" in cluster.arguments()
    assert "--keep-tag-revisions=3" in cluster.arguments()
    assert cluster.said()["Degraded"] == "False AsExpected", "pulls and pushes go on"
    cluster.client.merge(PRUNER, {"spec": {"exclude": None, "keepTagRevisions": 3}})
    cluster.until(lambda: cluster.pruner_said()["Degraded"] == "False AsExpected", "well again")


@pytest.mark.parametrize("broken", [False, True])
def test_what_the_last_job_did_is_in_the_status(cluster: Pruned, *, broken: bool) -> None:
    cluster.settle()
    name = f"by-hand-{str(broken).lower()}"
    template = cluster.cron_job()["spec"]["jobTemplate"]
    metadata = {"name": name, "labels": template["metadata"]["labels"]}
    cluster.hands.broken = broken
    body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]}
    cluster.client.create(cluster.path("batch/v1", "jobs"), body)
    wanted = "Failed" if broken else "Complete"

    def told() -> bool:
        run = (cluster.pruner().get("status") or {}).get("lastRun") or {}
        return (run.get("job"), run.get("state")) == (name, wanted)

    cluster.until(told, "told")
    cluster.hands.broken = False
    said = cluster.pruner_said()
    assert said["Failed"] == ("True BackoffLimitExceeded" if broken else "False Complete")
    assert said["Degraded"] == ("True JobFailed" if broken else "False AsExpected")
    assert "lastSuccessfulTime" in cluster.pruner()["status"]
    assert cluster.number("last_run_failed") == int(broken)
    assert cluster.number("runs_total", outcome="failure" if broken else "success") == 1
    assert cluster.said()["Degraded"] == "False AsExpected"
    assert ("PruneFailed" if broken else "Pruned") in cluster.events()
    time.sleep(1.1)  # what was made last is found by seconds


def test_a_removed_registry_keeps_its_cron_job_which_collects_nothing(cluster: Pruned) -> None:
    cluster.change(managementState="Removed")
    cluster.settle()
    assert "--collect-garbage=false" in cluster.arguments()
    cluster.change(managementState="Unmanaged")
    cluster.until(lambda: cluster.pruner_said()["Available"] == "True Unmanaged", "told")
    cluster.change(managementState="Managed")
    cluster.settle()


def test_a_deleted_object_is_made_anew_with_what_is_in_force(cluster: Pruned) -> None:
    cluster.client.merge(PRUNER, {"spec": {"suspend": True, "keepTagRevisions": 7}})
    cluster.settle()
    cluster.until(lambda: cluster.cron_job()["spec"]["suspend"], "suspended")
    cluster.client.delete(PRUNER)
    cluster.reconciler.turn()
    assert cluster.pruner()["spec"]["suspend"] is True
    assert cluster.pruner()["spec"]["keepTagRevisions"] == 7
    cluster.settle()
    assert cluster.cron_job()["spec"]["suspend"] is True
