"""Workloads that follow tags are written once, in their fields alone, whatever is lost, repeated or undone."""

from __future__ import annotations

import copy
import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from image_registry.kube.client import ClusterClient
from image_registry.kube.errors import ClusterUnreachable, KubeError
from image_registry.kube.watch import Change
from image_registry.operator import image_triggers
from image_registry.operator.image_triggers import ImageTriggers
from image_registry.operator.trigger_plan import ANNOTATION, FOLLOWING
from image_registry.operator.trigger_queue import DelayedQueue
from tests.at_once import at_once

if TYPE_CHECKING:
    from tests.conftest import FakeCluster

DEPLOYMENTS = "/apis/apps/v1/namespaces/team/deployments"
TAGS = "/apis/image.alauda.io/v1/namespaces/{}/imagestreamtags/{}"
KIND = next(known for known in FOLLOWING if known.kind == "Deployment")
FIELD = "spec.template.spec.containers[0].image"


class FakeClient(ClusterClient):
    """A named fake of the cluster at the client: objects by path, versions, reviews; ``web`` has one tag, ``v1``."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.version = 1
        self.patches: list[str] = []
        self.events: list[dict[str, Any]] = []
        self.rights: set[tuple[str, str]] = set()
        self.reads = 0
        self.failure: Exception | None = None
        self.before_patch: Any = lambda: None
        self.after_patch: Any = lambda: None

    def request(self, method: Any, path: str, body: Any = None, **options: Any) -> dict[str, Any]:
        if self.failure is not None and "/events" not in path:
            raise self.failure
        if method == "POST" and body is not None:
            return self._post(path, dict(body))
        if method == "PATCH" and body is not None:
            return self._patch(path, body)
        if path in {f"/apis/{known.group_version}/{known.resource}" for known in FOLLOWING}:
            return self._page(path, options.get("query") or {})
        self.reads += 1
        if path not in self.objects:
            raise KubeError(404, "NotFound", f"{path} not found")
        return copy.deepcopy(self.objects[path])

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path.endswith("/events"):
            self.events.append(body)
            return body
        attributes = body["spec"]["resourceAttributes"]
        assert (attributes["verb"], attributes["resource"], attributes["subresource"]) == (
            "get",
            "imagestreams",
            "layers",
        )
        return {"status": {"allowed": (body["spec"]["user"], attributes["namespace"]) in self.rights}}

    def _patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        self.before_patch()
        held = self.objects[path]
        if body["metadata"]["resourceVersion"] != held["metadata"]["resourceVersion"]:
            raise KubeError(409, "Conflict", "the object has been modified")
        self.patches.append(path)
        containers = {entry["name"]: entry for entry in held["spec"]["template"]["spec"]["containers"]}
        for entry in body["spec"]["template"]["spec"]["containers"]:
            containers[entry["name"]].update(entry)
        self.put(path, held)
        self.after_patch()
        return held

    def _page(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        """One object a page."""
        group_version, resource = path.removeprefix("/apis/").rsplit("/", 1)
        inside = sorted(
            key for key in self.objects if key.startswith(f"/apis/{group_version}/") and f"/{resource}/" in key
        )
        index = int(query.get("continue", "0"))
        items = [{"metadata": self.objects[key]["metadata"]} for key in inside[index : index + 1]]
        return {"items": items, "metadata": {"continue": str(index + 1) if index + 1 < len(inside) else ""}}

    # what others do

    def put(self, path: str, document: dict[str, Any]) -> None:
        self.version += 1
        document["metadata"]["resourceVersion"] = str(self.version)
        self.objects[path] = document

    def tag(self, name: str, reference: str, namespace: str = "team") -> None:
        path = TAGS.format(namespace, name.replace(":", "%3A"))
        self.put(path, {"metadata": {}, "image": {"dockerImageReference": reference}})

    def deploy(self, name: str, *triggers: dict[str, Any] | str, **pod: Any) -> str:
        text = triggers[0] if triggers and isinstance(triggers[0], str) else json.dumps(triggers)
        containers = [{"name": "web", "image": "old", "args": ["kept"]}, {"name": "side", "image": "side:1"}]
        document = {
            "metadata": {"namespace": "team", "name": name, "uid": f"u-{name}", "annotations": {ANNOTATION: text}},
            "spec": {"replicas": 3, "template": {"spec": {"containers": containers, **pod}}},
        }
        self.put(f"{DEPLOYMENTS}/{name}", document)
        return f"{DEPLOYMENTS}/{name}"

    def image(self, path: str) -> str:
        image: str = self.objects[path]["spec"]["template"]["spec"]["containers"][0]["image"]
        return image


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def cluster() -> FakeClient:
    return FakeClient()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def term(cluster: FakeClient, clock: Clock) -> ImageTriggers:
    return ImageTriggers(cluster, clock)


def settle(term: ImageTriggers) -> None:
    """Until nothing is due; what never settles fails."""
    for _ in range(100):
        if not term.step(lambda: True):
            return
    pytest.fail("it goes on for ever")


def follow(name: str = "web:v1", path: str = FIELD, **more: Any) -> dict[str, Any]:
    return {"from": {"kind": "ImageStreamTag", "name": name, **more}, "fieldPath": path}


def test_what_exists_at_the_beginning_is_brought_to_what_its_tags_mean(
    cluster: FakeClient, term: ImageTriggers
) -> None:
    cluster.tag("web:v1", "new")
    paths = [cluster.deploy(name, follow()) for name in ("a", "b", "c")]
    before = copy.deepcopy(cluster.objects[paths[0]])
    settle(term)
    assert [cluster.image(path) for path in paths] == ["new"] * 3
    after = cluster.objects[paths[0]]
    assert after["spec"]["template"]["spec"]["containers"][0].pop("image") == "new"
    assert before["spec"]["template"]["spec"]["containers"][0].pop("image") == "old"
    assert after["spec"] == before["spec"], "nothing else was touched"


def test_a_tag_that_moves_is_followed_and_written_once(cluster: FakeClient, term: ImageTriggers) -> None:
    path = cluster.deploy("app", follow())
    settle(term)
    assert cluster.patches == []
    for image in ("one", "two"):
        cluster.tag("web:v1", image)
        term.stream_told(Change("MODIFIED", "team", "web"))
        settle(term)
        assert cluster.image(path) == image
        term.workload_told(KIND, Change("MODIFIED", "team", "app", {ANNOTATION: ""}))
        term.stream_told(Change("MODIFIED", "team", "web"))
        settle(term)
    assert len(cluster.patches) == 2
    assert [event["type"] for event in cluster.events] == ["Normal", "Normal"]


def test_what_happened_while_nobody_worked_is_made_up_for(cluster: FakeClient, clock: Clock) -> None:
    path = cluster.deploy("app", follow())
    cluster.tag("web:v1", "one")
    settle(ImageTriggers(cluster, clock))
    cluster.tag("web:v1", "two")
    settle(ImageTriggers(cluster, clock))
    assert cluster.image(path) == "two"
    assert len(cluster.patches) == 2


def test_what_was_not_told_is_seen_from_time_to_time(cluster: FakeClient, term: ImageTriggers, clock: Clock) -> None:
    path = cluster.deploy("app", follow())
    settle(term)
    cluster.tag("web:v1", "new")
    settle(term)
    assert cluster.image(path) == "old"
    clock.now += 1000
    settle(term)
    assert cluster.image(path) == "new"


def test_an_annotation_that_comes_and_goes(cluster: FakeClient, term: ImageTriggers) -> None:
    cluster.tag("web:v1", "one")
    settle(term)
    path = cluster.deploy("app", follow())
    term.workload_told(KIND, Change("ADDED", "team", "app", {ANNOTATION: ""}))
    settle(term)
    assert cluster.image(path) == "one"
    cluster.objects[path]["metadata"]["annotations"] = {}
    term.workload_told(KIND, Change("MODIFIED", "team", "app"))
    settle(term)
    cluster.tag("web:v1", "two")
    reads = cluster.reads
    term.stream_told(Change("MODIFIED", "team", "web"))
    settle(term)
    assert (cluster.image(path), cluster.reads) == ("one", reads)


def test_workloads_without_the_annotation_cost_nothing(cluster: FakeClient, term: ImageTriggers) -> None:
    settle(term)
    term.workload_told(KIND, Change("MODIFIED", "team", "other"))
    settle(term)
    assert cluster.reads == 0


def test_a_write_that_somebody_else_was_faster_than_is_made_again(
    cluster: FakeClient, term: ImageTriggers, clock: Clock
) -> None:
    cluster.tag("web:v1", "new")
    path = cluster.deploy("app", follow())

    def scaled() -> None:
        cluster.before_patch = lambda: None
        cluster.objects[path]["spec"]["replicas"] = 5
        cluster.put(path, cluster.objects[path])

    cluster.before_patch = scaled
    settle(term)
    assert cluster.image(path) == "old"
    clock.now += 0.2
    settle(term)
    assert cluster.image(path) == "new"
    assert cluster.objects[path]["spec"]["replicas"] == 5


@pytest.mark.parametrize("failure", [ClusterUnreachable("away"), KubeError(500, "InternalError", "no")])
def test_a_cluster_that_fails_is_asked_again_later(
    cluster: FakeClient, term: ImageTriggers, clock: Clock, failure: Exception
) -> None:
    cluster.tag("web:v1", "new")
    path = cluster.deploy("app", follow())
    settle(term)
    cluster.tag("web:v1", "newer")
    cluster.failure = failure
    term.stream_told(Change("MODIFIED", "team", "web"))
    for _ in range(5):
        settle(term)
        clock.now += 30
    assert cluster.image(path) == "new"
    cluster.failure = None
    clock.now += 61
    settle(term)
    assert cluster.image(path) == "newer"


def test_a_name_that_cannot_be_sent_is_told_and_hinders_nobody(cluster: FakeClient, term: ImageTriggers) -> None:
    cluster.tag("web:v1", "new")
    path = cluster.deploy("app", follow("\ud800:1"), follow())
    settle(term)
    assert cluster.image(path) == "new"
    (warning,) = [event for event in cluster.events if event["reason"] == "ImageTriggerInvalid"]
    assert "is not a repository name" in warning["message"]


def test_a_workload_that_nobody_foresaw_is_named_and_the_others_go_on(
    cluster: FakeClient, term: ImageTriggers, clock: Clock
) -> None:
    cluster.tag("web:v1", "new")
    paths = [cluster.deploy(name, follow()) for name in ("a", "b")]

    def surprise() -> None:
        cluster.before_patch = lambda: None
        raise LookupError("nobody foresaw this")

    cluster.before_patch = surprise
    with structlog.testing.capture_logs() as logs:
        settle(term)
    (line,) = [line for line in logs if line["event"] == "a workload could not be looked at"]
    odd = f"{DEPLOYMENTS}/{line['workload'].removeprefix('Deployment team/')}"
    assert line["reason"] == "LookupError('nobody foresaw this')"
    assert [cluster.image(path) for path in paths if path != odd] == ["new"]
    assert cluster.image(odd) == "old"
    clock.now += 61
    settle(term)
    assert cluster.image(odd) == "new"


def test_two_that_want_different_images_do_not_write_for_ever(
    cluster: FakeClient, term: ImageTriggers, clock: Clock
) -> None:
    cluster.tag("web:v1", "new")
    path = cluster.deploy("app", follow())

    def undone() -> None:
        cluster.objects[path]["spec"]["template"]["spec"]["containers"][0]["image"] = "mirror/new"
        term.workload_told(KIND, Change("MODIFIED", "team", "app", {ANNOTATION: ""}))

    cluster.after_patch = undone
    for _ in range(3600):
        settle(term)
        clock.now += 1
    assert 5 <= len(cluster.patches) <= 15
    assert [event["reason"] for event in cluster.events].count("ImageTriggerUndone") == 1
    cluster.tag("web:v1", "newest")
    cluster.after_patch = lambda: None
    term.stream_told(Change("MODIFIED", "team", "web"))
    settle(term)
    assert cluster.image(path) == "newest", "another image is written at once"


def test_what_is_wrong_is_told_at_the_workload_once(cluster: FakeClient, term: ImageTriggers, clock: Clock) -> None:
    cluster.tag("web:v1", "new")
    later = follow("later:v1", FIELD.replace("0", "1"))
    path = cluster.deploy("app", follow(path="spec.nothing[0].image"), later, follow())
    for _ in range(3):
        settle(term)
        clock.now += 1000
    assert cluster.image(path) == "new"
    warnings = [event for event in cluster.events if event["type"] == "Warning"]
    assert len(warnings) == 1
    assert "spec.nothing" in warnings[0]["message"]
    about = warnings[0]["involvedObject"]
    assert (about["apiVersion"], about["kind"], about["name"], about["uid"]) == (
        "apps/v1",
        "Deployment",
        "app",
        "u-app",
    )
    cluster.deploy("broken", "no JSON")
    term.workload_told(KIND, Change("ADDED", "team", "broken", {ANNOTATION: ""}))
    settle(term)
    assert "no JSON list" in cluster.events[-1]["message"]


def test_a_tag_of_another_namespace_is_followed_if_the_pods_may_pull_it(
    cluster: FakeClient, term: ImageTriggers, clock: Clock
) -> None:
    cluster.tag("web:v1", "theirs", namespace="other")
    path = cluster.deploy("app", follow(namespace="other"), serviceAccountName="runner")
    settle(term)
    assert cluster.image(path) == "old"
    assert "may not pull" in cluster.events[-1]["message"]
    assert "theirs" not in json.dumps(cluster.events)
    cluster.rights.add(("system:serviceaccount:team:runner", "other"))
    clock.now += 1000
    settle(term)
    assert cluster.image(path) == "theirs"


def test_a_paused_trigger_waits(cluster: FakeClient, term: ImageTriggers) -> None:
    cluster.tag("web:v1", "new")
    path = cluster.deploy("app", {**follow(), "paused": True})
    settle(term)
    assert (cluster.image(path), cluster.events) == ("old", [])


def test_what_is_being_deleted_is_left_alone(cluster: FakeClient, term: ImageTriggers) -> None:
    cluster.tag("web:v1", "new")
    path = cluster.deploy("app", follow())
    cluster.objects[path]["metadata"]["deletionTimestamp"] = "2030-01-01T00:00:00Z"
    settle(term)
    assert cluster.patches == []


def test_who_lost_the_lease_writes_nothing_more(cluster: FakeClient, term: ImageTriggers) -> None:
    cluster.tag("web:v1", "new")
    cluster.deploy("app", follow())
    assert term.step(lambda: False) is False
    assert cluster.patches == []


def test_what_watches_tell_is_followed_in_every_term(
    fake_cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole program over TLS, which loses its lease in between."""
    ended: list[ImageTriggers] = []

    class Term(ImageTriggers):
        def run(self, goes_on: Callable[[], bool]) -> None:
            super().run(goes_on)
            ended.append(self)

    monkeypatch.setattr(image_triggers, "ImageTriggers", Term)
    streams, deployments = "/apis/image.alauda.io/v1/imagestreams", "/apis/apps/v1/deployments"
    fake_cluster.watched = {streams, *(f"/apis/{known.group_version}/{known.resource}" for known in FOLLOWING)}
    annotations = {ANNOTATION: json.dumps([follow()])}
    pod = {"spec": {"containers": [{"name": "web", "image": "old"}]}}
    metadata = {"namespace": "team", "uid": "u", "annotations": annotations}
    path, tag = f"{DEPLOYMENTS}/app", TAGS.format("team", "web%3Av1")
    fake_cluster.put(path, {"metadata": metadata, "spec": {"template": pod}})
    leads, stop = threading.Event(), threading.Event()
    leads.set()

    def others() -> None:
        try:
            for image in ("one", "two"):
                fake_cluster.put(tag, {"image": {"dockerImageReference": image}})
                wait(lambda: fake_cluster.following(streams) and fake_cluster.following(deployments))
                fake_cluster.tell(deployments, "ADDED", "team", "app", annotations)
                wait(lambda image=image: shown() == image)  # type: ignore[misc]
                fake_cluster.put(tag, {"image": {"dockerImageReference": f"{image} again"}})
                fake_cluster.tell(streams, "MODIFIED", "team", "web")
                wait(lambda image=image: shown() == f"{image} again")  # type: ignore[misc]
                leads.clear()
                wait(lambda image=image: len(ended) == ("one", "two").index(image) + 1)  # type: ignore[misc]
                fake_cluster.tell_nobody()
                leads.set()
        finally:
            stop.set()

    def shown() -> str:
        image: str = fake_cluster.objects[path]["spec"]["template"]["spec"]["containers"][0]["image"]
        return image

    at_once([others, lambda: image_triggers.run(fake_cluster.client(), leads.is_set, stop)], patience=90)


def wait(true: Callable[[], object]) -> None:
    end = time.monotonic() + 40
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_earliest_time_counts_and_everything_is_taken_once() -> None:
    clock = Clock()
    queue: DelayedQueue[str] = DelayedQueue(clock)
    queue.add("late", 10)
    queue.add("a")
    queue.add("a", 5)
    queue.add("b", 3)
    queue.add("b", 1)
    assert [queue.take(0), queue.take(0)] == ["a", None]
    clock.now += 4
    assert [queue.take(0), queue.take(0)] == ["b", None]
    clock.now += 6
    assert [queue.take(0), queue.take(0)] == ["late", None]
