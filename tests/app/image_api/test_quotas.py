"""What is written through the Image API is held to the limits of its namespace, and refused as Kubernetes refuses."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from image_registry.auth import trail
from image_registry.imagestreams import limits
from image_registry.imagestreams.errors import ImageStreamsError
from image_registry.imagestreams.limits import Limit, LimitExceeded, LimitsUnknown, Scope
from image_registry.imagestreams.model import TagSource, TagSpec
from image_registry.imagestreams.spec_rules import StreamDraft
from image_registry.imagestreams.tag_edits import TagEdit
from image_registry.metadata import usage
from image_registry.oci.reference import Repository
from tests.at_once import at_once

TEAM = "namespaces/team"
STREAMS, TAGS, ITAGS = f"{TEAM}/imagestreams", f"{TEAM}/imagestreamtags", f"{TEAM}/imagetags"
APPLY, STRATEGIC = "application/apply-patch+yaml", "application/strategic-merge-patch+json"
COUNT = "count/imagestreams.image.alauda.io"
BASE = {"kind": "ImageStreamTag", "name": "base:v1", "namespace": "shared"}

Write = tuple[str, str, Any, str]


def quota(resource: str, maximum: int, *, called: str = "", name: str = "objects") -> Limit:
    return Limit(f"ResourceQuota {name}", Scope.NAMESPACE, resource, maximum, called)


def per_stream(resource: str, maximum: int) -> Limit:
    return Limit("LimitRange streams", Scope.STREAM, resource, maximum)


def stream(name: str = "app", **tags: Any) -> dict[str, Any]:
    wanted = [{"name": tag, "from": source} for tag, source in tags.items()]
    return {
        "kind": "ImageStream",
        "apiVersion": "image.alauda.io/v1",
        "metadata": {"name": name},
        "spec": {"tags": wanted},
    }


def tag(name: str, source: Any = BASE, member: str = "tag") -> dict[str, Any]:
    return {"metadata": {"name": name}, member: {"from": source}}


def replacing(api: Any, **tags: Any) -> dict[str, Any]:
    return {**api.get(f"{STREAMS}/app"), "spec": stream(**tags)["spec"]}


def mapping(api: Any, content: str, name: str = "v9") -> dict[str, Any]:
    manifest = api.image(content)
    return {
        "metadata": {"name": "app"},
        "tag": name,
        "image": {
            "metadata": {"name": str(manifest.digest)},
            "dockerImageReference": "quay.io/a/b:1",
            "dockerImageManifest": manifest.raw.decode(),
        },
    }


def refused(api: Any, write: Write) -> str:
    method, path, document, content_type = write
    status = api.reject(method, path, document, 403, "Forbidden", content_type)
    return str(status["message"])


@pytest.mark.parity(8)
def test_a_quota_on_the_count_of_streams_refuses_in_the_words_of_kubernetes(either: Any) -> None:
    either.limits["team"] = (quota(limits.STREAMS, 1, called=COUNT),)
    either.write("POST", STREAMS, stream("one"), 201)
    answer = either.reject("POST", STREAMS, stream("two"), 403, "Forbidden")
    assert answer["message"] == (
        'imagestreams.image.alauda.io "two" is forbidden: exceeded quota: objects, '
        f"requested: {COUNT}=1, used: {COUNT}=1, limited: {COUNT}=1"
    )
    assert answer["details"] == {"name": "two", "group": "image.alauda.io", "kind": "imagestreams"}
    assert either.names(STREAMS) == ["one"]
    either.delete(f"{STREAMS}/one")
    either.write("POST", STREAMS, stream("two"), 201)
    either.write("POST", "namespaces/other/imagestreams", stream("three"), 201)


@pytest.mark.parametrize(
    "write",
    [
        ("POST", STREAMS, stream("two"), ""),
        ("POST", STREAMS, {"metadata": {"generateName": "two-"}}, ""),
        ("PATCH", f"{STREAMS}/two?fieldManager=me", stream("two"), APPLY),
        ("POST", TAGS, tag("two:v1"), ""),
        ("PUT", f"{TAGS}/two:v1", tag("two:v1"), ""),
        ("POST", ITAGS, tag("two:v1", member="spec"), ""),
        ("PUT", f"{ITAGS}/two:v1", tag("two:v1", member="spec"), ""),
    ],
    ids=lambda write: " ".join(write[:2]),
)
def test_no_way_leads_past_a_quota_of_streams(api: Any, write: Write) -> None:
    api.write("POST", STREAMS, stream("one"), 201)
    api.limits["team"] = (quota(limits.STREAMS, 1),)
    assert "exceeded quota: objects, requested: alauda.io/imagestreams=1" in refused(api, write)
    assert api.names(STREAMS) == ["one"]


GROWING: dict[str, Callable[[Any], Write]] = {
    "create": lambda _: ("POST", STREAMS, stream("web", v1=BASE, v2=BASE), ""),
    "update": lambda api: ("PUT", f"{STREAMS}/app", replacing(api, v1=BASE, v2=BASE), ""),
    "patch": lambda _: ("PATCH", f"{STREAMS}/app", {"spec": stream(v2=BASE)["spec"]}, STRATEGIC),
    "apply": lambda _: ("PATCH", f"{STREAMS}/app?fieldManager=me&force=true", stream(v1=BASE, v2=BASE), APPLY),
    "imagestreamtag": lambda _: ("POST", TAGS, tag("app:v2"), ""),
    "imagestreamtag replaced": lambda _: ("PUT", f"{TAGS}/app:v2", tag("app:v2"), ""),
    "imagetag": lambda _: ("POST", ITAGS, tag("app:v2", member="spec"), ""),
    "mapping": lambda api: ("POST", f"{TEAM}/imagestreammappings", mapping(api, "new", "v2"), ""),
}


@pytest.mark.parametrize("scope", [Scope.NAMESPACE, Scope.STREAM])
@pytest.mark.parametrize("way", GROWING)
def test_no_way_leads_past_a_limit_of_tags(api: Any, way: str, scope: Scope) -> None:
    api.push("shared/base", "base", "v1")
    api.write("POST", STREAMS, stream(v1=BASE), 201)
    limit = quota(limits.TAGS, 1) if scope is Scope.NAMESPACE else per_stream(limits.TAGS, 1)
    api.limits["team"] = (limit,)
    before = api.get(STREAMS)
    message = refused(api, GROWING[way](api))
    if scope is Scope.NAMESPACE:
        more = 2 if way == "create" else 1
        assert f"requested: alauda.io/image-tags={more}, used: alauda.io/image-tags=1" in message
    else:
        assert (
            "maximum alauda.io/image-tags usage per alauda.io/ImageStream is 1, but request is 2 (LimitRange streams)"
        ) in message
    assert api.get(STREAMS) == before


@pytest.mark.parametrize("scope", [Scope.NAMESPACE, Scope.STREAM])
@pytest.mark.parametrize("way", ["create", "patch", "imagestreamtag", "imagetag", "mapping"])
def test_no_way_leads_past_a_limit_of_images(api: Any, way: str, scope: Scope) -> None:
    """An image that lies in another namespace is one of this too as soon as a tag here means it."""
    api.push("shared/base", "base", "v1")
    api.push("team/app", "app", "v1")
    limit = quota(limits.IMAGES, 1) if scope is Scope.NAMESPACE else per_stream(limits.IMAGES, 1)
    api.limits["team"] = (limit,)
    write = GROWING[way](api)
    if way == "create" and scope is Scope.STREAM:
        api.write("POST", *write[1:3], 201)
        return
    assert "alauda.io/images" in refused(api, write)
    assert len(api.get("images")["items"]) == 2, "a mapping that is refused leaves no Image"
    api.write("POST", TAGS, tag("app:same", {"kind": "ImageStreamTag", "name": "app:v1"}), 201)
    api.push("team/app", "app", "again")
    assert api.streams.allowance.usage("team")[limits.IMAGES] == 1


@pytest.mark.parametrize("way", ["create", "patch", "imagestreamtag", "mapping"])
def test_an_image_that_is_too_large_comes_in_on_no_way(api: Any, way: str) -> None:
    api.push("shared/base", "base", "v1")
    api.write("POST", STREAMS, stream(), 201)
    api.limits["team"] = (Limit("LimitRange sizes", Scope.IMAGE, limits.SIZE, 16),)
    assert "maximum storage usage per alauda.io/Image is 16, but request is 17 (LimitRange sizes)" in refused(
        api, GROWING[way](api)
    )
    api.limits["team"] = (Limit("LimitRange sizes", Scope.IMAGE, limits.SIZE, 17),)
    api.write("POST", TAGS, tag("app:v1"), 201)


def test_a_tag_that_is_wanted_and_pushed_is_one_tag(either: Any) -> None:
    either.limits["team"] = (quota(limits.TAGS, 2),)
    outside = {"kind": "DockerImage", "name": "quay.io/a/b:1"}
    either.write("POST", STREAMS, stream(v1=outside), 201)
    either.push("team/app", "one", "v1")
    either.push("team/app", "two", "v2")
    assert either.streams.allowance.usage("team")[limits.TAGS] == 2
    either.write("POST", TAGS, tag("app:v2", outside), 201)
    assert "used: alauda.io/image-tags=2" in refused(either, ("POST", TAGS, tag("app:v3", outside), ""))
    with pytest.raises(LimitExceeded):
        either.push("team/app", "three", "v3")
    either.write("POST", STREAMS, stream("web"), 201)
    either.limits.clear()
    either.write("POST", TAGS, tag("web:v1", outside), 201)
    either.limits["team"] = (quota(limits.TAGS, 1),)
    either.push("team/web", "one", "v1")
    assert either.streams.allowance.usage("team")[limits.TAGS] == 3


def test_a_tag_that_only_points_to_another_registry_is_a_tag_and_no_image(either: Any) -> None:
    either.limits["team"] = (quota(limits.IMAGES, 0), quota(limits.TAGS, 1), per_stream(limits.IMAGES, 0))
    wanted = stream(v1={"kind": "DockerImage", "name": "quay.io/a/b:1"})
    wanted["spec"]["tags"][0]["reference"] = True
    either.write("POST", STREAMS, wanted, 201)
    used = either.streams.allowance.usage("team")
    assert (used[limits.IMAGES], used[limits.TAGS]) == (0, 1)


def test_a_status_cannot_bring_more_tags_than_a_limit_allows(api: Any) -> None:
    digest = api.push("team/app", "one", "v1")
    shown = api.get(f"{STREAMS}/app")
    [first] = shown["status"]["tags"]
    shown["status"]["tags"].append({"tag": "v2", "items": first["items"]})
    api.limits["team"] = (per_stream(limits.TAGS, 1),)
    assert "but request is 2" in refused(api, ("PUT", f"{STREAMS}/app/status", shown, ""))
    api.limits["team"] = (per_stream(limits.TAGS, 2),)
    changed = api.write("PUT", f"{STREAMS}/app/status", shown)
    assert [entry["items"][0]["image"] for entry in changed["status"]["tags"]] == [digest, digest]


def test_a_dry_run_is_checked_and_takes_no_room(either: Any) -> None:
    either.limits["team"] = (quota(limits.STREAMS, 1),)
    for _ in range(2):
        either.write("POST", f"{STREAMS}?dryRun=All", stream("one"), 201)
    either.write("POST", STREAMS, stream("one"), 201)
    assert "exceeded quota" in refused(either, ("POST", f"{STREAMS}?dryRun=All", stream("two"), ""))


def test_what_is_there_may_stay_and_change_when_a_limit_is_lowered(api: Any) -> None:
    api.push("shared/base", "base", "v1")
    api.push("shared/base", "newer", "v2")
    api.write("POST", STREAMS, stream("app", v1=BASE, v2=BASE, v3=BASE), 201)
    lowered = (limits.STREAMS, limits.TAGS, limits.IMAGES)
    api.limits["team"] = (*(quota(resource, 0) for resource in lowered), per_stream(limits.TAGS, 1))
    api.write("PATCH", f"{STREAMS}/app", {"metadata": {"labels": {"a": "b"}}}, 200, STRATEGIC)
    api.write("PATCH", f"{STREAMS}/app", {"spec": {"lookupPolicy": {"local": True}}}, 200, STRATEGIC)
    newer = {**BASE, "name": "base:v2"}
    api.write("PUT", f"{STREAMS}/app", replacing(api, v1=newer, v2=newer, v3=newer))
    api.delete(f"{TAGS}/app:v2")
    assert "exceeded quota" in refused(api, ("POST", TAGS, tag("app:v4"), ""))


def test_all_quotas_hold_and_one_names_everything_that_it_lacks(api: Any) -> None:
    api.push("shared/base", "base", "v1")
    api.limits["team"] = (
        quota(limits.STREAMS, 5, name="wide"),
        quota(limits.TAGS, 1, name="narrow"),
        quota(limits.STREAMS, 0, name="narrow", called=COUNT),
        quota(limits.IMAGES, 0, name="other"),
    )
    assert refused(api, ("POST", STREAMS, stream("app", v1=BASE, v2=BASE), "")).endswith(
        f"exceeded quota: narrow, requested: alauda.io/image-tags=2,{COUNT}=1, "
        f"used: alauda.io/image-tags=0,{COUNT}=0, limited: alauda.io/image-tags=1,{COUNT}=0"
    )
    api.limits["team"] = (quota(limits.STREAMS, 5, name="wide"), quota(limits.IMAGES, 0, name="other"))
    assert "exceeded quota: other" in refused(api, ("POST", STREAMS, stream("app", v1=BASE), ""))


def test_limits_that_nobody_can_tell_stop_writes_and_nothing_else(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    api.write("POST", STREAMS, stream("one"), 201)

    def unknown(_namespace: str) -> Any:
        raise LimitsUnknown("the cluster does not tell the limits of namespace team right now")

    monkeypatch.setattr(api.streams.editor, "_limits", unknown)
    answer = api.send("POST", STREAMS, stream("two"))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.get_json()["message"].startswith("the cluster does not tell the limits of namespace team")
    api.get(f"{STREAMS}/one")
    api.delete(f"{STREAMS}/one")


def test_a_refusal_is_counted_and_audited(api: Any) -> None:
    api.limits["team"] = (quota(limits.STREAMS, 0, called=COUNT),)
    left = trail.Trail()
    answer = api.send("POST", STREAMS, stream("one"), environ_overrides={trail.TRAIL: left})
    assert (answer.status_code, left.decision, left.limit) == (403, trail.DENIED, limits.STREAMS)


def test_without_limits_nothing_is_counted(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    for name in ("lock", "streams_in", "images_in", "tags_in", "images_of", "tags_of", "borrowed_of", "places"):
        monkeypatch.setattr(usage, name, never)
    api.push("shared/base", "base", "v1")
    api.write("POST", STREAMS, stream("app", v1=BASE), 201)
    api.write("POST", TAGS, tag("app:v2"), 201)


def _done(call: Callable[[], object]) -> bool:
    try:
        call()
    except LimitExceeded:
        return False
    return True


@pytest.mark.parity(8)
def test_parallel_creations_cannot_pass_a_quota_together_whatever_their_way(either: Any) -> None:
    either.limits["team"] = (quota(limits.STREAMS, 5, called=COUNT), quota(limits.TAGS, 100))
    editor = either.streams.editor
    may: dict[str, Any] = {"may_pull": lambda _: True, "confirm_create": lambda: None, "dry_run": False}
    wanted = TagSpec("v1", TagSource("DockerImage", "quay.io/a/b:1"))
    calls: list[Callable[[], object]] = []
    for number in range(0, 20, 4):
        names = [Repository("team", f"app{number + step}") for step in range(4)]
        calls += [
            partial(editor.create_stream, StreamDraft(names[0]), **may),
            partial(editor.create_stream, StreamDraft(names[1], tags=(wanted,)), **may),
            partial(editor.put_tag, TagEdit(names[2], "v1", wanted), **may),
            partial(either.push, str(names[3]), number),
        ]
    results = at_once([partial(_done, call) for call in calls])
    assert sum(results) == 5
    assert len(either.names(STREAMS)) == 5
    assert either.streams.allowance.usage("team")[limits.STREAMS] == 5


def test_parallel_tags_of_two_streams_cannot_pass_a_quota_together(either: Any) -> None:
    """Each holds its own stream and waits for the namespace: nobody waits in a circle."""
    for name in ("app", "web"):
        either.write("POST", STREAMS, stream(name), 201)
    either.limits["team"] = (quota(limits.TAGS, 6), per_stream(limits.TAGS, 4))
    editor = either.streams.editor
    wanted = TagSource("DockerImage", "quay.io/a/b:1")

    def put(number: int) -> bool:
        edit = TagEdit(
            Repository("team", ("app", "web")[number % 2]), f"v{number}", TagSpec(f"v{number}", wanted), new=True
        )
        try:
            editor.put_tag(edit, may_pull=lambda _: True, confirm_create=lambda: None, dry_run=False)
        except LimitExceeded:
            return False
        except ImageStreamsError as error:
            raise AssertionError(error) from error
        return True

    results = at_once([partial(put, number) for number in range(8)])
    assert sum(results) == 6
    assert either.streams.allowance.usage("team")[limits.TAGS] == 6
