"""Creating, replacing and patching: what is read, what is refused with every cause, what is left as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

COLLECTION = "namespaces/team/imagestreams"
ONE = f"{COLLECTION}/new"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


def stream(name: str = "new", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "image.alauda.io/v1",
        "kind": "ImageStream",
        "metadata": {"name": name, "labels": {"app": "web"}},
        "spec": spec,
    }


def causes(status: Any) -> dict[str, str]:
    return {cause["field"]: cause["reason"] for cause in status["details"]["causes"]}


def test_what_is_made_can_be_read_and_has_an_identity_of_its_own(either: Any) -> None:
    made = either.write("POST", COLLECTION, stream(lookupPolicy={"local": True}), 201)
    assert made == either.get(ONE)
    metadata = made["metadata"]
    assert (metadata["name"], metadata["namespace"], metadata["generation"]) == ("new", "team", 1)
    assert metadata["uid"]
    assert int(metadata["resourceVersion"]) == either.streams.revision()
    assert made["spec"] == {"lookupPolicy": {"local": True}}
    assert metadata["labels"] == {"app": "web"}


def test_yaml_is_read_too(either: Any) -> None:
    text = "metadata:\n  name: new\n  labels: {1: 'yes'}\n  annotations: {since: '2030-01-01'}\n"
    made = either.write("POST", COLLECTION, text, 201, "application/yaml")
    assert made["metadata"]["labels"] == {"1": "yes"}
    assert made["metadata"]["annotations"] == {"since": "2030-01-01"}


def test_what_exists_is_not_made_again(either: Any) -> None:
    either.write("POST", COLLECTION, stream(), 201)
    status = either.reject("POST", COLLECTION, stream(), 409, "AlreadyExists")
    assert status["message"] == 'imagestreams.image.alauda.io "new" already exists'
    assert status["details"] == {"name": "new", "group": "image.alauda.io", "kind": "imagestreams"}


def test_a_dry_run_says_what_would_be_and_changes_nothing(either: Any) -> None:
    before = either.streams.revision()
    made = either.write("POST", f"{COLLECTION}?dryRun=All", stream(), 201)
    assert made["metadata"]["uid"]
    either.refuse(ONE, 404, "NotFound")
    kept = either.write("POST", COLLECTION, stream(), 201)
    kept["metadata"]["labels"] = {"app": "other"}
    assert either.write("PUT", f"{ONE}?dryRun=All", kept)["metadata"]["labels"] == {"app": "other"}
    assert either.get(ONE)["metadata"]["labels"] == {"app": "web"}
    assert either.streams.revision() == before + 1


@pytest.mark.parametrize(
    ("query", "path"),
    [("dryRun=Some", "dryRun"), ("fieldValidation=Lax", "fieldValidation"), ("fieldManager=a%0Ab", "fieldManager")],
)
def test_an_option_that_is_not_understood_is_refused(api: Any, query: str, path: str) -> None:
    assert path in causes(api.reject("POST", f"{COLLECTION}?{query}", stream(), 422, "Invalid"))


def test_unknown_and_repeated_members_are_refused_told_or_passed_over(api: Any) -> None:
    text = (
        '{"metadata": {"name": "new", "name": "new", "colour": 1}, "spec": {"tags": [{"name": "v1", "form": {}}]},'
        ' "extra": null, "spec2": {}}'
    )
    status = api.reject("POST", f"{COLLECTION}?fieldValidation=Strict", text, 400, "BadRequest")
    for told in (
        'duplicate field "metadata.name"',
        'unknown field "metadata.colour"',
        'unknown field "spec.tags[0].form"',
    ):
        assert told in status["message"]
    api.refuse(ONE, 404, "NotFound")
    answer = api.send("POST", f"{COLLECTION}?dryRun=All", text)
    assert answer.status_code == 201
    warnings = answer.headers.getlist("Warning")
    assert '299 - "unknown field \\"metadata.colour\\""' in warnings
    assert len(warnings) == 5
    ignored = api.send("POST", f"{COLLECTION}?fieldValidation=Ignore", text)
    assert (ignored.status_code, ignored.headers.getlist("Warning")) == (201, [])
    assert "colour" not in api.get(ONE)["metadata"]


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"spec": []}, "spec must be an object, not array"),
        ({"spec": {"tags": {}}}, "spec.tags must be a list, not object"),
        ({"spec": {"tags": [{"name": 1}]}}, "spec.tags[0].name must be a text, not integer"),
        ({"spec": {"lookupPolicy": {"local": "yes"}}}, "spec.lookupPolicy.local must be true or false"),
        ({"spec": {"tags": [{"name": "a", "generation": True}]}}, "spec.tags[0].generation must be a whole number"),
        ({"metadata": {"labels": {"a": 1}}}, "metadata.labels.a must be a text"),
        ({"kind": "Image"}, "cannot be handled as a ImageStream"),
        ({"apiVersion": "v1"}, "does not match the expected API version"),
        ({"metadata": {"name": "x", "namespace": "other"}}, "does not match the namespace"),
        ({"metadata": {"name": "x", "resourceVersion": "1"}}, "resourceVersion should not be set"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_path(api: Any, document: Any, told: str) -> None:
    assert told in api.reject("POST", COLLECTION, document, 400, "BadRequest")["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"1", b"\xff", b"[" * 3000, b'{"a":' * 300])
def test_what_is_no_object_is_refused(api: Any, body: bytes) -> None:
    for content_type in ("application/json", "application/yaml"):
        assert api.reject("POST", COLLECTION, body, 400, "BadRequest", content_type)
    api.reject("POST", COLLECTION, b'{"a": NaN}', 400, "BadRequest")
    api.reject("POST", COLLECTION, b"a: .nan", 400, "BadRequest", "application/yaml")
    api.reject("POST", COLLECTION, b"x", 415, "UnsupportedMediaType", "application/vnd.kubernetes.protobuf")


def test_everything_that_is_wrong_is_told_at_once_with_its_path(api: Any) -> None:
    wrong = {
        "metadata": {
            "name": "Not_A_Name",
            "labels": {"a b": "x", "ok": "-"},
            "annotations": {"/x": ""},
            "finalizers": ["plain"],
            "ownerReferences": [{"kind": "Deployment", "name": "web"}],
        },
        "spec": {
            "dockerImageRepository": "registry.example.com/app:v1",
            "tags": [
                {"name": "v1", "from": {"kind": "Pod", "name": "x"}},
                {"name": "v1"},
                {"name": "-bad"},
                {"from": {"kind": "DockerImage", "name": "x"}},
                {
                    "name": "v2",
                    "from": {"kind": "ImageStreamTag", "name": "a:b:c"},
                    "importPolicy": {"scheduled": True},
                },
                {"name": "v3", "referencePolicy": {"type": "Near"}, "importPolicy": {"importMode": "All"}},
                {"name": "v4", "from": {"kind": "DockerImage", "name": "UPPER"}},
            ],
        },
    }
    status = api.reject("POST", COLLECTION, wrong, 422, "Invalid")
    assert status["details"]["kind"] == "ImageStream"
    assert status["message"].startswith('ImageStream.image.alauda.io "Not_A_Name" is invalid: [')
    assert causes(status) == {
        "metadata.name": "FieldValueInvalid",
        "metadata.labels": "FieldValueInvalid",
        "metadata.annotations": "FieldValueInvalid",
        "metadata.finalizers": "FieldValueInvalid",
        "metadata.ownerReferences[0].apiVersion": "FieldValueRequired",
        "metadata.ownerReferences[0].uid": "FieldValueRequired",
        "spec.dockerImageRepository": "FieldValueInvalid",
        "spec.tags[v1].from.kind": "FieldValueNotSupported",
        "spec.tags[1].name": "FieldValueDuplicate",
        "spec.tags[-bad].name": "FieldValueInvalid",
        "spec.tags[3].name": "FieldValueRequired",
        "spec.tags[v2].from.name": "FieldValueInvalid",
        "spec.tags[v2].importPolicy.scheduled": "FieldValueInvalid",
        "spec.tags[v3].referencePolicy.type": "FieldValueNotSupported",
        "spec.tags[v3].importPolicy.importMode": "FieldValueNotSupported",
        "spec.tags[v4].from.name": "FieldValueInvalid",
    }


def test_a_name_is_completed_by_the_server(api: Any) -> None:
    names = set()
    for _ in range(3):
        made = api.write("POST", COLLECTION, {"metadata": {"generateName": "web-"}}, 201)
        names.add(made["metadata"]["name"])
        assert made["metadata"]["name"].startswith("web-")
        assert made["metadata"]["generateName"] == "web-"
        assert api.get(f"{COLLECTION}/{made['metadata']['name']}")["metadata"]["generateName"] == "web-"
    assert len(names) == 3
    assert causes(api.reject("POST", COLLECTION, {"metadata": {}}, 422, "Invalid")) == {
        "metadata.name": "FieldValueRequired"
    }


def test_nothing_is_made_in_a_namespace_that_is_missing_or_ending(api: Any) -> None:
    api.phases = {"team": "Terminating", "gone": ""}
    status = api.reject("POST", COLLECTION, stream(), 403, "Forbidden")
    assert status["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    status = api.reject("POST", "namespaces/gone/imagestreams", stream(), 404, "NotFound")
    assert status["message"] == 'namespaces "gone" not found'


def test_who_may_not_write_is_refused_before_the_body_is_read(api: Any) -> None:
    api.cluster.allowed = set()
    for method, path in (("POST", COLLECTION), ("PUT", ONE), ("PATCH", ONE)):
        api.reject(method, path, b"{", 403, "Forbidden", MERGE_PATCH if method == "PATCH" else "")


# replacing


def test_an_object_is_replaced_only_by_who_knows_what_it_is(either: Any) -> None:
    made = either.write("POST", COLLECTION, stream(), 201)
    made["metadata"]["labels"] = {"app": "two"}
    changed = either.write("PUT", ONE, made)
    assert changed["metadata"]["labels"] == {"app": "two"}
    assert int(changed["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
    assert changed["metadata"]["generation"] == 1
    status = either.reject("PUT", ONE, made, 409, "Conflict")
    assert "the object has been modified" in status["message"]
    made["metadata"].pop("resourceVersion")
    assert causes(either.reject("PUT", ONE, made, 422, "Invalid")) == {"metadata.resourceVersion": "FieldValueInvalid"}
    changed["metadata"]["uid"] = "other"
    assert "Precondition failed: UID" in either.reject("PUT", ONE, changed, 409, "Conflict")["message"]


def test_replacing_an_object_by_itself_changes_nothing(either: Any) -> None:
    made = either.write("POST", COLLECTION, stream(tags=[{"name": "v1"}]), 201)
    assert either.write("PUT", ONE, made)["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    assert either.get(ONE) == made


def test_what_does_not_exist_is_not_replaced(api: Any) -> None:
    api.reject("PUT", ONE, stream(), 404, "NotFound")
    assert "name" in api.reject("PUT", ONE, stream("other"), 400, "BadRequest")["message"]


def test_nobody_chooses_what_the_server_owns(api: Any) -> None:
    made = api.write("POST", COLLECTION, stream(), 201)
    wanted = json.loads(json.dumps(made))
    wanted["metadata"] |= {"creationTimestamp": "2001-01-01T00:00:00Z", "generation": 77}
    wanted["status"] = {"tags": [{"tag": "forged", "items": []}]}
    assert api.write("PUT", ONE, wanted) == made


# patching


@pytest.mark.parametrize(
    ("content_type", "patch"),
    [
        (MERGE_PATCH, {"metadata": {"labels": {"app": None, "tier": "db"}}}),
        (STRATEGIC, {"metadata": {"labels": {"app": None, "tier": "db"}}}),
        (
            JSON_PATCH,
            [
                {"op": "remove", "path": "/metadata/labels/app"},
                {"op": "add", "path": "/metadata/labels/tier", "value": "db"},
            ],
        ),
    ],
)
def test_each_kind_of_patch_changes_what_it_says(either: Any, content_type: str, patch: Any) -> None:
    either.write("POST", COLLECTION, stream(), 201)
    patched = either.write("PATCH", ONE, patch, 200, content_type)
    assert patched["metadata"]["labels"] == {"tier": "db"}
    assert either.get(ONE) == patched


def test_a_strategic_patch_tells_tags_apart_by_their_names(api: Any) -> None:
    api.write("POST", COLLECTION, stream(tags=[{"name": "a", "annotations": {"x": "1"}}, {"name": "b"}]), 201)
    change = {
        "spec": {
            "$setElementOrder/tags": [{"name": "c"}, {"name": "a"}],
            "tags": [{"name": "a", "annotations": {"y": "2"}}, {"name": "b", "$patch": "delete"}, {"name": "c"}],
        }
    }
    patched = api.write("PATCH", ONE, change, 200, STRATEGIC)
    assert {tag["name"]: tag.get("annotations") for tag in patched["spec"]["tags"]} == {
        "a": {"x": "1", "y": "2"},
        "c": None,
    }
    replaced = api.write("PATCH", ONE, {"spec": {"tags": [{"$patch": "replace"}, {"name": "z"}]}}, 200, STRATEGIC)
    assert [tag["name"] for tag in replaced["spec"]["tags"]] == ["z"]


def test_finalizers_are_added_and_removed_one_by_one(api: Any) -> None:
    api.write("POST", COLLECTION, stream(), 201)
    for name in ("a.io/x", "a.io/y"):
        api.write("PATCH", ONE, {"metadata": {"finalizers": [name]}}, 200, STRATEGIC)
    assert api.get(ONE)["metadata"]["finalizers"] == ["a.io/x", "a.io/y"]
    change = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a.io/x"]}}
    assert api.write("PATCH", ONE, change, 200, STRATEGIC)["metadata"]["finalizers"] == ["a.io/y"]


@pytest.mark.parametrize(
    ("content_type", "patch", "code", "reason"),
    [
        (JSON_PATCH, [{"op": "test", "path": "/metadata/name", "value": "x"}], 422, "Invalid"),
        (JSON_PATCH, [{"op": "remove", "path": "/spec/nothing"}], 422, "Invalid"),
        (JSON_PATCH, [{"op": "add", "path": "/spec/tags/5", "value": {}}], 422, "Invalid"),
        (JSON_PATCH, [{"op": "jump", "path": "/spec"}], 400, "BadRequest"),
        (JSON_PATCH, [{"op": "add", "path": "spec", "value": 1}], 400, "BadRequest"),
        (JSON_PATCH, {}, 400, "BadRequest"),
        (JSON_PATCH, [{"op": "replace", "path": "", "value": 1}], 400, "BadRequest"),
        (MERGE_PATCH, [], 400, "BadRequest"),
        (MERGE_PATCH, {"spec": 1}, 422, "Invalid"),
        (MERGE_PATCH, {"metadata": 1}, 400, "BadRequest"),
        (MERGE_PATCH, {"metadata": {"name": "other"}}, 400, "BadRequest"),
        (MERGE_PATCH, {"metadata": {"resourceVersion": "1"}}, 409, "Conflict"),
        (STRATEGIC, {"spec": {"tags": [{"from": {}}]}}, 400, "BadRequest"),
        (STRATEGIC, {"spec": {"$patch": "dance"}}, 400, "BadRequest"),
        ("text/plain", {}, 415, "UnsupportedMediaType"),
    ],
)
def test_a_patch_that_cannot_be_is_refused_and_changes_nothing(
    api: Any, content_type: str, patch: Any, code: int, reason: str
) -> None:
    made = api.write("POST", COLLECTION, stream(), 201)
    api.reject("PATCH", ONE, patch, code, reason, content_type)
    assert api.get(ONE) == made


def test_a_patch_is_made_again_on_what_somebody_changed_meanwhile(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    api.write("POST", COLLECTION, stream(), 201)
    update = api.streams.editor.update_stream
    raced: list[bool] = []

    def racing(*arguments: Any, **keywords: Any) -> Any:
        if not raced:
            raced.append(True)
            api.push("team/new", "an image", "v1")
        return update(*arguments, **keywords)

    monkeypatch.setattr(api.streams.editor, "update_stream", racing)
    patched = api.write("PATCH", ONE, {"metadata": {"labels": {"tier": "db"}}}, 200, MERGE_PATCH)
    assert patched["metadata"]["labels"] == {"app": "web", "tier": "db"}
    assert patched["status"]["tags"][0]["tag"] == "v1"


def test_unknown_members_of_a_patch_are_told(api: Any) -> None:
    api.write("POST", COLLECTION, stream(), 201)
    answer = api.send("PATCH", ONE, {"spec": {"colour": "red"}}, MERGE_PATCH)
    assert answer.headers.getlist("Warning") == ['299 - "unknown field \\"spec.colour\\""']
    strict = api.reject("PATCH", f"{ONE}?fieldValidation=Strict", {"spec": {"colour": 1}}, 422, "Invalid", MERGE_PATCH)
    assert 'unknown field "spec.colour"' in strict["message"]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["metadata", "spec", "tags", "name", "from", "labels", "status", "finalizers", "$patch"])
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(document=ANYTHING, method=st.sampled_from(["POST", "PUT", MERGE_PATCH, STRATEGIC, JSON_PATCH]))
def test_whatever_is_sent_is_written_or_refused_and_never_fails(api: Any, document: Any, method: str) -> None:
    if api.ask(ONE).status_code == 404:
        api.write("POST", COLLECTION, stream(), 201)
    if "+" in method:
        answer = api.send("PATCH", ONE, document, method)
    else:
        answer = api.send(method, COLLECTION if method == "POST" else ONE, document)
    assert answer.status_code in (200, 201, 400, 404, 409, 415, 422), answer.text
    assert api.get(ONE)["kind"] == "ImageStream"
