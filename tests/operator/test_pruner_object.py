"""ImagePruner as a real kube-apiserver takes it: what cron does not know ends in one sentence, at once."""

from __future__ import annotations

from typing import Any

import pytest

from image_registry.kube.client import object_path
from image_registry.kube.errors import KubeError
from image_registry.operator import cron
from tests.operator.conftest import PRUNER_CRD, ApiServer

STRICT = {"dryRun": "All", "fieldValidation": "Strict"}
GOOD = (
    "",
    "@daily",
    "@every 12h30m",
    "0 0 * * *",
    "*/15 0-6,22 1,15 jan-mar MON-fri",
    "05 05 ? * 0",
    "0-30/5 3 31 12 6",
)
BAD = (
    ("0 0 * *", "has five fields"),
    ("daily", "has five fields"),
    ("@reboot", "should match"),
    ("@every day", "should match"),
    ("TZ=UTC 0 0 * * *", "should match"),
    ("60 0 * * *", "the minute in spec.schedule, its first field"),
    ("*/0 0 * * *", "the minute in spec.schedule, its first field"),
    ("0 24 * * *", "the hour in spec.schedule, its second field"),
    ("0 0 0 * *", "the day in spec.schedule, its third field"),
    ("0 0 32 * *", "the day in spec.schedule, its third field"),
    ("0 0 * 13 *", "the month in spec.schedule, its fourth field"),
    ("0 0 * * 7", "the weekday in spec.schedule, its fifth field"),
    ("0 0 * * sunday", "the weekday in spec.schedule, its fifth field"),
    ("30-10 0 * * *", "a range in spec.schedule ends before it begins"),
)


def pruner(name: str = "cluster", /, **spec: Any) -> dict[str, Any]:
    kind = {"apiVersion": "imageregistry.operator.alauda.io/v1", "kind": "ImagePruner"}
    return {**kind, "metadata": {"name": name}, "spec": spec}


def cron_job(schedule: str) -> dict[str, Any]:
    pod = {"restartPolicy": "Never", "containers": [{"name": "a", "image": "b"}]}
    template = {"spec": {"template": {"spec": pod}}}
    return {"metadata": {"name": "probe"}, "spec": {"schedule": schedule, "jobTemplate": template}}


CRON_JOBS = object_path("batch/v1", "cronjobs", namespace="default")


@pytest.mark.parametrize("schedule", GOOD)
def test_a_schedule_is_taken_by_the_object_by_the_operator_and_by_kubernetes(
    apiserver: ApiServer, pruners: str, schedule: str
) -> None:
    apiserver.client.create(pruners, pruner(schedule=schedule), query=STRICT)
    assert cron.problem_of(schedule) == ""
    if schedule:
        apiserver.client.create(CRON_JOBS, cron_job(schedule), query=STRICT)


@pytest.mark.parametrize(("schedule", "sentence"), BAD)
def test_a_schedule_is_refused_by_the_object_by_the_operator_and_by_kubernetes(
    apiserver: ApiServer, pruners: str, schedule: str, sentence: str
) -> None:
    with pytest.raises(KubeError) as caught:
        apiserver.client.create(pruners, pruner(schedule=schedule), query=STRICT)
    assert sentence in str(caught.value)
    assert cron.problem_of(schedule)
    with pytest.raises(KubeError):
        apiserver.client.create(CRON_JOBS, cron_job(schedule), query=STRICT)


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"keepYoungerThan": 3_600_000_000_000, "suspend": True},
        {"keepYoungerThan": 1, "keepYoungerThanDuration": ""},
        {"keepYoungerThanDuration": "1h30m"},
        {"keepYoungerThanDuration": "30d", "exclude": ["^base/", "(?!x)"]},
        {"registryHosts": ["registry.cpaas-system", "image-registry.cpaas-system:443"]},
        {"imageFields": ["serving.knative.dev/v1/services=spec.template.spec.containers[*].image"]},
        {"resources": {"limits": {"memory": "4Gi"}}, "tolerations": [{"operator": "Exists"}], "affinity": {}},
        {"successfulJobsHistoryLimit": 0, "failedJobsHistoryLimit": 0, "nodeSelector": {"a": "b"}},
        {"logLevel": "TraceAll", "ignoreInvalidImageReferences": True},
    ],
    ids=str,
)
def test_what_the_documentation_allows_is_taken(apiserver: ApiServer, pruners: str, spec: dict[str, Any]) -> None:
    apiserver.client.create(pruners, pruner(**spec), query=STRICT)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (
            {"keepYoungerThan": 1, "keepYoungerThanDuration": "60m"},
            "keep spec.keepYoungerThanDuration, for",
        ),
        ({"keepYoungerThanDuration": "an hour"}, "spec.keepYoungerThanDuration"),
        ({"keepYoungerThan": -1}, "should be greater than or equal to 0"),
        ({"keepTagRevisions": -1}, "should be greater than or equal to 0"),
        ({"logLevel": "debug"}, 'Unsupported value: "debug"'),
        ({"suspended": True}, 'unknown field "spec.suspended"'),
        ({"imageFields": ["spec.image"]}, "spec.imageFields[0]"),
        ({"registryHosts": ["https://registry.example.com"]}, "spec.registryHosts[0]"),
        ({"failedJobsHistoryLimit": -1}, "should be greater than or equal to 0"),
    ],
    ids=str,
)
def test_a_contradiction_is_refused_with_its_cure(
    apiserver: ApiServer, pruners: str, spec: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(KubeError) as caught:
        apiserver.client.create(pruners, pruner(**spec), query=STRICT)
    assert sentence in str(caught.value)


def test_the_only_pruner_is_named_cluster(apiserver: ApiServer, pruners: str) -> None:
    with pytest.raises(KubeError, match="the only ImagePruner is named cluster"):
        apiserver.client.create(pruners, pruner("second"), query=STRICT)


def test_an_empty_specification_gets_the_defaults(apiserver: ApiServer, pruners: str) -> None:
    spec = apiserver.client.create(pruners, pruner(), query=STRICT)["spec"]
    assert spec == {
        "schedule": "0 0 * * *",
        "suspend": False,
        "keepTagRevisions": 3,
        "ignoreInvalidImageReferences": True,
        "logLevel": "Normal",
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 3,
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}},
    }


def test_the_definition_outlives_the_chart() -> None:
    assert "helm.sh/resource-policy: keep" in PRUNER_CRD.read_text(encoding="utf-8")
