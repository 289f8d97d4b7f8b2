"""What is done about the release follows from the specification and from what Helm recorded, and from nothing else."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from image_registry.kube.release_record import Release, read
from image_registry.operator import config_values
from image_registry.operator.apply_problems import problem_of
from image_registry.operator.helm import failure
from image_registry.operator.release_plan import deletes_storage, left_place, plan

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
PVC: dict[str, Any] = {"managementState": "Managed", "storage": {"pvc": {}}}
S3: dict[str, Any] = {"managementState": "Managed", "storage": {"s3": {"bucket": "images"}}}
BASE = {"global": {"operator": {"chart": "sha256:1"}}}


def release(spec: dict[str, Any], status: str = "deployed", revision: int = 1, age: int = 3600) -> Release:
    written = NOW - timedelta(seconds=age)
    values = config_values.values(spec, BASE)
    return Release(f"sh.helm.release.v1.image-registry.v{revision}", revision, status, values, "", "2.0", written)


def test_nothing_is_installed_until_it_is_wanted() -> None:
    assert plan({}, None, BASE, (), NOW).action == "rest"
    assert plan({"managementState": "Removed"}, None, BASE, (), NOW).action == "rest"
    found = plan(PVC, None, BASE, (), NOW)
    assert (found.action, found.why) == ("apply", "there is no registry yet")
    assert found.values["global"] == BASE["global"]


def test_what_is_applied_already_is_left_alone() -> None:
    assert plan(PVC, release(PVC), BASE, (), NOW).action == "rest"
    assert (
        plan(
            {**PVC, "managementState": "Removed"}, release({**PVC, "managementState": "Removed"}), BASE, (), NOW
        ).action
        == "rest"
    )


@pytest.mark.parametrize("status", ["deployed", "failed", "pending-upgrade"])
def test_an_unmanaged_registry_is_left_alone_whatever_there_is(status: str) -> None:
    assert (
        plan({**PVC, "managementState": "Unmanaged"}, release(S3, status), BASE, ("Service x",), NOW).action == "rest"
    )


@pytest.mark.parametrize("status", ["deployed", "failed", "pending-upgrade"])
@pytest.mark.parametrize("state", ["Removed", "Unmanaged", "Managed"])
def test_storage_is_deleted_only_while_that_is_still_wanted_and_helm_is_done(state: str, status: str) -> None:
    managed = {"storage": {"managementState": "Managed", "pvc": {"size": "1Gi"}}}
    removed, spec = {**managed, "managementState": "Removed"}, {**managed, "managementState": state}
    values = config_values.values(removed, BASE, None, delete_storage=True)
    found = dataclasses.replace(release(removed, status), values=values)
    decided = deletes_storage(plan(spec, found, BASE, (), NOW, owned=True), spec, found)
    assert decided is ((state, status) == ("Removed", "deployed"))


def test_helm_itself_deletes_no_claim_of_a_registry_that_is_removed_with_its_storage() -> None:
    managed = {"storage": {"managementState": "Managed", "pvc": {"size": "1Gi"}}}
    before = release({**managed, "managementState": "Managed"})
    found = plan({**managed, "managementState": "Removed"}, before, BASE, (), NOW, owned=True)
    assert (found.values["deleteStorage"], found.keep_claim) == (True, config_values.CLAIM)


def test_a_change_says_what_changes() -> None:
    found = plan({**PVC, "replicas": 0, "readOnly": True}, release(PVC), BASE, (), NOW)
    assert (found.action, found.why) == ("apply", "changed: config.readOnly, config.replicas")


def test_another_chart_is_a_change() -> None:
    assert plan(PVC, release(PVC), {"global": {"operator": {"chart": "sha256:2"}}}, (), NOW).action == "apply"


def test_drift_is_repaired_and_named() -> None:
    found = plan(PVC, release(PVC), BASE, ("Service image-registry",), NOW)
    assert (found.action, found.why) == ("apply", "somebody changed or deleted Service image-registry")


def test_a_failed_revision_is_tried_again() -> None:
    assert plan(PVC, release(PVC, "failed", 3), BASE, (), NOW).why == "revision 3 is failed"


@pytest.mark.parametrize("status", ["pending-install", "pending-upgrade", "pending-rollback"])
def test_a_pending_revision_is_healed_when_it_was_left_behind(status: str) -> None:
    assert plan(PVC, release(PVC, status, age=5), BASE, (), NOW).action == "wait"
    assert plan(PVC, release(PVC, status, age=60), BASE, (), NOW).action == "heal"


def test_an_upgrade_that_runs_is_waited_for_and_ended_when_it_is_not_wanted_any_more() -> None:
    running, pending = config_values.values(PVC, BASE), release(PVC, "pending-upgrade", age=300)
    assert plan(PVC, pending, BASE, (), NOW, running).action == "wait", "it is ours, so it was not left behind"
    assert plan({**PVC, "replicas": 0}, pending, BASE, (), NOW, running).action == "stop"
    assert plan({**PVC, "managementState": "Unmanaged"}, pending, BASE, (), NOW, running).action == "stop"
    removed = config_values.values({}, BASE, running["config"])
    assert plan({}, pending, BASE, (), NOW, removed).action == "wait"


def test_a_change_of_the_storage_says_so_and_keeps_the_charts_claim() -> None:
    found = plan(S3, release(PVC), BASE, (), NOW)
    assert found.moved_from == "claim image-registry-storage"
    assert found.keep_claim == "image-registry-storage"
    other = plan(
        {**PVC, "storage": {"pvc": {"claim": "b"}}}, release({**PVC, "storage": {"pvc": {"claim": "a"}}}), BASE, (), NOW
    )
    assert (other.moved_from, other.keep_claim) == ("claim a", ""), "a claim that somebody made is none of Helm's"
    assert plan({**PVC, "replicas": 0}, release(PVC), BASE, (), NOW).moved_from == ""


def test_the_place_that_images_were_left_in_is_known_from_helms_history() -> None:
    assert left_place([]) == ""
    assert left_place([release(PVC)]) == ""
    assert (
        left_place([release(S3, revision=3), release(S3, revision=2), release(PVC)]) == "claim image-registry-storage"
    )
    assert left_place([release(PVC, revision=3), release(S3, revision=2), release(PVC)]) == "s3 images"


def test_removing_without_a_storage_changes_nothing_else() -> None:
    found = plan({}, release(S3), BASE, (), NOW)
    assert (found.action, found.why, found.moved_from) == ("apply", "changed: config.managementState", "")


def record(**document: Any) -> dict[str, Any]:
    packed = base64.b64encode(gzip.compress(json.dumps(document).encode()))
    return {"metadata": {"name": "r"}, "data": {"release": base64.b64encode(packed).decode()}}


def test_helms_record_is_read() -> None:
    found = read(
        record(
            version=4,
            info={"status": "pending-upgrade", "last_deployed": "2026-11-21T12:00:00.123456789+01:00"},
            config={"a": 1},
            manifest="---\nkind: Service\n---\n# nothing\n",
            chart={"metadata": {"appVersion": "2.0.0"}},
        )
    )
    assert found is not None
    assert (found.revision, found.app_version, found.pending, dict(found.values)) == (4, "2.0.0", True, {"a": 1})
    assert found.written == datetime(2026, 11, 21, 11, 0, tzinfo=UTC)
    assert found.objects() == [{"kind": "Service"}]


@pytest.mark.parametrize("secret", [{}, {"metadata": {"name": "r"}, "data": {"release": "!"}}, record(version="x")])
def test_what_is_no_record_is_no_revision(secret: dict[str, Any]) -> None:
    assert read(secret) is None


def test_values_are_not_shown() -> None:
    assert "a-secret" not in repr(dataclasses.replace(release(PVC), values={"password": "a-secret"}))


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("WARNING: x\nError: UPGRADE FAILED: pre-upgrade hooks failed: BackoffLimitExceeded\n", "BootstrapFailed"),
        ("Error: execution error at (a/templates/b.yaml:1:4): config.replicas is 2: set it\n", "ConfigurationInvalid"),
        ('Error: UPGRADE FAILED: deployments "x" is forbidden: User "u" cannot patch\n', "PermissionDenied"),
        ("Error: INSTALLATION FAILED: context deadline exceeded\n", "ApplyTimedOut"),
        ("Error: UPGRADE FAILED: something new\n", "ApplyFailed"),
    ],
)
def test_an_error_of_helm_becomes_a_reason_with_a_next_step(said: str, found: str) -> None:
    problem = problem_of(failure(said, 1), "elsewhere")
    assert problem.reason == found
    assert "FAILED" not in problem.message
    assert ":" in problem.message or ";" in problem.message


def test_a_missing_definition_needs_a_person_and_degrades() -> None:
    said = 'Error: UPGRADE FAILED: unable to build objects: no matches for kind "HTTPRoute" in version "v1"\n'
    problem = problem_of(failure(said, 1), "elsewhere")
    assert (problem.reason, problem.passing) == ("DefinitionMissing", False)


def test_a_sentence_of_the_chart_speaks_of_the_specification() -> None:
    outcome = failure("Error: execution error at (a/b.yaml:1:4): config.replicas is 2: set config.replicas to 1", 1)
    assert problem_of(outcome, "elsewhere").message == "spec.replicas is 2: set spec.replicas to 1"


def test_what_says_nothing_is_told_by_its_status() -> None:
    assert failure("", -9).error == "helm ended with status -9"
