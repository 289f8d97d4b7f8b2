"""What is wanted of a stream: its tags take images from where they are told, and keep generations."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from image_registry.imagestreams.errors import Conflict
from image_registry.imagestreams.model import TagSource, TagSpec
from image_registry.imagestreams.spec_rules import StreamDraft
from image_registry.imagestreams.tag_edits import TagEdit
from image_registry.oci.reference import Repository

COLLECTION = "namespaces/team/imagestreams"
ONE = f"{COLLECTION}/app"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


def tag(name: str, kind: str = "ImageStreamTag", source: str = "", **more: Any) -> dict[str, Any]:
    namespace = {"namespace": more.pop("namespace")} if "namespace" in more else {}
    return {"name": name, "from": {"kind": kind, "name": source, **namespace}, **more}


def want(api: Any, *tags: Any) -> Any:
    return api.write("PATCH", ONE, {"spec": {"tags": list(tags)}}, 200, STRATEGIC)


def meant(stream: Any, name: str) -> list[str]:
    return [
        item["image"] for entry in stream["status"].get("tags", ()) if entry["tag"] == name for item in entry["items"]
    ]


def generations(stream: Any) -> dict[str, int]:
    return {entry["name"]: entry["generation"] for entry in stream["spec"]["tags"]} | {
        "": stream["metadata"]["generation"]
    }


def test_a_tag_takes_the_image_of_another_one_and_goes_with_it(either: Any) -> None:
    first = either.push("team/app", "one", "v1")
    stream = want(either, tag("stable", source="v1"), tag("prod", source="app:stable"))
    assert meant(stream, "stable") == [first]
    second = either.push("team/app", "two", "v1")
    stream = either.get(ONE)
    for name in ("v1", "stable", "prod"):
        assert meant(stream, name) == [second, first], name
    assert either.get("namespaces/team/imagestreamtags/app:prod")["image"]["metadata"]["name"] == second


def test_tags_that_go_with_each_other_in_a_circle_end_somewhere(api: Any) -> None:
    api.push("team/app", "one", "a")
    want(api, tag("b", source="a"), tag("c", source="b"), tag("a", source="c"))
    second = api.push("team/app", "two", "a")
    for name in "abc":
        assert meant(api.get(ONE), name)[0] == second


def test_a_tag_of_another_stream_is_a_snapshot(either: Any) -> None:
    first = either.push("team/base", "one", "v1")
    either.write("POST", COLLECTION, {"metadata": {"name": "app"}}, 201)
    stream = want(either, tag("base", source="base:v1"))
    assert meant(stream, "base") == [first]
    second = either.push("team/base", "two", "v1")
    assert meant(either.get(ONE), "base") == [first]
    again = want(either, {"name": "base", "generation": 0})
    assert meant(again, "base") == [second, first]


@pytest.mark.parity(13)
def test_another_namespace_is_asked_for_the_right_to_pull(either: Any) -> None:
    digest = either.push("other/base", "one", "v1")
    either.push("team/app", "mine", "v1")
    mine = {f'{verb} imagestreams.image.alauda.io "app" in namespace "team"' for verb in ("patch", "get")}
    either.cluster.allowed = mine
    taken = [
        tag("base", source="base:v1", namespace="other"),
        tag("exact", "ImageStreamImage", f"base@{digest}", namespace="other"),
    ]
    before = either.streams.revision()
    status = either.reject("PATCH", ONE, {"spec": {"tags": taken}}, 422, "Invalid", STRATEGIC)
    assert {cause["field"]: cause["reason"] for cause in status["details"]["causes"]} == {
        "spec.tags[base].from": "FieldValueForbidden",
        "spec.tags[exact].from": "FieldValueForbidden",
    }
    assert either.streams.revision() == before
    either.cluster.allowed = mine | {'get imagestreams/layers.image.alauda.io "base" in namespace "other"'}
    stream = want(either, *taken)
    assert meant(stream, "base") == meant(stream, "exact") == [digest]
    either.cluster.allowed = mine  # what is there already is not asked again
    want(either, tag("new", source="v1"))


def test_generations_count_what_changes(api: Any) -> None:
    api.write(
        "POST", COLLECTION, {"metadata": {"name": "app"}, "spec": {"tags": [{"name": "a", "generation": 9}]}}, 201
    )
    assert generations(api.get(ONE)) == {"": 1, "a": 1}
    assert generations(want(api, {"name": "b"})) == {"": 2, "a": 1, "b": 2}
    assert generations(want(api, {"name": "a", "generation": 5})) == {"": 2, "a": 1, "b": 2}
    assert generations(want(api, {"name": "a", "annotations": {"x": "y"}})) == {"": 3, "a": 1, "b": 2}
    assert generations(want(api, {"name": "a", "reference": True})) == {"": 4, "a": 4, "b": 2}
    assert generations(want(api, {"name": "a", "generation": 0})) == {"": 5, "a": 5, "b": 2}
    assert generations(want(api, {"name": "a", "importPolicy": {"importMode": "PreserveOriginal"}}))["a"] == 6
    labelled = api.write("PATCH", ONE, {"metadata": {"labels": {"a": "b"}}}, 200, MERGE_PATCH)
    assert labelled["metadata"]["generation"] == 6


def test_deleting_a_tag_deletes_what_was_wanted_of_it_too(either: Any) -> None:
    either.push("team/app", "one", "v1")
    want(
        either, tag("stable", source="v1"), {"name": "later", "from": {"kind": "DockerImage", "name": "quay.io/x/y:1"}}
    )
    either.delete("namespaces/team/imagestreamtags/app:stable")
    stream = either.get(ONE)
    assert [entry["name"] for entry in stream["spec"]["tags"]] == ["later"]
    assert [entry["tag"] for entry in stream["status"]["tags"]] == ["v1"]


def test_a_source_that_is_not_there_yet_is_wanted_all_the_same(api: Any) -> None:
    api.write("POST", COLLECTION, {"metadata": {"name": "app"}}, 201)
    stream = want(api, tag("later", source="nothing"), tag("other", source="nobody:v1"))
    assert "tags" not in stream["status"]
    digest = api.push("team/app", "one", "nothing")
    assert meant(api.get(ONE), "later") == [digest]


def test_a_dry_run_of_a_wanted_tag_shows_what_it_would_mean(either: Any) -> None:
    digest = either.push("team/app", "one", "v1")
    before = either.get(ONE)
    stream = either.write("PATCH", f"{ONE}?dryRun=All", {"spec": {"tags": [tag("s", source="v1")]}}, 200, STRATEGIC)
    assert meant(stream, "s") == [digest]
    assert either.get(ONE) == before


def test_streams_are_selected_by_what_they_mirror(api: Any) -> None:
    for name, source in (("a", "quay.io/team/a"), ("b", "")):
        spec = {"dockerImageRepository": source} if source else {}
        api.write("POST", COLLECTION, {"metadata": {"name": name}, "spec": spec}, 201)
    assert api.names(f"{COLLECTION}?fieldSelector=spec.dockerImageRepository%3Dquay.io/team/a") == ["a"]
    assert api.names(f"{COLLECTION}?fieldSelector=spec.dockerImageRepository!%3Dquay.io/team/a") == ["b"]


def test_tags_that_are_wanted_at_once_are_all_there(either: Any) -> None:
    """Each is a change of the same stream: whoever was slower makes his again on what there is then."""
    either.push("team/app", "one", "v1")
    names = [f"t{number}" for number in range(4)]

    def put(name: str) -> None:
        spec = TagSpec(name, TagSource("ImageStreamTag", "v1"))
        either.streams.editor.put_tag(
            TagEdit(Repository("team", "app"), name, spec),
            may_pull=lambda _source: True,
            confirm_create=lambda: None,
            dry_run=False,
        )

    with ThreadPoolExecutor(len(names)) as pool:
        for done in [pool.submit(put, name) for name in names]:
            done.result(timeout=60)
    stream = either.get(ONE)
    assert [entry["name"] for entry in stream["spec"]["tags"]] == names
    assert len({entry["generation"] for entry in stream["spec"]["tags"]}) == len(names)


def test_of_two_who_change_the_same_state_one_is_told(either: Any) -> None:
    made = either.write("POST", COLLECTION, {"metadata": {"name": "app"}}, 201)

    def change(value: str) -> bool:
        draft = StreamDraft(Repository("team", "app"), labels={"who": value})
        metadata = made["metadata"]
        try:
            either.streams.editor.update_stream(
                draft,
                uid=metadata["uid"],
                resource_version=int(metadata["resourceVersion"]),
                may_pull=lambda _source: True,
                dry_run=False,
            )
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        results = [done.result(timeout=60) for done in [pool.submit(change, value) for value in "ab"]]
    assert sorted(results) == [False, True]
    assert either.get(ONE)["metadata"]["labels"] == {"who": "ab"[results.index(True)]}


# status


def test_events_are_taken_away_through_status_and_spec_is_passed_over(either: Any) -> None:
    first = either.push("team/app", "one", "v1")
    second = either.push("team/app", "two", "v1")
    either.push("team/app", "three", "gone")
    stream = either.get(ONE)
    stream["status"]["tags"] = [entry for entry in stream["status"]["tags"] if entry["tag"] == "v1"]
    stream["status"]["tags"][0]["items"].pop(0)
    stream["spec"]["lookupPolicy"] = {"local": True}
    changed = either.write("PUT", f"{ONE}/status", stream)
    assert meant(changed, "v1") == [first]
    assert meant(changed, "gone") == []
    assert changed["spec"] == {"lookupPolicy": {"local": False}}
    assert changed["status"]["tags"][0]["items"][0] == stream["status"]["tags"][0]["items"][0]
    assert either.get("namespaces/team/imagestreamtags/app:v1")["image"]["metadata"]["name"] == first
    assert second in either.names("images")
    either.reject("PUT", f"{ONE}/status", stream, 409, "Conflict")


def test_status_as_it_is_changes_nothing(either: Any) -> None:
    either.push("team/app", "one", "v1")
    stream = either.get(f"{ONE}/status")
    assert either.write("PUT", f"{ONE}/status", stream) == stream == either.get(ONE)


def test_nobody_gets_at_an_image_by_writing_its_digest_into_a_status(either: Any) -> None:
    secret = either.push("other/secret", "hidden", "v1")
    either.push("team/app", "one", "v1")
    stream = either.get(ONE)
    stream["status"]["tags"][0]["items"][0]["image"] = secret
    status = either.reject("PUT", f"{ONE}/status", stream, 422, "Invalid")
    assert status["details"]["causes"][0]["field"] == "status.tags[v1].items[0].image"


@pytest.mark.parity(11)
def test_conditions_are_shown_and_end_with_the_next_event(either: Any) -> None:
    either.write(
        "POST",
        COLLECTION,
        {"metadata": {"name": "app"}, "spec": {"tags": [tag("v1", "DockerImage", "quay.io/x/y")]}},
        201,
    )
    condition = {
        "type": "ImportSuccess",
        "status": "False",
        "lastTransitionTime": "2030-01-01T00:00:00Z",
        "reason": "NotFound",
        "message": "no such image",
        "generation": 1,
    }
    stream = either.get(ONE)
    stream["status"]["tags"] = [{"tag": "v1", "items": [], "conditions": [condition]}]
    stream = either.write("PUT", f"{ONE}/status?fieldManager=importer", stream)
    assert stream["status"]["tags"] == [{"tag": "v1", "items": [], "conditions": [condition]}]
    (entry,) = [entry for entry in stream["metadata"]["managedFields"] if entry["manager"] == "importer"]
    assert (entry["subresource"], set(entry["fieldsV1"])) == ("status", {"f:status"})
    assert "app" in either.get(COLLECTION, either.table)["rows"][0]["cells"]
    digest = either.push("team/app", "one", "v1")
    (shown,) = either.get(ONE)["status"]["tags"]
    assert (shown["items"][0]["image"], "conditions" in shown) == (digest, False)


# finalizers


def test_a_stream_with_finalizers_waits_for_the_last_of_them(either: Any) -> None:
    either.push("team/app", "one", "v1")
    either.write("PATCH", ONE, {"metadata": {"finalizers": ["a.io/x"]}}, 200, MERGE_PATCH)
    assert either.delete(ONE, options={"dryRun": ["All"]})["metadata"]["deletionTimestamp"]
    assert "deletionTimestamp" not in either.get(ONE)["metadata"]
    left = either.delete(ONE)
    assert (left["kind"], left["metadata"]["deletionGracePeriodSeconds"]) == ("ImageStream", 0)
    assert either.get(ONE)["metadata"]["deletionTimestamp"] == left["metadata"]["deletionTimestamp"]
    assert either.delete(ONE)["metadata"]["deletionTimestamp"] == left["metadata"]["deletionTimestamp"]
    either.write("PATCH", ONE, {"metadata": {"finalizers": None}}, 200, MERGE_PATCH)
    either.refuse(ONE, 404, "NotFound")


@pytest.mark.parity(6)
def test_owners_are_kept_for_the_garbage_collector(either: Any) -> None:
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "1-2-3"}
    made = either.write("POST", COLLECTION, {"metadata": {"name": "app", "ownerReferences": [owner]}}, 201)
    assert made["metadata"]["ownerReferences"] == [owner]
    other = {**owner, "uid": "4", "name": "other"}
    both = either.write("PATCH", ONE, {"metadata": {"ownerReferences": [other]}}, 200, STRATEGIC)
    assert both["metadata"]["ownerReferences"] == [owner, other]
