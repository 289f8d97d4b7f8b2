"""What ImagePruner asks of the chart, and what its status says of Jobs: pure, from what was seen."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from image_registry.operator import cron
from image_registry.operator.known_fields import Language
from image_registry.operator.pruner_status import Seen, status
from image_registry.operator.pruner_values import first_spec, known, problem_of, values

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
CRON_JOB: dict[str, Any] = {"spec": {"schedule": "@daily", "suspend": False}, "status": {}}


def job(name: str, minute: int, end: str = "", **more: Any) -> dict[str, Any]:
    time = f"2026-11-21T11:{minute:02}:00Z"
    conditions = [{"type": end, "status": "True", "reason": "BackoffLimitExceeded", "message": "why"}] if end else []
    ended = {"completionTime": time} if end == "Complete" else {}
    metadata = {"name": name, "creationTimestamp": time}
    return {"metadata": metadata, "status": {"startTime": time, "conditions": conditions, **ended, **more}}


def shown(seen: Seen, before: dict[str, Any] | None = None, spec: dict[str, Any] | None = None) -> dict[str, Any]:
    return status({"metadata": {"generation": 3}, "spec": spec or {}, "status": before or {}}, seen, NOW)


def said(found: dict[str, Any]) -> dict[str, str]:
    return {item["type"]: f"{item['status']} {item['reason']}" for item in found["conditions"]}


def test_what_the_object_says_is_what_the_chart_gets() -> None:
    spec = {"schedule": "@daily", "exclude": ["^a/"]}
    assert values(spec, {"imagePruner": {"suspend": True}}) == {"imagePruner": spec}


def test_without_an_object_what_is_in_force_stays() -> None:
    assert values(None, {"imagePruner": {"suspend": True}}) == {"imagePruner": {"suspend": True}}
    assert values(None, {"config": {}}) == {}
    assert values(None, None) == {}


@pytest.mark.parametrize(
    ("spec", "cure"),
    [
        ({"schedule": "61 * * * *"}, "correct spec.schedule"),
        ({"exclude": ["a", "["]}, "correct spec.exclude"),
        ({"keepYoungerThanDuration": "9999999d"}, "correct spec.keepYoungerThanDuration"),
    ],
)
def test_a_wrong_object_changes_nothing_and_prunes_nothing_that_was_not_pruned(spec: dict[str, Any], cure: str) -> None:
    assert problem_of(spec).endswith(cure)
    assert values(spec, {"imagePruner": {"keepTagRevisions": 9}}) == {"imagePruner": {"keepTagRevisions": 9}}
    assert values(spec, None) == {"imagePruner": {"suspend": True}}


def test_the_first_object_says_what_an_installation_has_already() -> None:
    base = {"imagePruner": {"suspend": True, "keepTagRevisions": 5}}
    applied = {"imagePruner": {"keepTagRevisions": 7, "keepYoungerThan": 1, "keepYoungerThanDuration": "1h"}}
    assert first_spec({}, None) == {}
    assert first_spec(base, None) == base["imagePruner"]
    assert first_spec(base, applied) == {"suspend": True, "keepTagRevisions": 7, "keepYoungerThanDuration": "1h"}


@pytest.mark.parametrize("schedule", ["0 0 * * fri-mon", "a b c d e", "1/ * * * *", "0 0 1-2-3 * *", "099 * * * *"])
def test_schedules_that_only_a_reader_of_cron_finds_wrong(schedule: str) -> None:
    assert cron.problem_of(schedule)


def test_a_pruner_that_waits_for_its_first_night() -> None:
    found = shown(Seen(cron_job=CRON_JOB, state="Managed", installed=True))
    assert said(found) == {
        "Available": "True AsExpected",
        "Scheduled": "True Scheduled",
        "Failed": "False NeverRun",
        "Degraded": "False AsExpected",
    }
    assert (found["observedGeneration"], found["schedule"]) == (3, "@daily")
    assert "lastRun" not in found


@pytest.mark.parametrize(
    ("seen", "available", "scheduled"),
    [
        (Seen(), "False NoRegistry", "False NotScheduled"),
        (Seen(installed=True, state="Managed"), "False Error", "False NotScheduled"),
        (Seen(installed=True, state="Unmanaged", cron_job=CRON_JOB), "True Unmanaged", "True Scheduled"),
        (Seen(cron_job=CRON_JOB), "True Unmanaged", "True Scheduled"),
        (
            Seen(installed=True, state="Removed", cron_job={"spec": {"schedule": "@daily", "suspend": True}}),
            "True AsExpected",
            "False Suspended",
        ),
    ],
)
def test_conditions_tell_what_is_there(seen: Seen, available: str, scheduled: str) -> None:
    found = said(shown(seen))
    assert (found["Available"], found["Scheduled"]) == (available, scheduled)


SUSPENDED: dict[str, Any] = {"spec": {"schedule": "@daily", "suspend": True}}


@pytest.mark.parametrize(
    ("spec", "seen", "words"),
    [
        ({"suspend": True}, Seen(installed=True, state="Managed", cron_job=SUSPENDED), "spec.suspend is true"),
        (
            {"exclude": ["["]},
            Seen(installed=True, state="Managed", cron_job=SUSPENDED, invalid="correct spec.exclude"),
            "correct spec.exclude",
        ),
        ({}, Seen(installed=True, state="Unmanaged", cron_job=SUSPENDED), "until Config/cluster is Managed"),
        ({}, Seen(installed=True, state="", cron_job=SUSPENDED), "until Config/cluster is Managed"),
        ({}, Seen(installed=True, state="Managed", cron_job=SUSPENDED), "within a minute"),
    ],
)
def test_why_nothing_is_pruned_is_not_put_on_a_field_that_says_otherwise(
    spec: dict[str, Any], seen: Seen, words: str
) -> None:
    found = next(item for item in shown(seen, spec=spec)["conditions"] if item["type"] == "Scheduled")
    assert words in found["message"]
    assert found["message"].startswith("spec.suspend is true") == bool(spec.get("suspend"))


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("Managed", "made anew within a minute"),
        ("Unmanaged", "set its spec.managementState to Managed"),
        ("", "make Config/cluster"),
    ],
)
def test_a_missing_cron_job_is_promised_only_by_who_makes_it(state: str, words: str) -> None:
    found = next(c for c in shown(Seen(installed=True, state=state))["conditions"] if c["type"] == "Available")
    assert words in found["message"]
    assert ("within a minute" in found["message"]) == (state == "Managed")


def test_a_failed_job_is_told_with_its_own_words() -> None:
    words = json.dumps({"prune": "failed", "message": "pruning failed: rights are missing", "freedBytes": 5})
    jobs = [job("one", 1, "Complete"), job("two", 2, "Failed")]
    found = shown(Seen(cron_job=CRON_JOB, jobs=jobs, message=words, state="Managed", installed=True))
    assert said(found)["Failed"] == "True BackoffLimitExceeded"
    assert said(found)["Degraded"] == "True JobFailed"
    degraded = next(item for item in found["conditions"] if item["type"] == "Degraded")
    assert "pruning failed: rights are missing" in degraded["message"]
    assert found["lastRun"]["job"] == "two"
    assert found["lastRun"]["freedBytes"] == 5
    assert found["lastSuccessfulTime"] == "2026-11-21T11:01:00Z"


def test_a_running_job_is_the_last_run_and_the_one_before_it_counts() -> None:
    jobs = [job("one", 1, "Failed"), job("two", 2)]
    found = shown(Seen(cron_job=CRON_JOB, jobs=jobs, state="Managed", installed=True))
    assert found["lastRun"] == {"job": "two", "state": "Running", "startTime": "2026-11-21T11:02:00Z"}
    assert said(found)["Failed"] == "True BackoffLimitExceeded"


def test_what_a_process_said_that_was_killed_is_shown_as_it_is() -> None:
    jobs = [job("one", 1, "Failed")]
    found = shown(Seen(cron_job=CRON_JOB, jobs=jobs, message="OOMKilled", state="Managed", installed=True))
    assert found["lastRun"]["message"] == "OOMKilled"


def test_jobs_that_are_cleaned_away_are_not_forgotten() -> None:
    jobs = [job("one", 1, "Failed")]
    seen = Seen(cron_job=CRON_JOB, jobs=jobs, message='{"message": "x"}', state="Managed", installed=True)
    before = shown(seen)
    after = shown(Seen(cron_job=CRON_JOB, state="Managed", installed=True), before)
    assert after == before
    again = shown(Seen(cron_job=CRON_JOB, jobs=jobs, state="Managed", installed=True), before)
    assert again == before, "asked for once"


def test_times_of_conditions_change_with_them_alone() -> None:
    seen = Seen(cron_job=CRON_JOB, state="Managed", installed=True)
    before = shown(seen)
    later = status({"metadata": {"generation": 3}, "status": before}, seen, NOW + timedelta(hours=1))
    assert later == before


def test_a_refusal_by_the_cluster_is_told() -> None:
    seen = Seen(cron_job=CRON_JOB, state="Managed", installed=True, refused="CronJob image-pruner is invalid")
    assert said(shown(seen))["Degraded"] == "True SyncError"
    wrong = Seen(cron_job=CRON_JOB, state="Managed", installed=True, invalid="x: correct spec.schedule")
    assert said(shown(wrong))["Degraded"] == "True SpecInvalid"


def test_what_a_newer_version_wrote_may_keep_images_so_nothing_is_pruned() -> None:
    language = Language(
        {"definitions": {"imagePruner": {"properties": {"schedule": {}}, "additionalProperties": False}}}
    )
    assert known({"schedule": "@daily"}, language) == ({"schedule": "@daily"}, ())
    spec = {"schedule": "@daily", "keepForever": ["a/b"]}
    followed, unknown = known(spec, language)
    assert (followed, unknown) == ({"schedule": "@daily", "suspend": True}, ("spec.keepForever",))
    assert known(spec, None) == (spec, ())
    asleep = {"spec": {"schedule": "@daily", "suspend": True}, "status": {}}
    found = shown(Seen(cron_job=asleep, state="Managed", installed=True, unknown=unknown), spec=spec)
    assert said(found)["FieldsIgnored"] == "True UnknownFields"
    assert said(found)["Scheduled"] == "False Suspended"
    messages = {item["type"]: item["message"] for item in found["conditions"]}
    assert "does not know spec.keepForever" in messages["Scheduled"]
    assert "upgrade the operator, or take the field out" in messages["FieldsIgnored"]
