"""Deleting one, deleting many, and emptying a namespace as its controller does."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from image_registry.oci.reference import Repository

MERGE_PATCH = "application/merge-patch+json"
STREAM = "namespaces/team/imagestreams/app"
TAG = "namespaces/team/imagestreamtags/app:v1"

NAMES = ["kind", "apiVersion", "gracePeriodSeconds", "preconditions", "orphanDependents", "propagationPolicy", "dryRun"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.sampled_from(["All", "v1"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6) | st.just("uid"), inner, max_size=3)
    ),
    max_leaves=6,
)
BODIES = (
    st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), VALUES, max_size=4).map(json.dumps)
    | st.text(alphabet="{}[]:&*!?-,|> \n\"'a0x<%@`#", max_size=40)
    | st.text(max_size=20)
)


def test_deleting_a_stream_deletes_its_tags_and_no_image(filled: Any) -> None:
    uid = filled.get(STREAM)["metadata"]["uid"]
    images = filled.names("images")
    status = filled.delete(STREAM)
    assert (status["kind"], status["status"]) == ("Status", "Success")
    assert status["details"] == {"name": "app", "group": "image.alauda.io", "kind": "imagestreams", "uid": uid}
    filled.refuse(STREAM, 404, "NotFound")
    filled.refuse(TAG, 404, "NotFound")
    assert filled.names("namespaces/team/imagestreamtags") == ["web:copy", "web:latest"]
    assert filled.names("namespaces/team-b/imagestreams") == ["app", "tool"]
    assert filled.names("images") == images


def test_a_deletion_leaves_a_note_for_the_process_that_has_the_storage(filled: Any) -> None:
    filled.delete(STREAM)
    filled.delete("namespaces/team-b/imagestreamtags/tool:Stable")
    assert {str(repository) for repository in filled.streams.pending_cleanups()} == {"team/app", "team-b/tool"}


def test_deleting_a_tag_deletes_its_history_and_keeps_the_stream(filled: Any) -> None:
    filled.delete("namespaces/team/imagestreamtags/app%3Av2")
    stream = filled.get(STREAM)
    assert [tag["tag"] for tag in stream["status"]["tags"]] == ["v1", "v10"]
    assert len(filled.names("images")) == 6


def test_an_image_is_deleted_when_no_stream_holds_it(filled: Any) -> None:
    digest = filled.get("namespaces/team-b/imagestreamtags/tool:Stable")["image"]["metadata"]["name"]
    status = filled.refuse(f"images/{digest}", 409, "Conflict", method="DELETE")
    assert status["message"].startswith(f'Operation cannot be fulfilled on images.image.alauda.io "{digest}": ')
    assert "team-b/tool" in status["message"]
    filled.delete("namespaces/team-b/imagestreams/tool")
    filled.delete(f"images/{digest}")
    filled.refuse(f"images/{digest}", 404, "NotFound")


@pytest.mark.parametrize("path", [STREAM, TAG])
def test_a_precondition_that_does_not_hold_is_a_conflict_and_nothing_happens(filled: Any, path: str) -> None:
    metadata = filled.get(path)["metadata"]
    for options, label, actual in (
        ({"uid": "another"}, "UID", metadata["uid"]),
        ({"resourceVersion": "1"}, "ResourceVersion", metadata["resourceVersion"]),
        ({"resourceVersion": "not a number"}, "ResourceVersion", metadata["resourceVersion"]),
        ({"uid": metadata["uid"], "resourceVersion": "1"}, "ResourceVersion", metadata["resourceVersion"]),
    ):
        status = filled.delete(path, 409, {"preconditions": options})
        assert status["reason"] == "Conflict"
        wanted = options["resourceVersion" if label == "ResourceVersion" else "uid"]
        assert status["message"].endswith(
            f"Precondition failed: {label} in precondition: {wanted}, {label} in object meta: {actual}"
        )
        assert status["details"]["name"] == metadata["name"]
    filled.delete(
        path, options={"preconditions": {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}}
    )
    filled.refuse(path, 404, "NotFound")


@pytest.mark.parametrize("dry_run", [[], ["All"]])
@pytest.mark.parametrize("path", [TAG, STREAM])
def test_no_push_slips_between_comparing_and_deleting(
    filled: Any, path: str, dry_run: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = filled.get(path)["metadata"]
    method = "delete_tag" if path == TAG else "delete_stream"
    delete = getattr(filled.streams, method)

    def push_first(*arguments: Any, **keywords: Any) -> Any:
        filled.push("team/app", "somebody was faster", "v1")
        return delete(*arguments, **keywords)

    monkeypatch.setattr(filled.streams, method, push_first)
    preconditions = {"uid": seen["uid"], "resourceVersion": seen["resourceVersion"]}
    status = filled.delete(path, 409, {"preconditions": preconditions, "dryRun": dry_run})
    assert status["reason"] == "Conflict"
    assert "look at it again" in status["message"]
    assert filled.get(TAG)


def test_a_dry_run_refuses_what_the_deletion_refuses(filled: Any) -> None:
    for digest in filled.names("images"):
        real = filled.delete(f"images/{digest}", 409)
        assert filled.delete(f"images/{digest}", 409, {"dryRun": ["All"]}) == real
        assert "is held by ImageStream team" in real["message"]


def test_a_dry_run_checks_everything_and_deletes_nothing(filled: Any) -> None:
    before = filled.get("imagestreams")
    assert filled.delete(STREAM, options={"dryRun": ["All"]})["status"] == "Success"
    assert filled.delete(f"{TAG}?dryRun=All")["status"] == "Success"
    filled.delete(STREAM, 409, {"dryRun": ["All"], "preconditions": {"uid": "another"}})
    deleted = filled.delete("namespaces/team/imagestreams?dryRun=All")
    assert [item["metadata"]["name"] for item in deleted["items"]] == ["app", "web"]
    assert filled.get("imagestreams") == before


@pytest.mark.parametrize("policy", ["Background", "Foreground", "Orphan"])
def test_every_propagation_policy_is_accepted(filled: Any, policy: str) -> None:
    filled.delete(TAG, options={"propagationPolicy": policy, "gracePeriodSeconds": 30})
    filled.delete(f"{STREAM}?propagationPolicy={policy}&gracePeriodSeconds=0")


def test_options_of_every_known_form_are_read(filled: Any) -> None:
    body = json.dumps({"kind": "DeleteOptions", "apiVersion": "v1", "orphanDependents": False, "dryRun": ["All"]})
    for content_type, data in (
        ("application/json", body),
        ("", body),
        ("application/json; charset=utf-8", body),
        ("application/yaml", "kind: DeleteOptions\napiVersion: meta.k8s.io/v1\ndryRun: [All]\n"),
        ("application/json", "null"),
    ):
        if data == "null":
            filled.delete(f"{STREAM}?dryRun=All", headers={"Content-Type": content_type})
            continue
        answer = filled.ask(STREAM, method="DELETE", data=data, headers={"Content-Type": content_type})
        assert answer.status_code == 200, answer.text
    assert filled.get(STREAM)


@pytest.mark.parametrize(
    ("options", "code", "reason", "field"),
    [
        ({"dryRun": ["Some"]}, 422, "Invalid", "dryRun"),
        ({"propagationPolicy": "Sideways"}, 422, "Invalid", "propagationPolicy"),
        ({"propagationPolicy": "Orphan", "orphanDependents": True}, 422, "Invalid", "propagationPolicy"),
        ({"dryRun": "All"}, 400, "BadRequest", ""),
        ({"dryRun": [["All"]]}, 400, "BadRequest", ""),
        ({"gracePeriodSeconds": "soon"}, 400, "BadRequest", ""),
        ({"gracePeriodSeconds": True}, 400, "BadRequest", ""),
        ({"preconditions": {"uid": 5}}, 400, "BadRequest", ""),
        ({"kind": "Pod", "apiVersion": "v1"}, 400, "BadRequest", ""),
        ({"kind": "DeleteOptions", "apiVersion": "v7"}, 400, "BadRequest", ""),
        (["dryRun"], 400, "BadRequest", ""),
    ],
)
def test_options_that_make_no_sense_delete_nothing(
    filled: Any, options: Any, code: int, reason: str, field: str
) -> None:
    status = filled.delete(STREAM, code, options)
    assert status["reason"] == reason
    if field:
        assert status["message"].startswith(f'DeleteOptions.meta.k8s.io "" is invalid: {field}: ')
        assert status["details"]["causes"][0]["field"] == field
        assert (status["details"]["group"], status["details"]["kind"]) == ("meta.k8s.io", "DeleteOptions")
    assert filled.get(STREAM)


def test_a_body_that_cannot_be_read_deletes_nothing(filled: Any) -> None:
    for content_type, data, code, reason in (
        ("application/vnd.kubernetes.protobuf", b"k8s\x00\x0a", 415, "UnsupportedMediaType"),
        ("text/plain", b"{}", 415, "UnsupportedMediaType"),
        ("application/json", b"{", 400, "BadRequest"),
        ("application/yaml", b"a: [", 400, "BadRequest"),
        ("application/yaml", b"\xff\xfe\xfd", 400, "BadRequest"),
        ("application/json", b"[" * 15_000, 400, "BadRequest"),
        ("application/json", b'{"gracePeriodSeconds": ' + b"9" * 5_000 + b"}", 400, "BadRequest"),
        ("application/yaml", b"? 0x" + b"f" * 15_000 + b"\n: 1\n", 400, "BadRequest"),
        ("application/yaml", b"preconditions:\n  ? 0x" + b"f" * 15_000 + b"\n  : 1\n", 400, "BadRequest"),
        ("application/yaml", b"1: 2\n", 400, "BadRequest"),
        ("application/json", b" " * 20_000, 413, "RequestEntityTooLarge"),
        ("application/json", b" " * 4_000_000, 413, "RequestEntityTooLarge"),
    ):
        headers = {"Content-Type": content_type}
        filled.refuse(STREAM, code, reason, method="DELETE", data=data, headers=headers)
    assert filled.get(STREAM)


def test_a_body_that_would_grow_when_it_is_read_is_not_read(filled: Any) -> None:
    """Each line names the one before nine times: 400 bytes, and nine times nine times nine … when written out."""
    lines = ["a0: &a0 {k: 1}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 12)]
    status = filled.refuse(
        STREAM,
        400,
        "BadRequest",
        method="DELETE",
        data="\n".join(lines),
        headers={"Content-Type": "application/yaml"},
    )
    assert "references (*name) are not supported" in status["message"]
    assert filled.get(STREAM)


@pytest.mark.parametrize("name", ["a\nSet-Cookie: b", "a\r\nb", "a\x00b", "a\x7fb", "ä", "\ud800", "\u2028"])
def test_no_name_of_a_member_breaks_the_answer_about_what_was_deleted(filled: Any, name: str) -> None:
    body = json.dumps({name: 1, "preconditions": {name: 1}})
    answer = filled.ask(STREAM, method="DELETE", data=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200
    warnings = answer.headers.getlist("Warning")
    assert len(warnings) == 2
    assert all(warning.isascii() and warning.isprintable() for warning in warnings)
    assert "Set-Cookie" not in answer.headers


def test_a_precondition_that_is_no_text_of_ours_is_a_conflict_like_any_other(filled: Any) -> None:
    for value in ("\ud800", "x" * 10_000, "", "007", "-1", "٣"):
        for member in ("uid", "resourceVersion"):
            body = json.dumps({"preconditions": {member: value}})
            status = filled.refuse(
                STREAM, 409, "Conflict", method="DELETE", data=body, headers={"Content-Type": "application/json"}
            )
            assert len(status["message"]) < 500


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES, content_type=st.sampled_from(["application/json", "application/yaml"]))
def test_no_body_makes_the_server_fail(filled: Any, body: str, content_type: str) -> None:
    answer = filled.ask(
        TAG, method="DELETE", data=body.encode(errors="replace"), headers={"Content-Type": content_type}
    )
    assert answer.status_code in (200, 400, 404, 409, 422), answer.text
    assert answer.get_json()["kind"] == "Status"
    for _, value in answer.headers:
        assert value.isascii()
        assert value.isprintable()


def test_a_member_that_is_unknown_warns_and_does_not_stop_a_newer_controller(filled: Any) -> None:
    options = {"futureMember": 1, "preconditions": {"generation": 3}}
    answer = filled.ask(STREAM, method="DELETE", json=options)
    assert answer.status_code == 200
    assert answer.headers.getlist("Warning") == [
        '299 - "unknown field \\"futureMember\\""',
        '299 - "unknown field \\"preconditions.generation\\""',
    ]


def test_deleting_many_deletes_what_is_selected_and_tells_it(filled: Any) -> None:
    filled.label("team/app", app="shop")
    deleted = filled.delete("namespaces/team/imagestreams?labelSelector=app%3Dshop")
    assert deleted["kind"] == "ImageStreamList"
    assert [item["metadata"]["name"] for item in deleted["items"]] == ["app"]
    assert filled.names("namespaces/team/imagestreams") == ["web"]
    deleted = filled.delete("namespaces/team/imagestreams", headers={"Accept": filled.table})
    assert [row["cells"][0] for row in deleted["rows"]] == ["web"]
    assert filled.names("imagestreams") == ["app", "tool"]
    assert filled.delete("namespaces/team/imagestreams")["items"] == []


def test_streams_of_all_namespaces_are_never_deleted_at_once(filled: Any) -> None:
    filled.refuse("imagestreams", 405, "MethodNotAllowed", method="DELETE")
    assert len(filled.names("imagestreams")) == 4


def test_what_is_gone_already_is_not_found(filled: Any) -> None:
    filled.delete(STREAM)
    status = filled.delete(STREAM, 404)
    assert status["message"] == 'imagestreams.image.alauda.io "app" not found'
    assert filled.delete(TAG, 404)["message"] == 'imagestreamtags.image.alauda.io "app:v1" not found'


@pytest.mark.parity(5)
@pytest.mark.parametrize("order", [("imagestreams", "imagestreamtags"), ("imagestreamtags", "imagestreams")])
def test_the_namespace_controller_empties_a_namespace(filled: Any, order: tuple[str, ...]) -> None:
    """By the verbs that discovery publishes, in whatever order, until nothing is listed."""
    accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
    entries = [entry for entry in filled.get("")["resources"] if entry["namespaced"] and "delete" in entry["verbs"]]
    published = {entry["name"]: entry["verbs"] for entry in entries}
    assert set(published) >= set(order)
    background = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
    for kind in order:
        path = f"namespaces/team/{kind}"
        if "deletecollection" in published[kind]:
            filled.delete(path, options=background)
        else:
            for item in filled.get(path, accept)["items"]:
                filled.delete(f"{path}/{filled.segment(item['metadata']['name'])}", options=background)
        assert filled.get(path, accept)["items"] == []
    assert [filled.names(f"namespaces/team/{kind}") for kind in order] == [[], []]
    assert filled.names("imagestreams") == ["app", "tool"]


@pytest.mark.parametrize("kind", ["imagestreamtags", "imagetags"])
def test_all_tags_of_a_namespace_go_in_one_change_of_each_stream(either: Any, kind: str) -> None:
    """Whoever empties a namespace may not send ten thousand requests, nor wait for as many transactions."""
    for number in range(30):
        either.push(f"team/app{number % 2}", number, f"v{number}")
    either.push("other/app", 0, "v1")
    before = either.streams.revision()
    path = f"namespaces/team/{kind}"
    dry = either.delete(f"{path}?dryRun=All")
    assert len(dry["items"]) == 30
    assert either.streams.revision() == before
    selected = either.delete(f"{path}?fieldSelector=metadata.name%3Dapp0:v0")
    assert [item["metadata"]["name"] for item in selected["items"]] == ["app0:v0"]
    assert len(either.names(path)) == 29
    gone = either.delete(path)
    assert len(gone["items"]) == 29
    assert either.streams.revision() == before + 3
    assert either.names(path) == []
    assert either.names("namespaces/team/imagestreams") == ["app0", "app1"]
    assert either.names("imagestreamtags") == ["app:v1"]
    assert either.delete(path)["items"] == []


def test_very_many_new_tags_are_listed_and_deleted_at_once(either: Any) -> None:
    """Who set what of the stream is as long as its status then, and must not be read once for each tag."""
    either.push("team/app", "one", "v1")
    stream = either.get(STREAM)
    (first,) = stream["status"]["tags"]
    stream["status"]["tags"] = [{**first, "tag": f"v{tag}"} for tag in range(1500)]
    either.write("PUT", f"{STREAM}/status", stream)
    began = time.monotonic()
    assert len(either.delete("namespaces/team/imagestreamtags")["items"]) == 1500
    assert time.monotonic() - began < 4


def test_a_stream_made_anew_is_another_object(filled: Any) -> None:
    uid = filled.get(STREAM)["metadata"]["uid"]
    filled.delete(STREAM)
    filled.push("team/app", "again", "v1")
    assert filled.get(STREAM)["metadata"]["uid"] != uid
    filled.delete(STREAM, 409, {"preconditions": {"uid": uid}})


def test_an_image_with_finalizers_waits_for_the_last_of_them(either: Any) -> None:
    digest = either.push("team/app", "one", "v1")
    either.delete("namespaces/team/imagestreams/app")
    one = f"images/{digest}"
    either.write("PATCH", one, {"metadata": {"finalizers": ["a.io/x", "a.io/y"]}}, 200, MERGE_PATCH)
    assert either.delete(one, options={"dryRun": ["All"]})["metadata"]["deletionTimestamp"]
    assert "deletionTimestamp" not in either.get(one)["metadata"]
    left = either.delete(one)
    assert (left["kind"], left["metadata"]["deletionGracePeriodSeconds"]) == ("Image", 0)
    assert either.delete(one)["metadata"]["deletionTimestamp"] == left["metadata"]["deletionTimestamp"]
    either.write("PATCH", one, {"metadata": {"finalizers": ["a.io/y"]}}, 200, MERGE_PATCH)
    assert either.get(one)["metadata"]["deletionTimestamp"] == left["metadata"]["deletionTimestamp"]
    either.reject("PATCH", one, {"metadata": {"finalizers": ["a.io/y", "a.io/z"]}}, 422, "Invalid", MERGE_PATCH)
    either.write("PATCH", one, {"metadata": {"finalizers": None}}, 200, MERGE_PATCH)
    either.refuse(one, 404, "NotFound")


def test_an_image_that_is_pushed_again_while_it_waits_is_not_deleted(either: Any) -> None:
    digest = either.push("team/app", "one", "v1")
    one = f"images/{digest}"
    either.write("PATCH", one, {"metadata": {"finalizers": ["a.io/x"]}}, 200, MERGE_PATCH)
    either.refuse(one, 409, "Conflict", method="DELETE")  # a stream holds it
    either.delete("namespaces/team/imagestreams/app")
    either.delete(one)
    either.push("team/app", "one", "v1")
    either.write("PATCH", one, {"metadata": {"finalizers": None}}, 200, MERGE_PATCH)
    assert "deletionTimestamp" not in either.get(one)["metadata"]
    assert either.streams.tag(Repository.parse("team/app"), "v1")
