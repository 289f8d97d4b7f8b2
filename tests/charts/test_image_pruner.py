"""Pruning by a schedule: one CronJob, made from `imagePruner`, which can do nothing but ask the cluster."""

from __future__ import annotations

import pytest

from image_registry.pruning.schedule import Schedule, parse_schedule

NAME = "image-pruner"
NAMESPACE = "image-registry-system"


def job(release):
    return release.named("CronJob", NAME)["spec"]


def pod(release):
    return job(release)["jobTemplate"]["spec"]["template"]["spec"]


def arguments(release):
    (container,) = pod(release)["containers"]
    assert container["command"] == ["ac"]
    return container["args"]


def read(release):
    """What `ac adm prune images` and `image_prune` understand of the job."""
    told = arguments(release)
    return parse_schedule(told[told.index("--") + 1 :], NAME)


def test_images_are_pruned_every_night_without_being_asked_for(render):
    spec = job(render())
    assert spec["schedule"] == "0 0 * * *"
    assert spec["suspend"] is False
    assert arguments(render()) == [
        *("adm", "prune", "scheduled", "--confirm", "--collect-garbage=true"),
        f"--registry-url=https://image-registry.{NAMESPACE}.svc:5000",
        "--certificate-authority=/etc/image-registry/ca/ca-bundle.crt",
        *("--termination-message=/dev/termination-log", "--", "--keep-tag-revisions=3", "--keep-younger-than=60m"),
        *("--ignore-invalid-refs=true", "--loglevel=1"),
    ]


def test_runs_never_pile_up_and_what_is_tried_again_is_tried_in_the_pod(render):
    spec = job(render())
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["startingDeadlineSeconds"] == 3600
    assert (spec["successfulJobsHistoryLimit"], spec["failedJobsHistoryLimit"]) == (3, 3)
    template = spec["jobTemplate"]
    assert template["spec"]["backoffLimit"] == 0
    assert template["spec"]["activeDeadlineSeconds"] == 21600
    assert template["metadata"]["labels"]["created-by"] == NAME
    assert template["spec"]["template"]["metadata"]["labels"]["app"] == NAME
    assert pod(render())["restartPolicy"] == "Never"


def test_every_field_reaches_its_place(render):
    values = {
        "schedule": "@weekly",
        "suspend": True,
        "keepTagRevisions": 0,
        "keepYoungerThanDuration": "30d",
        "exclude": ["^base/", 'a "b" {{ c }}'],
        "registryHosts": ["registry.cpaas-system"],
        "imageFields": ["serving.knative.dev/v1/services=spec.template.spec.containers[*].image"],
        "garbageAtMost": 0,
        "ignoreInvalidImageReferences": False,
        "logLevel": "TraceAll",
        "successfulJobsHistoryLimit": 0,
        "failedJobsHistoryLimit": 1,
        "resources": {"requests": {"memory": "4Gi"}, "limits": {"memory": "4Gi"}},
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
    }
    release = render(values={"imagePruner": values})
    spec = job(release)
    assert (spec["schedule"], spec["suspend"]) == ("@weekly", True)
    assert (spec["successfulJobsHistoryLimit"], spec["failedJobsHistoryLimit"]) == (0, 1)
    told = arguments(release)
    assert "--at-most=0" in told[: told.index("--")]
    assert told[told.index("--") + 1 :] == [
        *("--keep-tag-revisions=0", "--keep-younger-than=30d", "--ignore-invalid-refs=false", "--loglevel=8"),
        *("--whitelist=^base/", '--whitelist=a "b" {{ c }}', "--registry-host=registry.cpaas-system"),
        "--image-field=serving.knative.dev/v1/services=spec.template.spec.containers[*].image",
    ]
    found = pod(release)
    assert found["containers"][0]["resources"]["limits"] == {"memory": "4Gi"}
    assert found["nodeSelector"] == {"disk": "fast", "kubernetes.io/os": "linux"}
    assert found["tolerations"] == [{"operator": "Exists"}]
    assert found["affinity"] == {"nodeAffinity": {}}


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        ({"keepYoungerThan": 3_600_000_000_000}, "3600s"),
        ({"keepYoungerThan": 1}, "1s"),
        ({"keepYoungerThan": 0}, "0s"),
        ({"keepYoungerThan": 1, "keepYoungerThanDuration": "96h"}, "96h"),
        ({"keepYoungerThan": None, "keepYoungerThanDuration": ""}, "60m"),
    ],
)
def test_the_deprecated_age_counts_where_no_duration_is_given(render, values, seconds):
    assert f"--keep-younger-than={seconds}" in arguments(render(values={"imagePruner": values}))


def test_every_name_of_the_registry_is_known_to_the_pruner(render):
    values = {
        "config": {
            "defaultRoute": True,
            "routeDefaults": {"domain": "apps.example.com"},
            "routes": [
                {"name": "one", "hostname": "one.example.com", "secretName": "tls"},
                {"name": "two", "hostname": "two.example.com", "secretName": "tls"},
            ],
            "imagePullSecret": {"additionalRegistryHosts": ["old.example.com:5000", "two.example.com"]},
        },
        "imagePruner": {"registryHosts": ["registry.cpaas-system"]},
    }
    hosts = read(render(values=values)).registry_hosts
    assert hosts == (
        *("registry.cpaas-system", f"default-route-{NAMESPACE}.apps.example.com", "one.example.com"),
        *("two.example.com", "old.example.com:5000"),
    )


def test_a_run_by_hand_reads_from_the_job_what_the_schedule_keeps(render):
    assert read(render()) == Schedule(keep_younger_than=3600, keep_tag_revisions=3)
    fields = ["example.com/v1/things=spec.image"]
    values = {"keepYoungerThanDuration": "30d", "keepTagRevisions": 5, "exclude": ["a=b"], "imageFields": fields}
    assert read(render(values={"imagePruner": values})) == Schedule(
        keep_younger_than=30 * 86400, keep_tag_revisions=5, exclude=("a=b",), image_fields=tuple(fields)
    )


def test_without_a_schedule_it_is_midnight(render):
    assert job(render(values={"imagePruner": {"schedule": ""}}))["schedule"] == "0 0 * * *"


def test_the_job_stays_while_the_registry_is_removed_and_collects_nothing(render):
    release = render("removed")
    assert "--collect-garbage=false" in arguments(release)
    assert "pruner" in release.names("ServiceAccount")


def test_it_has_the_rights_of_a_pruner_and_may_see_whether_config_is_managed(render):
    release = render()
    assert pod(release)["serviceAccountName"] == "pruner"
    roles = {
        m["roleRef"]["name"]
        for m in release
        if m["kind"].endswith("Binding") and any(subject["name"] == "pruner" for subject in m["subjects"])
    }
    assert roles == {"system:image-pruner", f"{NAMESPACE}:pruner"}
    assert release.named("ClusterRole", f"{NAMESPACE}:pruner")["rules"] == [
        {
            "apiGroups": ["imageregistry.operator.alauda.io"],
            "resources": ["configs"],
            "resourceNames": ["cluster"],
            "verbs": ["get"],
        }
    ]


def test_it_has_neither_the_database_nor_the_storage(render):
    assert [volume["name"] for volume in pod(render())["volumes"]] == ["tmp", "ca"]
    assert "env" not in pod(render())["containers"][0]


@pytest.mark.parametrize(
    "values",
    [
        {"schedule": "daily"},
        {"schedule": "* * * *"},
        {"schedule": "TZ=UTC 0 0 * * *"},
        {"schedule": "0 0 * * * 2026"},
        {"schedule": "@every"},
        {"schedule": "@reboot"},
        {"keepTagRevisions": -1},
        {"keepYoungerThanDuration": "an hour"},
        {"keepYoungerThan": "1h"},
        {"exclude": "^base/"},
        {"exclude": [""]},
        {"imageFields": ["spec.image"]},
        {"registryHosts": ["https://registry.example.com"]},
        {"logLevel": "debug"},
        {"keepTagRevision": 3},
    ],
    ids=str,
)
def test_a_typo_is_refused_by_name(refusal, values):
    said = refusal(imagePruner=values)
    assert next(iter(values)) in said
