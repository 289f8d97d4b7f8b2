"""Conditions tell the truth, in one word each, with the next step."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from image_registry.operator.conditions import Condition, Observed, Problem, conditions
from image_registry.operator.config_status import warnings

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SPEC: dict[str, Any] = {"managementState": "Managed", "storage": {"pvc": {}}}
BOUND = {"status": {"phase": "Bound"}}


def deployment(replicas: int = 1, ready: int = 1, **status: Any) -> dict[str, Any]:
    found = {"observedGeneration": 1, "replicas": replicas, "updatedReplicas": replicas, "availableReplicas": ready}
    return {"metadata": {"generation": 1}, "spec": {"replicas": replicas}, "status": {**found, **status}}


READY = {"image-registry": deployment(), "image-api-server": deployment(2, 2)}


def told(spec: dict[str, Any], observed: Observed, earlier: Any = (), now: datetime = NOW) -> dict[str, str]:
    found = conditions(spec, observed, earlier, 7, now)
    for item in found:
        assert re.fullmatch(r"[A-Z][A-Za-z]+", item["reason"]), item
        assert item["message"]
        assert item["observedGeneration"] == 7
    return {item["type"]: f"{item['status']} {item['reason']}" for item in found}


@pytest.mark.parametrize(
    ("spec", "observed", "expected"),
    [
        (
            SPEC,
            Observed(deployments=READY, claim=BOUND),
            ("True Ready", "False Ready", "False AsExpected", "False Managed", "True ClaimBound"),
        ),
        (
            SPEC,
            Observed(deployments={}),
            (
                "False DeploymentNotFound",
                "True WaitingForDeployment",
                "False AsExpected",
                "False Managed",
                "False ClaimNotFound",
            ),
        ),
        (
            SPEC,
            Observed(deployments={}, applying="helm upgrade runs", claim={"status": {"phase": "Pending"}}),
            ("False DeploymentNotFound", "True Applying", "False AsExpected", "False Managed", "False ClaimPending"),
        ),
        (
            SPEC,
            Observed(deployments={**READY, "image-registry": deployment(1, 0)}, claim=BOUND),
            (
                "False NoReplicasAvailable",
                "True DeploymentNotCompleted",
                "False AsExpected",
                "False Managed",
                "True ClaimBound",
            ),
        ),
        (
            SPEC,
            Observed(deployments={**READY, "image-registry": deployment(3, 2)}, claim=BOUND),
            (
                "True MinimumAvailability",
                "True DeploymentNotCompleted",
                "False AsExpected",
                "False Managed",
                "True ClaimBound",
            ),
        ),
        (
            SPEC,
            Observed(deployments=READY, claim=BOUND, image_api="the Image API is not available"),
            ("False ImageApiUnavailable", "False Ready", "False AsExpected", "False Managed", "True ClaimBound"),
        ),
        (
            SPEC,
            Observed(
                deployments=READY,
                claim=BOUND,
                refusing=Condition("Available", "False", "CertificateExpired", "it ended"),
            ),
            ("False CertificateExpired", "False Ready", "False AsExpected", "False Managed", "True ClaimBound"),
        ),
        (
            SPEC,
            Observed(deployments=READY, claim=BOUND, problem=Problem("ConfigurationInvalid", "wrong")),
            ("True Ready", "False Error", "True ConfigurationInvalid", "False Managed", "True ClaimBound"),
        ),
        (
            SPEC,
            Observed(deployments=READY, claim=BOUND, problem=Problem("ApplyTimedOut", "slow", passing=True)),
            ("True Ready", "True Error", "False AsExpected", "False Managed", "True ClaimBound"),
        ),
        (
            SPEC,
            Observed(deployments={}, problem=Problem("PermissionDenied", "may not")),
            ("False PermissionDenied", "False Error", "True PermissionDenied", "False Managed", "False ClaimNotFound"),
        ),
        (
            {},
            Observed(deployments={}),
            ("True Removed", "False Removed", "False Removed", "True Removed", "Unknown StorageNotConfigured"),
        ),
        (
            {**SPEC, "managementState": "Removed"},
            Observed(deployments=READY, claim=BOUND),
            ("True Removed", "True DeletingDeployment", "False Removed", "True Removed", "True ClaimBound"),
        ),
        (
            {**SPEC, "managementState": "Unmanaged"},
            Observed(deployments={"image-registry": deployment(1, 0)}, claim=BOUND, problem=Problem("Old", "old")),
            ("True Unmanaged", "False Unmanaged", "False Unmanaged", "False Unmanaged", "True ClaimBound"),
        ),
        (
            {**SPEC, "storage": {"emptyDir": {}}},
            Observed(deployments=READY),
            ("True Ready", "False Ready", "False AsExpected", "False Managed", "True EmptyDir"),
        ),
        (
            {**SPEC, "storage": {"s3": {"bucket": "b"}}},
            Observed(deployments=READY, moved_from="claim image-registry-storage"),
            ("True Ready", "False Ready", "False AsExpected", "False Managed", "Unknown StorageConfigurationChanged"),
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_what_is_seen_decides_every_condition(
    spec: dict[str, Any], observed: Observed, expected: tuple[str, ...]
) -> None:
    kinds = ("Available", "Progressing", "Degraded", "Removed", "StorageExists")
    assert told(spec, observed) == dict(zip(kinds, expected, strict=True))


def test_a_rollout_past_its_deadline_is_degraded() -> None:
    late = deployment(1, 0, conditions=[{"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "m"}])
    assert (
        told(SPEC, Observed(deployments={**READY, "image-registry": late}))["Degraded"]
        == "True ProgressDeadlineExceeded"
    )


@pytest.mark.parametrize(("minutes", "expected"), [(4, "False AsExpected"), (6, "True Unavailable")])
def test_unavailable_for_five_minutes_is_degraded(minutes: int, expected: str) -> None:
    observed = Observed(deployments={**READY, "image-registry": deployment(1, 0)})
    earlier = conditions(SPEC, observed, (), 7, NOW)
    assert told(SPEC, observed, earlier, NOW + timedelta(minutes=minutes))["Degraded"] == expected


def test_events_tell_of_faults_in_words_that_stay() -> None:
    observed = Observed(deployments={**READY, "image-registry": deployment(1, 0)}, claim=BOUND)
    first = conditions(SPEC, observed, (), 7, NOW)
    assert list(warnings(first)) == []
    said = [list(warnings(conditions(SPEC, observed, first, 7, NOW + timedelta(minutes=late)))) for late in (6, 7)]
    assert said[0] == said[1]
    ((reason, message),) = said[0]
    assert reason == "Unavailable"
    assert "describe pods" in message


def test_an_event_tells_of_a_claim_that_goes_while_it_is_used() -> None:
    going = {"metadata": {"deletionTimestamp": "2026-11-21T12:00:00Z"}, "status": {"phase": "Bound"}}
    found = list(warnings(conditions(SPEC, Observed(deployments=READY, claim=going), (), 7, NOW)))
    assert [reason for reason, _ in found] == ["ClaimDeleted"]
    managed = {"managementState": "Managed", "pvc": {}}
    removed = conditions({"managementState": "Removed", "storage": managed}, Observed(deployments={}), (), 7, NOW)
    assert "ClaimDeleted" in {item["reason"] for item in removed}
    assert list(warnings(removed)) == []


def test_nothing_is_called_right_while_something_is_tried_again() -> None:
    problem = Problem("ApplyFailed", "something new", passing=True)
    found = conditions(SPEC, Observed(deployments=READY, claim=BOUND, problem=problem), (), 7, NOW)
    degraded = next(item for item in found if item["type"] == "Degraded")
    assert degraded["status"] == "False"
    assert "tried again" in degraded["message"]


def test_the_time_of_a_condition_is_that_of_its_last_change_of_status() -> None:
    first = conditions(SPEC, Observed(deployments=READY, claim=BOUND), (), 1, NOW)
    again = conditions(SPEC, Observed(deployments=READY, claim=BOUND), first, 1, NOW + timedelta(hours=1))
    assert again == first, "nothing is written when nothing changes"
    worse = conditions(SPEC, Observed(deployments={}, claim=BOUND), first, 1, NOW + timedelta(hours=1))
    times = {item["type"]: item["lastTransitionTime"] for item in worse}
    assert times["Available"] == "2026-11-21T13:00:00Z"
    assert times["Degraded"] == "2026-11-21T12:00:00Z"


def test_unset_says_what_to_do() -> None:
    (removed,) = [item for item in conditions({}, Observed(deployments={}), (), 1, NOW) if item["type"] == "Removed"]
    assert "not set, which behaves as Removed: choose a storage in spec.storage and set" in removed["message"]


def test_a_changed_storage_says_that_nothing_was_moved() -> None:
    observed = Observed(deployments=READY, claim=BOUND, moved_from="s3 images")
    (storage,) = [item for item in conditions(SPEC, observed, (), 1, NOW) if item["type"] == "StorageExists"]
    assert "images in s3 images were not moved: copy them, or change spec.storage back" in storage["message"]


def test_commands_in_messages_name_the_namespace_of_the_registry() -> None:
    pending = {"status": {"phase": "Pending"}}
    observed = Observed(deployments={"image-registry": {"spec": {"replicas": 1}}}, claim=pending, namespace="elsewhere")
    said = " ".join(item["message"] for item in conditions(SPEC, observed, (), 1, NOW))
    assert "kubectl -n elsewhere describe pods" in said
    assert "kubectl -n elsewhere describe pvc" in said
    assert "-n image-registry-system" not in said
