"""Short names in Pods become references of the namespace's streams, once, and in every place of an image."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import Any

import pytest

from image_registry.image_api.app import create_app
from image_registry.imagestreams.errors import MetadataUnavailable
from image_registry.imagestreams.local_names import LocalNames
from image_registry.kube.pod_templates import WORKLOADS, Workload, workload

PATH = "localnamereviews"
ANY = {"alpha.image.policy.alauda.io/resolve-names": "*"}
DEPLOYMENT = workload("apps/v1", "Deployment")
POD = workload("v1", "Pod")


@pytest.fixture
def hook(api: Any) -> Any:
    """A registry with ``team/app`` that lends its name and ``team/own`` that does not."""
    switch_on(api, LocalNames.IGNORE)
    for name in ("app", "own"):
        stream = {"metadata": {"name": name}, "spec": {"lookupPolicy": {"local": name == "app"}}}
        api.write("POST", "namespaces/team/imagestreams", stream, 201)
    return api


def switch_on(api: Any, mode: LocalNames) -> None:
    api.client = create_app(dataclasses.replace(api.parts, local_names=mode)).test_client()


def review(
    known: Workload | None,
    document: dict[str, Any],
    before: dict[str, Any] | None = None,
    namespace: str = "team",
    **more: Any,
) -> dict[str, Any]:
    assert known is not None
    group, _, version = known.group_version.rpartition("/")
    request = {
        "uid": "e1",
        "kind": {"group": group, "version": version, "kind": known.kind},
        "namespace": namespace,
        "operation": "UPDATE" if before else "CREATE",
        "object": document,
        "oldObject": before,
        **more,
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


def holding(known: Workload | None, *images: str, annotations: dict[str, str] | None = None) -> dict[str, Any]:
    assert known is not None
    containers = [{"name": f"c{index}", "image": image} for index, image in enumerate(images)]
    document: dict[str, Any] = {"spec": {"containers": containers}}
    for key in reversed(known.pod):
        document = {key: document}
    return {**document, "metadata": {"name": "x", "annotations": annotations or {}}}


def response(api: Any, asked: dict[str, Any]) -> Any:
    answer = api.write("POST", PATH, asked)
    assert (answer["apiVersion"], answer["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    assert answer["response"]["uid"] == "e1"
    return answer["response"]


def changes(api: Any, asked: dict[str, Any]) -> dict[str, str]:
    """Pointers and what is put there, of a review that passes."""
    answer = response(api, asked)
    assert answer["allowed"] is True
    if "patch" not in answer:
        return {}
    assert answer["patchType"] == "JSONPatch"
    patch = json.loads(base64.b64decode(answer["patch"]))
    assert {entry["op"] for entry in patch} == {"replace"}
    return {entry["path"]: entry["value"] for entry in patch}


@pytest.mark.parametrize("known", WORKLOADS, ids=lambda known: known.kind)
def test_a_tag_of_a_stream_becomes_what_it_means_now_in_every_kind(hook: Any, known: Workload) -> None:
    digest = hook.push("team/app", "one", "v1")
    latest = hook.push("team/app", "two")
    found = changes(hook, review(known, holding(known, "app:v1", "app", "busybox", "quay.io/a/app:v1", "own")))
    pointer = "/".join(["", *known.pod, "spec", "containers"])
    assert found == {
        f"{pointer}/0/image": f"{hook.host}/team/app@{digest}",
        f"{pointer}/1/image": f"{hook.host}/team/app@{latest}",
    }


def test_init_and_ephemeral_containers_and_volumes_of_images_are_resolved_too(hook: Any) -> None:
    reference = f"{hook.host}/team/app@{hook.push('team/app', 'one')}"
    document = {
        "spec": {
            "initContainers": [{"name": "a", "image": "app"}],
            "ephemeralContainers": [{"name": "b", "image": "app"}],
            "volumes": [{"name": "c", "image": {"reference": "app"}}],
        }
    }
    assert changes(hook, review(POD, document)) == {
        "/spec/initContainers/0/image": reference,
        "/spec/ephemeralContainers/0/image": reference,
        "/spec/volumes/0/image/reference": reference,
    }


@pytest.mark.parametrize("image", ["team/app", "docker.io/app", "App", "app:", "app:-", "app@sha256:12", "", ":v1"])
def test_what_is_no_short_name_is_left_alone(hook: Any, image: str) -> None:
    hook.push("team/app", "one")
    assert changes(hook, review(POD, holding(POD, image))) == {}


def test_names_mean_streams_of_their_own_namespace_alone(hook: Any) -> None:
    hook.push("team/app", "one")
    assert changes(hook, review(POD, holding(POD, "app"), namespace="other")) == {}


@pytest.mark.parametrize("place", ["object", "template", "elsewhere"])
def test_an_annotation_asks_streams_that_do_not_lend_their_names(hook: Any, place: str) -> None:
    digest = hook.push("team/own", "one")
    document = holding(DEPLOYMENT, "own", annotations=ANY if place == "object" else {"a": "*"})
    if place == "template":
        document["spec"]["template"]["metadata"] = {"annotations": ANY}
    found = changes(hook, review(DEPLOYMENT, document))
    wanted = {} if place == "elsewhere" else {f"{hook.host}/team/own@{digest}"}
    assert set(found.values()) == set(wanted)


def test_an_image_of_a_stream_is_named_by_its_digest(hook: Any) -> None:
    old = hook.push("team/app", "one")
    hook.push("team/app", "two")
    found = changes(hook, review(POD, holding(POD, f"app@{old}", f"app:whatever@{old}")))
    assert set(found.values()) == {f"{hook.host}/team/app@{old}"}


def test_a_name_of_a_stream_that_has_nothing_there_yet_is_not_left_to_other_registries(hook: Any) -> None:
    absent = "sha256:" + "0" * 64
    found = changes(hook, review(POD, holding(POD, "app:later", f"app@{absent}", "app")))
    here = f"{hook.host}/team/app"
    assert list(found.values()) == [f"{here}:later", f"{here}@{absent}", f"{here}:latest"]


@pytest.mark.parametrize("policy", ["Local", "Source"])
def test_images_of_other_registries_are_pulled_as_the_tags_policy_says(hook: Any, policy: str) -> None:
    spec = {"from": {"kind": "DockerImage", "name": "quay.io/a/b:1"}, "referencePolicy": {"type": policy}}
    hook.write("POST", "namespaces/team/imagestreamtags", {"metadata": {"name": "app:far"}, "tag": spec}, 201)
    image = hook.image("outside")
    theirs = f"quay.io/a/b@{image.digest}"
    mapping = {
        "metadata": {"name": "app", "namespace": "team"},
        "tag": "far",
        "image": {
            "metadata": {"name": str(image.digest)},
            "dockerImageReference": theirs,
            "dockerImageManifest": image.raw.decode(),
        },
    }
    hook.write("POST", "namespaces/team/imagestreammappings", mapping, 201)
    found = changes(hook, review(POD, holding(POD, "app:far", f"app@{image.digest}")))
    ours = f"{hook.host}/team/app@{image.digest}"
    assert set(found.values()) == {ours if policy == "Local" else theirs}


def test_a_tag_that_only_points_elsewhere_is_pulled_from_there(hook: Any) -> None:
    spec = {"from": {"kind": "DockerImage", "name": "quay.io/a/b:1"}, "reference": True}
    hook.write("POST", "namespaces/team/imagestreamtags", {"metadata": {"name": "app:far"}, "tag": spec}, 201)
    assert list(changes(hook, review(POD, holding(POD, "app:far"))).values()) == ["quay.io/a/b:1"]


def test_what_was_stored_before_is_not_changed_by_another_change(hook: Any) -> None:
    hook.push("team/app", "one")
    before = holding(DEPLOYMENT, "app", "busybox")
    assert changes(hook, review(DEPLOYMENT, holding(DEPLOYMENT, "app", "alpine"), before)) == {}
    turned = holding(DEPLOYMENT, "busybox", "app")
    pods = turned["spec"]["template"]["spec"]["containers"]
    pods[0]["name"], pods[1]["name"] = "c1", "c0"
    assert changes(hook, review(DEPLOYMENT, turned, before)) == {}, "the same containers in another order"


def test_a_name_that_is_new_in_its_place_is_resolved_by_an_update(hook: Any) -> None:
    digest = hook.push("team/app", "one")
    before = holding(DEPLOYMENT, "app:old")
    found = changes(hook, review(DEPLOYMENT, holding(DEPLOYMENT, "app", "app:old"), before))
    assert list(found.values()) == [f"{hook.host}/team/app@{digest}", f"{hook.host}/team/app:old"]


def test_a_second_review_changes_nothing(hook: Any) -> None:
    hook.push("team/app", "one")
    (reference,) = changes(hook, review(POD, holding(POD, "app"))).values()
    assert changes(hook, review(POD, holding(POD, reference))) == {}


def test_what_another_object_keeps_is_left_to_that_one(hook: Any) -> None:
    reference = f"{hook.host}/team/app@{hook.push('team/app', 'one')}"
    document = holding(POD, "app")
    document["metadata"]["ownerReferences"] = [{"controller": True}]
    assert changes(hook, review(POD, document)) == {}
    document["spec"]["ephemeralContainers"] = [{"name": "look", "image": "app"}]
    found = changes(hook, review(POD, document, holding(POD, "app"), subResource="ephemeralcontainers"))
    assert found == {"/spec/ephemeralContainers/0/image": reference}


@pytest.mark.parametrize("mode", [LocalNames.IGNORE, LocalNames.FAIL])
def test_while_names_cannot_be_resolved_pods_pass_with_a_warning_or_not_at_all(
    hook: Any, mode: LocalNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook.push("team/app", "one")

    def away(*_: object, **__: object) -> None:
        raise MetadataUnavailable("postgresql://secret-place did not answer")

    monkeypatch.setattr(hook.streams, "resolve", away)
    switch_on(hook, mode)
    answer = response(hook, review(POD, holding(POD, "app", "app:v1")))
    said = answer.get("warnings", []) if mode is LocalNames.IGNORE else [answer["status"]["message"]]
    assert answer["allowed"] is (mode is LocalNames.IGNORE)
    assert "patch" not in answer
    assert len(said) == 1
    assert "spec.containers[0].image: the short name 'app' was not resolved" in said[0]
    assert "secret-place" not in said[0]
    assert changes(hook, review(POD, holding(POD, "quay.io/a/b"))) == {}, "nothing of it concerns other Pods"


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ({}, "AdmissionReview"),
        ({"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview"}, "admission.k8s.io/v1"),
        ({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}, "uid"),
        ({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": 1}}, "uid"),
    ],
)
def test_what_is_no_review_is_told_so(hook: Any, broken: Any, says: str) -> None:
    assert says in hook.reject("POST", PATH, broken, 400, "BadRequest")["message"]


@pytest.mark.parametrize("request_", [{"object": None}, {"kind": "x"}, {"object": {"spec": []}}, {"namespace": None}])
def test_a_review_of_something_strange_passes(hook: Any, request_: dict[str, Any]) -> None:
    hook.push("team/own", "one")
    document = {**holding(POD, "own"), "metadata": {"annotations": ["*"], "ownerReferences": ["x"]}}
    assert changes(hook, review(POD, document)) == {}
    assert changes(hook, review(POD, document, **request_)) == {}


def test_only_who_may_create_reviews_is_answered(hook: Any, cluster: Any) -> None:
    hook.push("team/app", "one")
    cluster.allowed = set()
    zoe = hook.as_user(("X-REMOTE-USER", "zoe"))
    asked = json.dumps(review(POD, holding(POD, "app")))
    for environment in (zoe, hook.as_user(("X-REMOTE-USER", "system:apiserver"), subject=None)):
        answer = hook.ask(PATH, method="POST", data=asked, environ_overrides=environment)
        assert (answer.status_code, answer.get_json()["reason"]) == (403, "Forbidden")
    cluster.allowed = {"create localnamereviews.image.alauda.io at the cluster scope"}
    assert hook.ask(PATH, method="POST", data=asked, environ_overrides=zoe).status_code == 200


def test_the_door_is_not_there_unless_it_is_wanted(api: Any) -> None:
    api.reject("POST", PATH, review(POD, holding(POD, "app")), 404, "NotFound")
