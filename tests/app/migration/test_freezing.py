"""The freeze and the users of the registry before, looked at again: what others brought back is named, and stops."""

from __future__ import annotations

import copy
import json
import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from image_registry.kube.client import object_path
from image_registry.migration import gate_reading
from image_registry.migration.actions import Context, RegistryDoor, StepFailed
from image_registry.migration.ahead import Ahead, Unforeseen
from image_registry.migration.assess import assess
from image_registry.migration.case import make_case
from image_registry.migration.choices import Choices
from image_registry.migration.content import RepositoryContent
from image_registry.migration.freezing import NOT_COMPARED, still_closed, still_frozen
from image_registry.migration.gate_facts import gate_facts
from image_registry.migration.gates import Seen
from image_registry.migration.gating import Gate, _pushed_since
from image_registry.migration.phases import Action, Phase
from image_registry.migration.plan import Step
from image_registry.migration.planning import plan
from image_registry.migration.remaining_uses import remaining_uses
from image_registry.migration.survey_registry import LegacyRegistry
from image_registry.migration.waiting import Wait
from image_registry.remote.asking import Access
from image_registry.remote.errors import Unreachable
from image_registry_lab.legacy.variants import HOST, VARIANTS
from tests.app.migration.conftest import BUILDS, LegacyCluster, cluster_of, inventory_of
from tests.app.migration.test_plans import APP, NESTED, case_of, surveyed

RBAC = "rbac.authorization.k8s.io/v1"
WORKLOAD = ["Deployment", "image-registry", "cpaas-system", "apps/v1"]
GATE = Step("gate/frozen", Phase.GATES, Action.GATE, "frozen", parameters={"gate": "frozen", "workload": WORKLOAD})
NEW = "sha256:" + "b" * 64


@pytest.fixture
def has(monkeypatch: pytest.MonkeyPatch) -> dict[str, RepositoryContent]:
    """What a registry of the fake has now."""
    state = {"team-a/app": APP, "team-a/tools/report": NESTED}

    def repository(_self: LegacyRegistry, name: str, _known: Callable[[str], bool], _before: Any = None) -> Any:
        return state.get(name, RepositoryContent(name))

    def catalog(_self: LegacyRegistry) -> Iterator[str]:
        return iter(tuple(state))

    monkeypatch.setattr(LegacyRegistry, "catalog", catalog)
    monkeypatch.setattr(LegacyRegistry, "repository", repository)
    return state


@pytest.fixture
def cluster() -> LegacyCluster:
    """Frozen: no role gives a right to push, and no job prunes."""
    found = cluster_of(VARIANTS["4.2-gateway"])
    for document in found.documents.values():
        if document["kind"] == "CronJob":
            document["spec"]["suspend"] = True
        if document["kind"] == "PersistentVolume":
            document["spec"]["persistentVolumeReclaimPolicy"] = "Retain"
        for rule in document.get("rules") or () if document["kind"] in ("Role", "ClusterRole") else ():
            if "registry.alauda.io" in rule.get("apiGroups", ()):
                rule["verbs"] = ["get"]
    return found


@pytest.fixture
def context(cluster: LegacyCluster, tmp_path: Path) -> Context:
    made = plan(case_of(VARIANTS["4.2-gateway"], tmp_path, accepted=("nested-path:*",)))
    return Context(
        plan=made,
        client=cluster,
        folder=tmp_path,
        settings=cast("Any", None),
        content=surveyed(tmp_path, APP, NESTED),
        source=RegistryDoor("http://127.0.0.1:1", Access(insecure=True)),
        target=RegistryDoor("http://127.0.0.1:1", Access(insecure=True)),
    )


def open_of(context: Context, step: Step = GATE) -> dict[str, str]:
    look = still_frozen if step.parameters["gate"] == "frozen" else still_closed
    return {item.id: item.cause for item in look(step, context) if item.cause}


def of_plan(context: Context, name: str) -> Step:
    [found] = [step for step in context.plan.steps if step.id == name]
    return found


def given_back(cluster: LegacyCluster) -> dict[str, Any]:
    """The platform's role for pushes as its chart has it."""
    role = cluster.documents[object_path(RBAC, "clusterroles", "system:image-pusher")]
    role["rules"] = [
        {"apiGroups": ["registry.alauda.io"], "resources": ["images"], "verbs": ["get", "update"]},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
    ]
    return role


def commanded(cause: str) -> tuple[list[str], list[dict[str, Any]]]:
    """The words of the command in a sentence, and the rules that it leaves."""
    words = shlex.split(cause[cause.index("kubectl ") :].partition("]'")[0] + "]'")
    [patch] = json.loads(words[-1])
    assert (patch["op"], patch["path"]) == ("replace", "/rules")
    return words[:-1], patch["value"]


@pytest.mark.usefixtures("has")
def test_a_freeze_that_holds_is_green_and_every_tag_was_looked_at(context: Context) -> None:
    found = [item for item in still_frozen(GATE, context) if item.id.startswith("pushed:")]
    assert [item.cause for item in found] == [""] * (len(APP.tags) + len(NESTED.tags))
    assert Gate().do(GATE, {}, context).open == ()
    assert not list(context.folder.glob("now.*"))


@pytest.mark.usefixtures("has")
@pytest.mark.parametrize("name", ["gate/frozen", "observe/closed", "observe/applied", "finalize/applied"])
def test_a_role_that_came_back_is_named_with_the_command_that_closes_it(
    name: str, context: Context, cluster: LegacyCluster
) -> None:
    given_back(cluster)
    cause = open_of(context, of_plan(context, name))["role:ClusterRole system:image-pusher"]
    assert "take that away and run again (kubectl patch clusterrole system:image-pusher" in cause
    assert "the release cpaas-system/image-registry writes it" in cause
    _, rules = commanded(cause)
    assert {"apiGroups": ["registry.alauda.io"], "resources": ["images"], "verbs": ["get"]} in rules
    assert {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]} in rules
    assert any(rule["apiGroups"] == ["image.alauda.io"] for rule in rules), "rights here do not go with it"
    cluster.documents[object_path(RBAC, "clusterroles", "system:image-pusher")]["rules"] = rules
    assert open_of(context, GATE) == {}


@pytest.mark.usefixtures("has")
def test_a_role_that_an_earlier_step_would_narrow_stands_in_nobodys_way_where_one_only_looks(
    context: Context, cluster: LegacyCluster
) -> None:
    role, ahead = given_back(cluster), Ahead()
    name = next(step.object for step in context.plan.phase(Phase.FREEZE) if "image-pusher" in step.id)
    assert name is not None
    assert open_of(context)
    ahead.objects[name] = {**role, "rules": []}
    assert open_of(replace(context, ahead=ahead)) == {}
    closed = of_plan(context, "observe/closed")
    ahead.writes.append(closed)
    with pytest.raises(Unforeseen):  # which tags are there nobody knows by then
        Gate().foresee(closed, replace(context, ahead=ahead))


@pytest.mark.usefixtures("has")
def test_a_job_that_prunes_again_is_named(context: Context, cluster: LegacyCluster) -> None:
    [path] = [path for path, each in cluster.documents.items() if each["kind"] == "CronJob" and "prune" in path]
    cluster.documents[path]["spec"]["suspend"] = False
    [(name, cause)] = open_of(context, of_plan(context, "gate/frozen")).items()
    assert name.startswith("undone:CronJob ")
    assert "stands 'false' again: write true there" in cause
    assert name in open_of(context, of_plan(context, "observe/closed"))
    assert name in open_of(context, of_plan(context, "finalize/applied"))


@pytest.mark.usefixtures("has")
def test_what_comes_back_while_the_cutover_lasts_is_named_at_its_end(context: Context) -> None:
    assert "undone:Ingress cpaas-system/image-registry" in open_of(context, of_plan(context, "cutover/frozen"))


@pytest.mark.usefixtures("has")
def test_what_somebody_kept_as_it_was_is_not_taken_for_undone(context: Context, cluster: LegacyCluster) -> None:
    step = of_plan(context, "cutover/controller")
    assert step.object is not None
    [path] = [path for path in cluster.documents if path.endswith(f"/deployments/{step.object.name}")]
    cluster.documents[path]["spec"]["replicas"] = 7
    name, closed = f"undone:{step.object}", of_plan(context, "observe/closed")
    assert name in open_of(context, closed)
    accepted = replace(context, accepted=(f"changed:{step.object}",))
    assert name not in open_of(accepted, closed)
    cluster.documents[path]["spec"]["replicas"] = int(step.changes[0].before)
    assert name in open_of(accepted, closed), "by that name only what was changed since the plan is left alone"


def tag_of_here(digests: dict[str, str]) -> Callable[..., Seen]:
    return lambda _registry, repository, name: Seen(digests.get(f"{repository}:{name}", ""))


@pytest.mark.parametrize("name", ["observe/closed", "observe/applied", "finalize/applied"])
def test_behind_the_cutover_a_tag_is_named_that_the_registry_before_has_alone(
    name: str, context: Context, has: dict[str, RepositoryContent], monkeypatch: pytest.MonkeyPatch
) -> None:
    step = of_plan(context, name)
    open_of(context)  # the list of the freeze
    has["team-a/app"] = replace(APP, tags={**APP.tags, "v1": NEW, "here": NEW, "late": NEW})
    has["team-a/tools/report"] = replace(NESTED, tags={"1": NEW})
    here = {"team-a/app:here": NEW, "team-a/app:v1": APP.tags["v1"], "team-a/tools-report:1": NEW}
    monkeypatch.setattr(gate_reading, "tag", tag_of_here(here))
    found = {key: cause for key, cause in open_of(context, step).items() if key.startswith("pushed:")}
    assert set(found) == {"pushed:team-a/app:v1", "pushed:team-a/app:late"}, "what is here as well is lost by nobody"
    assert "it is not here: push it to this registry" in found["pushed:team-a/app:late"]
    assert f"it means {APP.tags['v1']} here" in found["pushed:team-a/app:v1"]
    assert NOT_COMPARED in open_of(replace(context, source=None), step)


@pytest.mark.usefixtures("has")
def test_behind_the_stop_a_registry_that_runs_again_is_named_and_asked(
    context: Context, cluster: LegacyCluster
) -> None:
    step, alone = of_plan(context, "finalize/applied"), replace(context, source=None)
    [path] = [path for path in cluster.documents if path.endswith("/cpaas-system/deployments/image-registry")]
    cluster.documents[path]["spec"]["replicas"] = 0
    assert cluster.documents[path]["status"]["replicas"], "its last process is on its way out"
    found = open_of(alone, step)
    assert NOT_COMPARED not in found
    assert "undone:Deployment cpaas-system/image-registry" not in found
    assert NOT_COMPARED in open_of(alone, of_plan(context, "observe/applied"))
    cluster.documents[path]["spec"]["replicas"] = 2
    assert {NOT_COMPARED, "undone:Deployment cpaas-system/image-registry"} <= set(open_of(alone, step))


@pytest.mark.usefixtures("has")
@pytest.mark.parametrize("planned", [True, False])
def test_a_role_that_came_back_before_uploads_end_is_narrowed_again_if_it_is_what_was_found(
    planned: bool, context: Context, cluster: LegacyCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = given_back(cluster)
    path = object_path(RBAC, "clusterroles", "system:image-pusher")

    def write(where: str, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        cluster.documents[where] = body
        return body

    monkeypatch.setattr(cluster, "replace", write)
    saved = {"rules": copy.deepcopy(role["rules"]) if planned else []}
    waited = list[float]()
    asked = replace(context, saved=lambda _step: saved, sleep=waited.append)
    step = of_plan(context, "freeze/uploads")
    if not planned:
        with pytest.raises(StepFailed, match="kubectl patch clusterrole system:image-pusher") as failed:
            Wait().do(step, {}, asked)
        assert commanded(str(failed.value))[1]
        assert cluster.documents[path] == role, "rules that nobody has planned with are left to a person"
        return
    assert "taken away once more" in Wait().do(step, {}, asked).detail
    assert waited == [60]
    assert open_of(context) == {}
    added = [rule for rule in cluster.documents[path]["rules"] if rule["apiGroups"] == ["image.alauda.io"]]
    assert added, "and has its rights here"


def test_what_was_pushed_since_is_named_with_a_cure_and_what_was_deleted_is_not(
    context: Context, has: dict[str, RepositoryContent]
) -> None:
    assert open_of(context) == {}
    has["team-a/app"] = replace(APP, tags={"v1": NEW, "v2": APP.tags["v2"], "late": NEW})
    del has["team-a/tools/report"]
    found = open_of(context)
    assert set(found) == {"pushed:team-a/app:v1", "pushed:team-a/app:late"}
    assert "roll back and run again" in found["pushed:team-a/app:late"]


@pytest.mark.usefixtures("has")
def test_a_push_that_nobody_can_look_for_is_open_until_it_is_accepted(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_of(context)
    assert set(open_of(replace(context, source=None))) == {NOT_COMPARED}
    moved = replace(context, source=RegistryDoor(f"https://{HOST}", Access()))
    assert set(open_of(moved)) == set(), "before the cutover it still leads there"
    last = replace(GATE, phase=Phase.CUTOVER)
    assert f"{HOST} leads to this registry by now" in open_of(moved, last)[NOT_COMPARED]

    def broken(_self: LegacyRegistry) -> Iterator[str]:
        raise Unreachable("nobody answers")

    monkeypatch.setattr(LegacyRegistry, "catalog", broken)
    assert "nobody answers" in open_of(context)[NOT_COMPARED]


def test_a_registry_that_was_stopped_takes_no_pushes(context: Context, cluster: LegacyCluster) -> None:
    deployment = cluster.documents[object_path("apps/v1", "deployments", "image-registry", namespace="cpaas-system")]
    deployment["spec"]["replicas"], deployment["status"] = 0, {}
    assert open_of(replace(context, source=None)) == {}


def test_the_freeze_is_looked_at_after_the_gates_and_right_before_pushes_are_taken(context: Context) -> None:
    names = [step.id for step in context.plan.steps if step.action is Action.GATE or step.id == "cutover/write"]
    assert [step.id for step in context.plan.phase(Phase.GATES)][-1] == "gate/frozen"
    assert names[names.index("cutover/write") - 1] == "cutover/frozen"
    assert "probe" not in str(context.plan.steps)


def test_what_leads_past_the_freeze_is_in_the_plan(tmp_path: Path) -> None:
    cluster = cluster_of(VARIANTS["4.2-gateway"])
    direct = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "image-registry-direct", "namespace": "cpaas-system"},
        "spec": {"ports": [{"port": 5000}]},
    }
    cluster.put(direct)
    case = make_case(inventory_of(cluster), surveyed(tmp_path, APP), Choices())
    found = {finding.id for finding in assess(case)}
    assert "release-owned-role:ClusterRole system:image-pusher" in found
    assert "direct-service:Service cpaas-system/image-registry-direct" in found
    assert "direct-service:Service cpaas-system/image-registry-direct" in {entry.id for entry in plan(case).findings}


def uses(context: Context) -> dict[str, str]:
    [step] = [step for step in context.plan.steps if step.id == "observe/consumers"]
    return {item.id: item.cause for item in remaining_uses(step, context)}


def test_who_still_names_the_registry_before_is_named_before_it_stops(context: Context, cluster: LegacyCluster) -> None:
    found = uses(context)
    assert "consumer:Deployment team-a/web" in found
    assert "image-registry.cpaas-system.svc/team-a/app:v1" in found["consumer:Deployment team-a/web"]
    assert "consumer:Build team-a/app" in found, "custom resources of the inventory are read, too"
    assert not any(HOST in cause for cause in found.values()), "that host has moved"
    web = cluster.documents[object_path("apps/v1", "deployments", "web", namespace="team-a")]
    for container in web["spec"]["template"]["spec"]["containers"]:
        container["image"] = f"{context.plan.host}/team-a/app:v1"
    assert "consumer:Deployment team-a/web" not in uses(context)
    web["spec"]["template"]["spec"]["containers"][0]["image"] = "image-registry.cpaas-system.svc/team-a/app:v1"
    job = {**web, "kind": "Job", "apiVersion": "batch/v1", "metadata": {"name": "once", "namespace": "team-a"}}
    cluster.put({**job, "status": {}})
    assert "consumer:Job team-a/once" in uses(context)
    cluster.put({**job, "status": {"conditions": [{"type": "Complete", "status": "True"}]}})
    assert "consumer:Job team-a/once" not in uses(context), "it has ended, and nobody can change it"
    cluster.denied.add("list cronjobs")
    assert "consumers-unread:cronjobs" in uses(context)


def test_users_are_asked_for_before_the_stop_and_before_the_end(context: Context) -> None:
    names = [step.id for step in context.plan.steps]
    assert names.index("observe/closed") + 1 == names.index("observe/pulls"), "not after a day only"
    assert names.index("observe/consumers") + 1 == names.index("observe/applied")
    assert names.index("observe/applied") + 1 == names.index("observe/stop-gateway")
    assert names.index("observe/stop-gateway") + 1 == names.index("observe/stop")
    assert [step.id for step in context.plan.phase(Phase.FINALIZE)][:2] == ["finalize/applied", "finalize/consumers"]
    [step] = [step for step in context.plan.steps if step.id == "finalize/consumers"]
    assert step.parameters["fields"] == [str(BUILDS)]


def test_an_image_that_was_pushed_after_the_survey_and_is_used_is_asked_for(
    context: Context, has: dict[str, RepositoryContent], tmp_path: Path
) -> None:
    older = replace(APP, tags={name: digest for name, digest in APP.tags.items() if name != "v1"})
    case = case_of(VARIANTS["4.2-gateway"], tmp_path, older, NESTED)
    step = replace(GATE, parameters={"gate": "hosts", **gate_facts(case, "hosts")})
    assert ["team-a/app", "v1", f"{context.plan.host}/team-a/app:v1"] in step.parameters["unknown"]
    assert has["team-a/app"] == APP
    assert f"{context.plan.host}/team-a/app:v1" in list(_pushed_since(step, context))
