"""A release of somebody else is held while a migration lasts, and applied again as before when that is over."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from image_registry.kube.client import object_path
from image_registry.migration.actions import Context
from image_registry.migration.assess import assess
from image_registry.migration.case import Case, make_case
from image_registry.migration.choices import Choices
from image_registry.migration.facts import ObjectName
from image_registry.migration.findings import Finding, Severity
from image_registry.migration.phases import Action
from image_registry.migration.plan import Plan, Step
from image_registry.migration.planning import plan
from image_registry.migration.release_giving import GiveBack
from image_registry.migration.release_holding import HoldRelease
from image_registry.migration.waiting import Wait
from image_registry_lab.legacy.variants import NAMESPACE, VARIANTS
from tests.app.migration.conftest import LegacyCluster, cluster_of, inventory_of
from tests.app.migration.test_plans import APP, EVERYTHING, surveyed

API = "operator.alauda.io/v1alpha1"
BASE = ObjectName("AppRelease", "base", NAMESPACE, API)
PATH = object_path(API, "appreleases", "base", namespace=NAMESPACE)
ROLE = object_path("rbac.authorization.k8s.io/v1", "roles", "image-cleaner", namespace="team-a")
CONTROLLER = object_path("apps/v1", "deployments", "sa-imagepullsecret-controller", namespace=NAMESPACE)
HELD, GIVEN = f"prepare/hold/{BASE}", f"finalize/release/{BASE}"
ASKED = {"cpaas.io/interval-sync": "10m"}


class Platform(LegacyCluster):
    """The fake of the cluster, where releases are written."""

    def find(self, path: str, **options: Any) -> dict[str, Any] | None:
        if path == f"/apis/{API}":
            return {"resources": [{"name": "appreleases", "kind": "AppRelease", "namespaced": True}]}
        return super().find(path, **options)

    def replace(self, path: str, body: Any, **_: Any) -> dict[str, Any]:
        self.documents[path] = copy.deepcopy(body)
        return copy.deepcopy(self.documents[path])

    @property
    def annotations(self) -> dict[str, str]:
        return dict(self.documents[PATH]["metadata"].get("annotations") or {})


def platform(*owned: str) -> Platform:
    """The registry before, whose release is applied again, and one of the platform that owns some of its objects."""
    found = Platform(list(copy.deepcopy(cluster_of(VARIANTS["4.2-synced"]).documents).values()))
    metadata = {"name": "base", "namespace": NAMESPACE, "annotations": dict(ASKED)}
    spec = {"source": {"charts": [{"name": "acp/base", "releaseName": "base"}]}}
    found.put({"apiVersion": API, "kind": "AppRelease", "metadata": metadata, "spec": spec})
    for path in owned:
        labels = {"helm.sh/release-name": "base", "helm.sh/release-namespace": NAMESPACE}
        found.documents[path]["metadata"]["labels"] = labels
    return found


def case_in(cluster: Platform, folder: Path) -> Case:
    return make_case(inventory_of(cluster), surveyed(folder, APP), Choices(accepted=EVERYTHING))


@pytest.fixture
def cluster() -> Platform:
    return platform(ROLE)


@pytest.fixture
def made(cluster: Platform, tmp_path: Path) -> Plan:
    return plan(case_in(cluster, tmp_path))


def step_of(made: Plan, name: str) -> Step:
    [found] = [step for step in made.steps if step.id == name]
    return found


@pytest.fixture
def held(cluster: Platform, made: Plan, tmp_path: Path) -> Context:
    """Behind the hold, with what the journal would have of it."""
    context = Context(
        plan=made, client=cluster, folder=tmp_path, settings=cast("Any", None), sleep=lambda _seconds: None
    )
    step = step_of(made, HELD)
    saved = HoldRelease().before(step, context)
    HoldRelease().do(step, saved, context)
    assert cluster.annotations == {}
    return replace(context, saved=lambda each: saved if each.id == HELD else {})


def test_only_a_release_that_stays_is_given_its_annotation_back_when_nothing_else_is_written(made: Plan) -> None:
    ids = [step.id for step in made.steps]
    assert {HELD, f"prepare/hold/AppRelease {NAMESPACE}/image-registry"} <= set(ids), "both are held"
    assert [step.id for step in made.steps if step.action is Action.GIVE_BACK] == [GIVEN]
    assert ids[-2:] == [GIVEN, "finalize/remains"]
    assert step_of(made, "finalize/remains").parameters["rendered"] == [f"{BASE} renders Role team-a/image-cleaner"]


def test_the_end_names_what_such_a_release_renders_of_the_registry_before(made: Plan, held: Context) -> None:
    step = step_of(made, "finalize/remains")
    said = Wait().do(replace(step, parameters={**step.parameters, "remains": []}), {}, held).detail
    assert f"take what is about the registry before out of it: {BASE} renders Role team-a/image-cleaner" in said


def test_it_is_applied_again_as_before_and_a_second_time_changes_nothing(
    cluster: Platform, made: Plan, held: Context
) -> None:
    step, doer = step_of(made, GIVEN), GiveBack()
    assert doer.foresee(step, replace(held)) == f"changes {BASE}: gives back cpaas.io/interval-sync=10m"
    assert cluster.annotations == {}, "a look writes nothing"
    held.ahead.objects.clear()
    assert not doer.do(step, {}, held).skipped
    assert cluster.annotations == ASKED
    assert doer.foresee(step, held) == ""
    assert doer.do(step, {}, held).skipped, "killed and run again"


def test_from_nothing_a_look_knows_what_the_end_gives_back(cluster: Platform, made: Plan, tmp_path: Path) -> None:
    context = Context(plan=made, client=cluster, folder=tmp_path, settings=cast("Any", None), sleep=lambda _: None)
    assert "takes away" in HoldRelease().foresee(step_of(made, HELD), context)
    assert "gives back cpaas.io/interval-sync=10m" in GiveBack().foresee(step_of(made, GIVEN), context)
    assert cluster.annotations == ASKED


def test_what_somebody_else_wrote_or_removed_meanwhile_is_said_and_left(
    cluster: Platform, made: Plan, held: Context
) -> None:
    step, doer = step_of(made, GIVEN), GiveBack()
    theirs = {"cpaas.io/interval-sync": "1h"}
    cluster.documents[PATH]["metadata"]["annotations"] = dict(theirs)
    assert doer.foresee(step, held) == ""
    outcome = doer.do(step, {}, held)
    assert outcome.skipped
    assert "written by somebody else since, and is left" in outcome.detail
    assert cluster.annotations == theirs
    del cluster.documents[PATH]
    assert doer.foresee(step, held) == ""
    assert "not there any more" in doer.do(step, {}, held).detail


def findings(cluster: Platform, folder: Path) -> dict[str, Finding]:
    return {finding.id: finding for finding in assess(case_in(cluster, folder))}


def test_it_is_said_whose_it_is_and_what_comes_back_with_it(cluster: Platform, tmp_path: Path) -> None:
    found = findings(cluster, tmp_path)
    cause = found[f"applied-again:{BASE}"].cause
    assert "not the registry's own, so finalize gives it the annotation again as it was" in cause
    assert "Role team-a/image-cleaner will be as its chart has it" in cause
    assert "not the registry's own" not in found[f"applied-again:AppRelease {NAMESPACE}/image-registry"].cause
    assert not [name for name in found if name.startswith("controller-again:")]


def test_one_that_starts_the_controller_of_pull_secrets_again_blocks_the_plan(tmp_path: Path) -> None:
    found = findings(platform(CONTROLLER), tmp_path)
    assert found[f"controller-again:{BASE}"].severity is Severity.BLOCKING
