"""Taking back: as narrow as the change was, for owners that live, and this registry closed before the old one opens."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from image_registry.migration.cluster_objects import ClusterObjects
from image_registry.migration.facts import ObjectName
from image_registry.migration.installing import Install
from image_registry.migration.journal import Journal, State
from image_registry.migration.object_actions import Apply, Save
from image_registry.migration.phases import Action, Phase
from image_registry.migration.plan import Step
from image_registry.migration.waiting import _failing
from tests.app.migration.test_execution import plan_of

MAP = ObjectName("ConfigMap", "map", "velero")
APPLY = Step(
    "apply", Phase.CUTOVER, Action.APPLY, "Apply", MAP,
    document={"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "map"}, "data": {"old": "a", "new": "b"}},
)  # fmt: skip
Document = dict[str, Any]


@dataclass
class Objects:
    """A named fake of an API server with objects of two kinds: enough for one object and its owner."""

    documents: dict[str, Document] = field(default_factory=dict)

    def find(self, path: str) -> Document | None:
        if path.count("/") == 2:
            return {"resources": [{"name": "configmaps", "kind": "ConfigMap", "namespaced": True}]}
        return copy.deepcopy(self.documents.get(path))

    def replace(self, path: str, body: Mapping[str, Any]) -> Document:
        self.documents[path] = copy.deepcopy(dict(body))
        return self.documents[path]

    def create(self, path: str, body: Mapping[str, Any]) -> Document:
        return self.replace(f"{path}/{body['metadata']['name']}", body)

    def delete(self, path: str, **_query: Any) -> None:
        del self.documents[path]

    def request(self, _method: str, path: str, body: Mapping[str, Any], **_how: Any) -> Document:
        stands = self.documents.get(path, {"metadata": {"name": "map"}})
        return self.replace(path, {**stands, "data": {**stands.get("data", {}), **body["data"]}})


PATH = "/api/v1/namespaces/velero/configmaps/map"


def context_with(found: Objects) -> Any:
    return cast("Any", SimpleNamespace(client=found, global_client=None))


def test_an_object_that_was_changed_gets_back_its_fields_and_keeps_what_others_wrote_since() -> None:
    found = Objects({PATH: {"metadata": {"name": "map"}, "data": {"old": "before", "theirs": "1"}}})
    context, action = context_with(found), Apply()
    saved = action.before(APPLY, context)
    done = action.do(APPLY, saved, context)
    found.documents[PATH]["data"] |= {"theirs": "2", "later": "3"}
    action.undo(APPLY, {**saved, **done.saved}, context)
    assert found.documents[PATH]["data"] == {"old": "before", "theirs": "2", "later": "3"}


def test_a_field_that_somebody_else_has_changed_since_is_left_and_told() -> None:
    found = Objects({PATH: {"metadata": {"name": "map"}, "data": {"old": "before"}}})
    context, action = context_with(found), Apply()
    saved = action.before(APPLY, context)
    action.do(APPLY, saved, context)
    found.documents[PATH]["data"]["old"] = "somebody's"
    outcome = action.undo(APPLY, saved, context)  # killed before the end of the step was written
    assert found.documents[PATH]["data"] == {"old": "somebody's"}
    assert "data/old was changed by somebody else" in outcome.detail


def test_a_saved_object_is_made_again_if_it_is_gone_and_else_left_to_who_changed_it() -> None:
    found = Objects({PATH: {"metadata": {"name": "map"}, "data": {"old": "before"}}})
    context, action = context_with(found), Save()
    step = Step("save", Phase.PREPARE, Action.SAVE, "Save", MAP)
    saved = action.before(step, context)
    found.documents[PATH]["data"]["old"] = "somebody's"
    assert "is left as it is" in action.undo(step, saved, context).detail
    assert found.documents[PATH]["data"] == {"old": "somebody's"}
    del found.documents[PATH]
    action.undo(step, saved, context)
    assert found.documents[PATH]["data"] == {"old": "before"}


def test_an_object_comes_back_without_owners_that_are_gone() -> None:
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "1"}
    path = "/api/v1/namespaces/velero/configmaps/owner"
    saved = {"metadata": {"name": "map", "ownerReferences": [owner]}}
    for uid, kept in (("1", [owner]), ("2", None), ("", None)):
        found = Objects({path: {"metadata": {"name": "owner", "uid": uid}}} if uid else {})
        ClusterObjects(cast("Any", found)).create(MAP, saved)
        assert found.documents[PATH]["metadata"].get("ownerReferences") == kept


@dataclass
class Values:
    """A named fake of an installation."""

    values: Document | None = None

    def current(self) -> Document | None:
        return copy.deepcopy(self.values)

    def write(self, values: Document, _tell: Callable[[str], None]) -> None:
        self.values = copy.deepcopy(values)


def test_this_registry_takes_no_push_any_more_before_the_old_one_starts(tmp_path: Path) -> None:
    write = Step("write", Phase.CUTOVER, Action.INSTALL, "Write", undo="closed", parameters={
        "values": {"readOnly": False}, "undoFirst": True, "undoValues": {"readOnly": True},
    })  # fmt: skip
    stop = Step("stop", Phase.OBSERVE, Action.PATCH, "Stop the old one", undo="it starts")
    plan = plan_of((write, stop))
    journal = Journal(tmp_path / "j", plan)
    for step in plan.steps:
        journal.write(step, State.BEGUN)
        journal.write(step, State.DONE)
    assert [step.id for step, _ in journal.to_undo()] == ["write", "stop"]
    settings = Values({"config": {"readOnly": False}})  # as a copy has it: nobody closed it before
    context = cast("Any", SimpleNamespace(settings=settings, tell=print))
    saved = {"values": [[["config", "readOnly"], False]]}
    Install().undo(plan.steps[0], saved, context)
    assert settings.values == {"config": {"readOnly": True}}


class Pods:
    """A named fake of an API server that has one Pod, anywhere."""

    def __init__(self, image: str) -> None:
        waiting = {"state": {"waiting": {"reason": "ImagePullBackOff"}}, "image": image}
        self.pod = {"metadata": {"name": "p", "namespace": "x"}, "status": {"containerStatuses": [waiting]}}

    def get(self, path: str, **_query: Any) -> Document:
        assert path == "/api/v1/pods"
        return {"metadata": {}, "items": [self.pod]}

    def request(self, _method: str, path: str, **_query: Any) -> Document:
        return self.get(path)


def test_a_pod_that_waits_for_an_image_by_a_host_that_moved_is_seen_wherever_it_is() -> None:
    routes = [{"name": "legacy", "hostname": "moved.test"}]
    plan = plan_of(host="ours:5000", values={"routes": routes}, pruner={"registryHosts": ["before.svc"]})
    accepted = set[str]()

    def failing(image: str) -> list[str]:
        context = SimpleNamespace(plan=plan, client=Pods(image), accepts=accepted.__contains__)
        return list(_failing(cast("Any", context)))

    assert failing("moved.test/team/app:1") == ["Pod x/p: ImagePullBackOff for moved.test/team/app:1"]
    assert failing("ours:5000/team/app:1")
    assert failing("before.svc/team/app:1"), "nobody has changed it, and the registry before stops"
    assert not failing("docker.io/app:1")
    accepted.add("pod:x/p")
    assert not failing("before.svc/team/app:1")
