"""What the platform applies again by itself: found with who asks for it, held while a migration lasts, given back."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from image_registry.kube.client import object_path
from image_registry.migration import report
from image_registry.migration.actions import Context, StepFailed
from image_registry.migration.assess import assess
from image_registry.migration.before_freeze import UNTIL_CUTOVER, _releases
from image_registry.migration.brought_back import brought_back
from image_registry.migration.facts import ReleaseFact, SyncFact
from image_registry.migration.freezing import still_frozen
from image_registry.migration.phases import Action, Phase
from image_registry.migration.plan import Plan, Step
from image_registry.migration.planning import plan
from image_registry.migration.release_holding import LOOK_AGAIN, HoldRelease, applied_again
from image_registry_lab.legacy.variants import NAMESPACE, VARIANTS
from tests.app.migration.conftest import LegacyCluster, cluster_of, inventory_of
from tests.app.migration.test_plans import EVERYTHING, case_of, changed

SYNCED = VARIANTS["4.2-synced"]
API = "operator.alauda.io/v1alpha1"
PATH = object_path(API, "appreleases", "image-registry", namespace=NAMESPACE)
APPLIED = f"applied:AppRelease {NAMESPACE}/image-registry"


class Written(LegacyCluster):
    """The fake of the cluster, where objects are written; ``again`` comes back at once."""

    again: dict[str, Any] | None = None

    def replace(self, path: str, body: Any, **_: Any) -> dict[str, Any]:
        self.documents[path] = copy.deepcopy({**body, **(self.again or {})})
        return copy.deepcopy(self.documents[path])

    def annotated(self, path: str = PATH, **annotations: str) -> None:
        self.documents[path]["metadata"]["annotations"] = annotations


def test_who_may_not_see_releases_plans_nothing_until_somebody_accepts_that_none_is_held(tmp_path: Path) -> None:
    def deny(cluster: LegacyCluster) -> None:
        cluster.denied.add("list appreleases")

    [found] = [each for each in plan(changed("4.2-synced", deny, tmp_path)).blockers if each.rule == "releases-unread"]
    assert "neither known nor held" in found.cause
    assert "give the right to list appreleases" in found.action
    accepted = plan(changed("4.2-synced", deny, tmp_path, accepted=(*EVERYTHING, found.id)))
    assert accepted.ready, [each.id for each in accepted.blockers]


@pytest.fixture
def cluster() -> Written:
    return Written([copy.deepcopy(each) for each in cluster_of(SYNCED).documents.values()])


@pytest.fixture
def made(tmp_path: Path) -> Plan:
    return plan(case_of(SYNCED, tmp_path, accepted=EVERYTHING))


@pytest.fixture
def context(cluster: Written, made: Plan, tmp_path: Path) -> Context:
    return Context(plan=made, client=cluster, folder=tmp_path, settings=cast("Any", None), sleep=lambda _seconds: None)


def step_of(made: Plan, name: str) -> Step:
    [found] = [step for step in made.steps if step.id == name]
    return found


@pytest.mark.parametrize("key", ["interval-sync", "cpaas.io/interval-sync"])
def test_a_release_that_is_applied_again_is_found_with_who_asks_for_it(key: str) -> None:
    cluster = cluster_of(VARIANTS["4.2-pvc"])
    document = cluster.documents[PATH]
    document["metadata"]["annotations"] = {key: "10m", "note": "nothing"}
    fields: dict[str, Any] = {"f:metadata": {"f:annotations": {f"f:{key}": {}}}}
    others: dict[str, Any] = {"f:metadata": {"f:annotations": {"f:note": {}}}}
    document["metadata"]["managedFields"] = [
        {"manager": "somebody", "fieldsV1": others},
        {"manager": "cluster-transformer", "fieldsV1": fields},
    ]
    inventory = inventory_of(cluster)
    [found] = inventory.releases
    assert found.syncs == (SyncFact(key, "10m", ("cluster-transformer",)),)
    assert (found.applied_again, found.made_by) == (True, "cluster-transformer")
    page = report.html(inventory, ())
    assert f"{key}=10m, written by cluster-transformer" in page


def test_a_release_of_somebody_else_is_none_of_ours_and_one_that_owns_a_role_is() -> None:
    cluster = cluster_of(VARIANTS["4.2-pvc"])
    charts = [{"name": "acp/other", "releaseName": "other"}]
    other = {"apiVersion": API, "kind": "AppRelease", "metadata": {"name": "other", "namespace": NAMESPACE}}
    cluster.put({**other, "spec": {"source": {"charts": charts}}})
    assert [found.object.name for found in inventory_of(cluster).releases] == ["image-registry"]
    role = cluster.documents[object_path("rbac.authorization.k8s.io/v1", "roles", "image-cleaner", namespace="team-a")]
    role["metadata"]["labels"] = {"helm.sh/release-name": "other", "helm.sh/release-namespace": NAMESPACE}
    assert [found.object.name for found in inventory_of(cluster).releases] == ["image-registry", "other"]


def test_only_a_value_that_says_no_is_taken_for_off() -> None:
    states = {value: ReleaseFact(cast("Any", None), (), (SyncFact("interval-sync", value),)).applied_again
              for value in ("true", "5m", "", "1", "false", "False", "off")}  # fmt: skip
    assert states == {"true": True, "5m": True, "": True, "1": True, "false": False, "False": False, "off": False}


def test_it_is_said_what_would_be_taken_back_and_what_makes_the_release(tmp_path: Path) -> None:
    found = {finding.id: finding for finding in assess(case_of(SYNCED, tmp_path))}
    release = f"AppRelease {NAMESPACE}/image-registry"
    assert "interval-sync=true" in found[f"applied-again:{release}"].cause
    assert f"reverted-edits:{release}" not in found
    assert {"written-again:ModuleInfo business-5f3a", "written-again:ClusterPluginInstance image-registry"} <= set(
        found
    )
    quiet = {finding.id for finding in assess(case_of(VARIANTS["4.2-pvc"], tmp_path))}
    assert f"reverted-edits:{release}" in quiet
    assert f"applied-again:{release}" not in quiet


def test_it_is_held_before_anything_is_written_and_looked_at_before_each_thing_that_it_would_take_back(
    made: Plan,
) -> None:
    writes = [step.id for step in made.steps if step.action not in (Action.WAIT, Action.GATE)]
    assert writes[0] == f"prepare/hold/AppRelease {NAMESPACE}/image-registry"
    assert next(made.phase(Phase.FREEZE)).id == "freeze/applied"
    observed = [step.id for step in made.phase(Phase.OBSERVE)]
    assert observed.index("observe/applied") < observed.index("observe/stop")
    for name in ("gate/frozen", "cutover/frozen"):
        assert step_of(made, name).parameters["releases"] == [["AppRelease", "image-registry", NAMESPACE, API]]


@pytest.mark.parametrize("others", [{}, {"theirs": "1"}])
def test_it_goes_and_comes_back_as_it_was(
    others: dict[str, str], cluster: Written, made: Plan, context: Context
) -> None:
    cluster.annotated(**{"interval-sync": "", **others})
    step, doer = step_of(made, f"prepare/hold/AppRelease {NAMESPACE}/image-registry"), HoldRelease()
    before = copy.deepcopy(cluster.documents[PATH])
    assert "takes away interval-sync=" in doer.foresee(step, context)
    saved = doer.before(step, context)
    assert not doer.do(step, saved, context).skipped
    assert cluster.documents[PATH]["metadata"]["annotations"] == others
    if not others:
        del cluster.documents[PATH]["metadata"]["annotations"]  # as the API server keeps none
    assert doer.do(step, saved, context).skipped, "killed and run again"
    doer.undo(step, saved, context)
    assert cluster.documents[PATH] == before
    cluster.annotated(**{"interval-sync": "1h"})
    assert "written by somebody else" in doer.undo(step, saved, context).detail
    assert cluster.documents[PATH]["metadata"]["annotations"] == {"interval-sync": "1h"}
    del cluster.documents[PATH]
    assert doer.undo(step, saved, context).skipped


def test_what_is_written_again_at_once_ends_the_step(cluster: Written, made: Plan, context: Context) -> None:
    cluster.again = {"metadata": copy.deepcopy(cluster.documents[PATH]["metadata"])}
    step = step_of(made, f"prepare/hold/AppRelease {NAMESPACE}/image-registry")
    with pytest.raises(StepFailed, match=r"annotate appreleases\.operator\.alauda\.io image-registry interval-sync-"):
        HoldRelease().do(step, {}, context)


@pytest.mark.parametrize("killed", [False, True])
def test_what_is_written_again_some_seconds_later_ends_the_step_where_nothing_is_frozen(
    killed: bool, cluster: Written, made: Plan, context: Context
) -> None:
    step = step_of(made, f"prepare/hold/AppRelease {NAMESPACE}/image-registry")
    before = copy.deepcopy(cluster.documents[PATH])
    saved = HoldRelease().before(step, context)
    waited = list[float]()

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        assert "interval-sync" not in cluster.documents[PATH]["metadata"].get("annotations", {})
        cluster.documents[PATH] = copy.deepcopy(before)

    if killed:  # between the write and the second look
        cluster.annotated()
    with pytest.raises(StepFailed, match=r"cannot be held from this cluster; nothing is frozen yet"):
        HoldRelease().do(step, saved, replace(context, sleep=sleep))
    assert waited == [LOOK_AGAIN]
    assert 10 <= LOOK_AGAIN <= 15


def open_of(found: Any) -> dict[str, str]:
    return {item.id: item.cause for item in found if item.cause}


def test_who_writes_it_again_is_found_before_the_freeze_with_it_and_before_the_stop(
    cluster: Written, made: Plan, context: Context
) -> None:
    steps = [step for step in made.steps if step.phase in UNTIL_CUTOVER]
    assert list(_releases(context, steps)) == [], "before it is held it stands in nobody's way"
    left = [step for step in steps if step.action is not Action.HOLD]
    assert next(entry.id for entry in _releases(context, left)) == APPLIED
    assert set(open_of(applied_again(step_of(made, "freeze/applied"), context))) == {APPLIED}
    assert APPLIED in open_of(still_frozen(step_of(made, "gate/frozen"), context))
    cluster.annotated()
    assert [*_releases(context, left)] == []
    assert open_of(applied_again(step_of(made, "freeze/applied"), context)) == {}


def test_what_the_cutover_took_and_somebody_brought_back_is_named_before_the_registry_is_stopped(
    cluster: Written, made: Plan, context: Context
) -> None:
    cluster.annotated()
    step = step_of(made, "observe/applied")
    frozen = {each.object for each in made.phase(Phase.FREEZE)} | {each.object for each in made.phase(Phase.ATTACH)}
    here = {f"undone:{name}" for name in frozen}
    assert set(open_of(brought_back(step, context))) - here == {
        f"undone:Ingress {NAMESPACE}/image-registry",
        f"undone:Deployment {NAMESPACE}/sa-imagepullsecret-controller",
    }
    cluster.drop("Ingress", "image-registry")
    cluster.documents[object_path("apps/v1", "deployments", "sa-imagepullsecret-controller", namespace=NAMESPACE)][
        "spec"
    ]["replicas"] = 0
    assert set(open_of(brought_back(step, context))) <= here
