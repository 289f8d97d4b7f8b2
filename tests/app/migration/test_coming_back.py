"""A rollback goes on when the registry before serves; nobody waits for who was not ready, is gone, or was accepted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest

from image_registry.migration.actions import Context, RegistryDoor, StepFailed
from image_registry.migration.choices import Way
from image_registry.migration.facts import ConsumerFact, ObjectName, UseFact
from image_registry.migration.gating import Gate
from image_registry.migration.item_results import read_results, results_path
from image_registry.migration.journal import Journal, State
from image_registry.migration.object_actions import Patch
from image_registry.migration.phases import Action, Phase
from image_registry.migration.plan import Plan, Step
from image_registry.migration.planning import plan
from image_registry.migration.rewriting import Change, rewrites
from image_registry.migration.waiting import Wait
from image_registry.remote.asking import Access
from image_registry_lab.legacy.variants import VARIANTS
from tests.app.migration.test_execution import context_of, plan_of
from tests.app.migration.test_plans import case_of, changed
from tests.app.migration.test_taking_back import Document, Objects

IMAGE = "/spec/template/spec/containers/0/image"
LEGACY = ["Deployment", "image-registry", "cpaas-system", "apps/v1"]


def deployment(name: str, ready: int = 1, image: str = "old/a:1", **spec: Any) -> Document:
    template = {"spec": {"containers": [{"name": "c", "image": image}]}}
    counts = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), ready)
    return {"metadata": {"name": name, "generation": 1}, "spec": {"replicas": 1, "template": template, **spec},
            "status": {"observedGeneration": 1, **counts}}  # fmt: skip


class Apps(Objects):
    """A named fake of an API server with Deployments, and no Pods."""

    def __init__(self, namespace: str, *documents: Document) -> None:
        self.namespace = namespace
        super().__init__({self.path(each["metadata"]["name"]): each for each in documents})

    def path(self, name: str) -> str:
        return f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{name}"

    def find(self, path: str) -> Document | None:
        if path == "/apis/apps/v1":
            return {"resources": [{"name": "deployments", "kind": "Deployment", "namespaced": True}]}
        return super().find(path)

    def get(self, _path: str, **_query: Any) -> Document:
        return {"metadata": {}, "items": []}


def context_with(found: Apps, made: Plan, folder: Path, *accepted: str, **more: Any) -> Context:
    time = [0.0]
    quick = {"clock": lambda: time[0], "sleep": lambda seconds: time.__setitem__(0, time[0] + seconds)}
    return replace(context_of(made, folder, *accepted), client=cast("Any", found), **{**quick, **more})


def batch(*names: str) -> Plan:
    change = (Change(IMAGE, "old/a:1", "new/a:1"),)
    patches = [
        Step(f"cutover/{name}", Phase.CUTOVER, Action.PATCH, name, ObjectName("Deployment", name, "t", "apps/v1"),
             change, parameters={"batch": "t"}, undo="back")
        for name in names
    ]  # fmt: skip
    ready = Step("ready", Phase.CUTOVER, Action.WAIT, "w", parameters={"readiness": "t", "seconds": 4}, undo="back")
    rollout = Step("rollout", Phase.CUTOVER, Action.WAIT, "w", parameters={"batch": "t", "seconds": 4})
    gate = Step("gate/objects", Phase.GATES, Action.GATE, "g", parameters={"gate": "objects"})
    return plan_of([gate, ready, *patches, rollout])


def step(made: Plan, name: str) -> Step:
    return next(found for found in made.steps if found.id == name)


@pytest.mark.parametrize("direction", ["do", "undo"])
def test_who_was_not_ready_before_is_not_waited_for_and_all_others_are(direction: str, tmp_path: Path) -> None:
    made = batch("broken", "well")
    found = Apps("t", deployment("broken", 0), deployment("well"))
    context = context_with(found, made, tmp_path)
    noted = Wait().do(step(made, "ready"), {}, context)
    assert "Deployment t/broken (0 updatedReplicas" in noted.detail
    waited = step(made, "rollout" if direction == "do" else "ready")
    getattr(Wait(), direction)(waited, {}, context)
    Wait().do(step(made, "ready"), {}, context)
    found.documents[found.path("well")]["status"]["availableReplicas"] = 0
    Wait().do(step(made, "ready"), {}, context)  # an interrupted run looks again: what was noted first stays
    with pytest.raises(StepFailed, match=r"Deployment t/well: 0 availableReplicas of 1 .*--accept 'rollout:"):
        getattr(Wait(), direction)(waited, {}, context)
    accepting = replace(context, accepted=("rollout:Deployment t/well",))
    getattr(Wait(), direction)(waited, {}, accepting)


def test_who_pulls_by_a_host_that_comes_back_later_is_not_waited_for_on_the_way_back(tmp_path: Path) -> None:
    made = batch("web", "other")
    made = replace(made, values={"routes": [{"hostname": "old"}]})
    context = context_with(Apps("t", deployment("web"), deployment("other")), made, tmp_path)
    Wait().do(step(made, "ready"), {}, context)
    found = cast("Any", context.client)
    for name in ("web", "other"):
        found.documents[found.path(name)]["status"]["availableReplicas"] = 0
    Wait().undo(step(made, "ready"), {}, context)
    with pytest.raises(StepFailed, match="Deployment t/web: 0 availableReplicas"):
        Wait().do(step(made, "rollout"), {}, context)


def test_a_migration_that_begins_anew_looks_anew_who_is_ready(tmp_path: Path) -> None:
    made = batch("web")
    found = Apps("t", deployment("web", 0))
    context = context_with(found, made, tmp_path)
    ready = step(made, "ready")
    Wait().before(ready, context)
    assert "not ready before" in Wait().do(ready, {}, context).detail
    found.documents[found.path("web")]["status"] = deployment("web")["status"]
    assert "not ready before" in Wait().do(ready, {}, context).detail, "an interrupted run keeps what it saw"
    Wait().before(ready, context)
    assert Wait().do(ready, {}, context).detail == "all of them are ready"


@pytest.mark.parametrize(
    "document", [None, deployment("web", 0, updateStrategy={"type": "OnDelete"})], ids=["gone", "by a person"]
)
def test_who_is_gone_or_rolls_when_a_person_deletes_pods_is_not_waited_for(
    document: Document | None, tmp_path: Path
) -> None:
    made = batch("web")
    context = context_with(Apps("t", *([document] if document else [])), made, tmp_path)
    Wait().do(step(made, "rollout"), {}, context)


def test_an_object_that_is_gone_is_passed_over_on_both_ways(tmp_path: Path) -> None:
    made = batch("web")
    patch, context = step(made, "cutover/web"), context_with(Apps("t"), made, tmp_path)
    saved = Patch().before(patch, context)
    assert Patch().foresee(patch, context) == ""
    assert Patch().do(patch, saved, context).skipped
    assert Patch().undo(patch, saved, context).skipped


def test_an_image_that_was_changed_since_the_plan_is_seen_before_the_cutover_and_left_by_consent(
    tmp_path: Path,
) -> None:
    made, name = batch("web", "other"), "changed:Deployment t/web"
    found = Apps("t", deployment("web", image="old/a:2"), deployment("other"))
    context = context_with(found, made, tmp_path)
    gate, patch = step(made, "gate/objects"), step(made, "cutover/web")
    assert Gate().do(gate, {}, context).open == (name,)
    assert "stands 'old/a:2' and not 'old/a:1'" in read_results(results_path(tmp_path, gate))[name]["cause"]
    with pytest.raises(StepFailed, match=f"--accept '{name}'"):
        Patch().do(patch, Patch().before(patch, context), context)
    accepting = replace(context, accepted=(name,))
    assert Gate().do(gate, {}, accepting).open == ()
    assert Patch().do(patch, Patch().before(patch, accepting), accepting).skipped
    assert found.documents[found.path("web")] == deployment("web", image="old/a:2")


def consumer(kind: str, **more: Any) -> ConsumerFact:
    version = "batch/v1" if kind == "Job" else "v1"
    return ConsumerFact(ObjectName(kind, "x", "t", version), (UseFact(IMAGE, "old/t/a:1"),), **more)


def test_a_job_is_never_patched_and_what_has_ended_is_left_alone() -> None:
    def planned(*found: ConsumerFact) -> list[tuple[str, int, str]]:
        made = rewrites(found, host="new", moving=frozenset(), renames={})
        return [(entry.object.kind, len(entry.changes), entry.by_hand) for entry in made]

    assert planned(consumer("Job", over=True), consumer("Pod", over=True)) == []
    [(kind, changes, by_hand)] = planned(consumer("Job"))
    assert (kind, changes) == ("Job", 0)
    assert "cannot be changed" in by_hand
    assert planned(consumer("Pod")) == [("Pod", 1, "")]


def test_a_job_that_has_ended_is_known_by_its_conditions(tmp_path: Path) -> None:
    def add(cluster: Any) -> None:
        for name, condition in (("done", "Complete"), ("failed", "Failed"), ("live", "Suspended")):
            template = {
                "spec": {"containers": [{"name": "c", "image": "image-registry.cpaas-system.svc/team-a/app:v1"}]}
            }
            cluster.put({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": "team-a"},
                         "spec": {"template": template},
                         "status": {"conditions": [{"type": condition, "status": "True"}]}})  # fmt: skip

    steps = plan(changed("4.2-pvc", add, tmp_path)).phase(Phase.CUTOVER)
    jobs = {each.object.name: each.action for each in steps if each.object and each.object.kind == "Job"}
    assert jobs == {"live": Action.BY_HAND}


class Waking(BaseHTTPRequestHandler):
    """Answers 503 twice, then as a registry that wants a login."""

    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        self.send_response(503 if self.asked < 3 else 401)
        self.send_header("Content-Length", "0")
        self.send_header("WWW-Authenticate", 'Basic realm="x"')
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def waking() -> Iterator[str]:
    Waking.asked = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Waking) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("phase", [Phase.PREPARE, Phase.CUTOVER])
def test_the_old_registry_that_somebody_stopped_is_started_and_asked_until_it_answers(
    phase: Phase, waking: str, tmp_path: Path
) -> None:
    made = plan(case_of(VARIANTS["4.2-pvc"], tmp_path))
    stopped = deployment("image-registry", 0, replicas=0)
    found = Apps("cpaas-system", stopped)
    looks = [0]

    def sleep(_seconds: float) -> None:
        looks[0] += 1
        if looks[0] == 2:  # its Pod is there
            found.documents[found.path("image-registry")]["status"] = deployment("x")["status"]

    door = RegistryDoor(waking, Access(insecure=True))
    time = iter(range(0, 6000, 100))
    context = replace(context_with(found, made, tmp_path, source=door), sleep=sleep, clock=lambda: float(next(time)))
    waited = step(made, f"{phase}/serving")
    assert waited.parameters["serving"] == LEGACY
    Wait().undo(waited, {}, context)
    assert found.documents[found.path("image-registry")]["spec"]["replicas"] == 1
    assert (looks[0] >= 2, Waking.asked >= 3) == (True, True)


def test_an_old_registry_that_does_not_come_up_ends_the_rollback_before_anybody_is_led_to_it(tmp_path: Path) -> None:
    made = plan(case_of(VARIANTS["4.2-pvc"], tmp_path))
    context = context_with(Apps("cpaas-system", deployment("image-registry", 0)), made, tmp_path)
    with pytest.raises(StepFailed, match="after 600 s: Deployment cpaas-system/image-registry: 0 updatedReplicas"):
        Wait().undo(step(made, "cutover/serving"), {}, context)
    Wait().undo(step(made, "cutover/serving"), {}, replace(context, accepted=("cutover/serving",)))
    gone = replace(context, client=cast("Any", Apps("cpaas-system")))
    with pytest.raises(StepFailed, match="install the old registry again"):
        Wait().undo(step(made, "cutover/serving"), {}, gone)


@pytest.mark.parametrize("way", list(Way))
def test_a_rollback_closes_this_registry_then_waits_for_the_old_one_and_looks_at_it_last(
    way: Way, tmp_path: Path
) -> None:
    made = plan(case_of(VARIANTS["4.2-pvc"], tmp_path, way=way, claim_size=1 << 40))
    journal = Journal(tmp_path / "journal", made)
    for each in made.steps:
        if each.phase is not Phase.FINALIZE:
            journal.write(each, State.BEGUN)
    order = [each.id for each, _ in journal.to_undo() if each.undo]
    first = ["cutover/tags", "cutover/write", "cutover/serving", "observe/stop"]
    assert order[:4] == first if way is Way.REUSE else order[:3] == first[1:]
    assert order[-1] == "prepare/serving"
    web, ready = order.index("cutover/Deployment team-a/web"), order.index("cutover/readiness/team-a")
    assert web < ready < order.index("install")
