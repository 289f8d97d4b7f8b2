"""The pruner of this registry deletes after a migration only if something deleted on a schedule before it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from image_registry.migration.assess import assess
from image_registry.migration.facts import CleanupFact, ObjectName
from image_registry.migration.phases import Phase
from image_registry.migration.planning import plan
from image_registry.migration.pruner_conversion import convert_cleanups
from tests.app.migration.test_plans import changed

Document = dict[str, Any]
PRUNE = ("ac", "adm", "prune", "images")


def _cron(cluster: Any) -> Document:
    found: list[Document] = [
        document for document in cluster.documents.values() if document["metadata"]["name"] == "ac-prune-images-cronjob"
    ]
    return found[0]


def _arguments(cluster: Any) -> list[str]:
    arguments: list[str] = _cron(cluster)["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["args"]
    return arguments


def _suspended(cluster: Any) -> None:
    _cron(cluster)["spec"]["suspend"] = True


def _script(cluster: Any) -> None:
    pod = _cron(cluster)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    _cron(cluster)["metadata"].pop("labels", None)
    pod["containers"][0].update(image="registry.example.com/alauda/ac:v1", command=["sh", "/scripts/clean.sh"], args=[])


def _reading(cluster: Any) -> None:
    _script(cluster)
    pod = _cron(cluster)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    pod["containers"][0].update(command=["/usr/bin/ac"], args=["adm", "top", "images"])


def _before_the_others(cluster: Any) -> None:
    pod = _cron(cluster)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    pod["initContainers"], pod["containers"] = pod["containers"], [{"name": "done", "image": "busybox"}]


def _trial(cluster: Any) -> None:
    _arguments(cluster).remove("--confirm")


def _denied(cluster: Any) -> None:
    _arguments(cluster)[-1] = "--confirm=false"


def _gone(cluster: Any) -> None:
    cluster.drop("CronJob", "ac-prune-images-cronjob")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_suspended, "CronJob cpaas-system/ac-prune-images-cronjob was suspended"),
        (_trial, "had no --confirm"),
        (_denied, "had no --confirm"),
        (_script, "nobody has read what CronJob cpaas-system/ac-prune-images-cronjob does"),
        (_gone, "no CronJob pruned the registry before"),
    ],
)
def test_nothing_deletes_after_a_migration_that_did_not_before(
    change: Callable[[Any], None], why: str, tmp_path: Path
) -> None:
    case = changed("4.2-pvc", change, tmp_path)
    found = plan(case)
    assert found.pruner["suspend"] is True
    assert [step.parameters["pruner"] for step in found.phase(Phase.FINALIZE) if "pruner" in step.parameters] == []
    [told] = [finding for finding in assess(case) if finding.rule == "pruner-suspended"]
    assert why in told.cause


@pytest.mark.parametrize("change", [_script, _before_the_others])
def test_a_job_is_stopped_for_its_program_wherever_its_commands_stand(
    change: Callable[[Any], None], tmp_path: Path
) -> None:
    case = changed("4.2-pvc", change, tmp_path)
    name = "CronJob cpaas-system/ac-prune-images-cronjob"
    assert {f"freeze/{name}", "freeze/jobs"} <= {step.id for step in plan(case).phase(Phase.FREEZE)}
    told = [finding.object for finding in assess(case) if finding.rule == "cleanup-unread"]
    assert [str(each) for each in told] == ([name] if change is _script else [])


def test_a_job_of_that_program_that_only_reads_is_left_alone(tmp_path: Path) -> None:
    case = changed("4.2-pvc", _reading, tmp_path)
    assert not [step.id for step in plan(case).phase(Phase.FREEZE) if "CronJob" in step.id]
    assert "cleanup-unread" not in {finding.rule for finding in assess(case)}


def test_what_stands_on_nodes_is_named_as_nobody_s_work(tmp_path: Path) -> None:
    [told] = [each for each in assess(changed("4.2-pvc", lambda _cluster: None, tmp_path)) if each.rule == "node-names"]
    assert "/etc/hosts" in told.cause
    assert "after finalize" in told.action


def test_a_schedule_that_deleted_goes_on_when_the_migration_is_over(tmp_path: Path) -> None:
    case = changed("4.2-pvc", lambda _cluster: None, tmp_path)
    steps = plan(case).phase(Phase.FINALIZE)
    assert [step.parameters["pruner"] for step in steps if "pruner" in step.parameters] == [{"suspend": False}]
    assert "pruner-suspended" not in {finding.rule for finding in assess(case)}


def test_of_several_jobs_the_one_that_deleted_gives_the_schedule() -> None:
    def job(name: str, *flags: str, suspended: bool = False) -> CleanupFact:
        return CleanupFact(
            ObjectName("CronJob", name, "ops", "batch/v1"), f"0 {len(name)} * * *", suspended, PRUNE + flags
        )

    found = convert_cleanups([job("trial"), job("off", "--confirm", suspended=True), job("deletes", "--confirm=true")])
    assert (found.values["schedule"], found.deletes, found.values["suspend"]) == ("0 7 * * *", True, True)
    assert len(found.problems) == 2
    by_hand = CleanupFact(ObjectName("Job", "once", "ops", "batch/v1"), "", arguments=(*PRUNE, "--confirm"))
    assert not convert_cleanups([by_hand]).deletes, "a Job was no schedule"
