"""Server-side apply: who owns what, what conflicts, and what goes with whom."""

from __future__ import annotations

from typing import Any

COLLECTION = "namespaces/team/imagestreams"
ONE = f"{COLLECTION}/app"
APPLY = "application/apply-patch+yaml"
MERGE_PATCH = "application/merge-patch+json"


def stream(labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": "app"} | ({"labels": labels} if labels else {})
    return {"apiVersion": "image.alauda.io/v1", "kind": "ImageStream", "metadata": metadata, "spec": spec}


def apply(api: Any, document: Any, manager: str = "ci", code: int = 200, more: str = "") -> Any:
    return api.write("PATCH", f"{ONE}?fieldManager={manager}{more}", document, code, APPLY)


def managers(document: Any) -> dict[str, Any]:
    return {entry["manager"]: entry for entry in document["metadata"].get("managedFields", ())}


def test_applying_makes_what_does_not_exist_and_remembers_who_meant_what(either: Any) -> None:
    made = apply(either, stream({"a": "1"}, tags=[{"name": "v1", "annotations": {"x": "y"}}]), code=201)
    entry = managers(made)["ci"]
    assert (entry["operation"], entry["apiVersion"], entry["fieldsType"]) == ("Apply", "image.alauda.io/v1", "FieldsV1")
    assert entry["fieldsV1"] == {
        "f:metadata": {"f:labels": {"f:a": {}}},
        "f:spec": {"f:tags": {'k:{"name":"v1"}': {".": {}, "f:annotations": {"f:x": {}}, "f:name": {}}}},
    }
    again = apply(either, stream({"a": "1"}, tags=[{"name": "v1", "annotations": {"x": "y"}}]))
    assert again == made == either.get(ONE)


def test_what_is_not_said_any_more_goes(either: Any) -> None:
    apply(
        either,
        stream({"a": "1", "b": "2"}, tags=[{"name": "v1"}, {"name": "v2"}], lookupPolicy={"local": True}),
        code=201,
    )
    after = apply(either, stream({"b": "2"}, tags=[{"name": "v2"}]))
    assert after["metadata"]["labels"] == {"b": "2"}
    assert [tag["name"] for tag in after["spec"]["tags"]] == ["v2"]
    assert after["spec"]["lookupPolicy"] == {"local": False}


def test_what_somebody_else_has_too_stays(api: Any) -> None:
    apply(api, stream({"a": "1"}), code=201)
    both = apply(api, stream({"a": "1"}), manager="other")
    assert set(managers(both)) == {"ci", "other"}
    after = apply(api, stream())
    assert after["metadata"]["labels"] == {"a": "1"}
    assert managers(after)["ci"]["fieldsV1"] == {"f:spec": {}}, "an empty spec that is sent is meant"


def test_a_conflict_names_the_manager_and_the_member(either: Any) -> None:
    apply(either, stream({"a": "1"}, lookupPolicy={"local": True}), code=201)
    other = stream({"a": "2"}, lookupPolicy={"local": False})
    status = either.reject("PATCH", f"{ONE}?fieldManager=other", other, 409, "Conflict", APPLY)
    assert status["message"].startswith("Apply failed with 2 conflicts: ")
    assert [(cause["reason"], cause["field"]) for cause in status["details"]["causes"]] == [
        ("FieldManagerConflict", ".metadata.labels.a"),
        ("FieldManagerConflict", ".spec.lookupPolicy.local"),
    ]
    assert {cause["message"] for cause in status["details"]["causes"]} == {'conflict with "ci"'}
    forced = apply(either, other, manager="other", more="&force=true")
    assert forced["metadata"]["labels"] == {"a": "2"}
    assert set(managers(forced)) == {"other"}


def test_an_update_takes_what_it_changes(api: Any) -> None:
    apply(api, stream({"a": "1", "b": "1"}), code=201)
    patched = api.write(
        "PATCH", f"{ONE}?fieldManager=kubectl-edit", {"metadata": {"labels": {"a": "2"}}}, 200, MERGE_PATCH
    )
    found = managers(patched)
    assert found["ci"]["fieldsV1"] == {"f:metadata": {"f:labels": {"f:b": {}}}, "f:spec": {}}
    assert found["kubectl-edit"]["operation"] == "Update"
    assert found["kubectl-edit"]["fieldsV1"] == {"f:metadata": {"f:labels": {"f:a": {}}}}
    status = api.reject("PATCH", f"{ONE}?fieldManager=ci", stream({"a": "1", "b": "1"}), 409, "Conflict", APPLY)
    assert 'Apply failed with 1 conflict: conflict with "kubectl-edit" using image.alauda.io/v1 at' in status["message"]


def test_who_creates_or_replaces_is_remembered_too(api: Any) -> None:
    made = api.send("POST", COLLECTION, stream({"a": "1"}), headers={"User-Agent": "tool/1.0 (linux)"}).get_json()
    entry = managers(made)["tool"]
    assert (entry["operation"], entry["fieldsV1"]) == ("Update", {"f:metadata": {"f:labels": {".": {}, "f:a": {}}}})
    made["metadata"]["managedFields"] = [{}]
    assert "tool" not in managers(api.write("PUT", f"{ONE}?fieldManager=x", made))


def test_what_was_there_before_anybody_applied_is_not_overwritten_quietly(api: Any) -> None:
    api.push("team/app", "an image", "v1")
    api.label("team/app", a="1")
    status = api.reject("PATCH", f"{ONE}?fieldManager=ci", stream({"a": "2"}), 409, "Conflict", APPLY)
    assert "before-first-apply" in status["message"]
    after = apply(api, stream({"a": "1"}, tags=[{"name": "v2"}]))
    assert after["status"]["tags"][0]["tag"] == "v1"


def test_applying_needs_a_manager_and_says_no_managers(api: Any) -> None:
    status = api.reject("PATCH", ONE, stream(), 422, "Invalid", APPLY)
    assert status["details"]["causes"][0]["field"] == "fieldManager"
    api.reject("PATCH", f"{ONE}?force=true", {}, 422, "Invalid", MERGE_PATCH)
    named = stream()
    named["metadata"]["managedFields"] = [{"manager": "x"}]
    api.reject("PATCH", f"{ONE}?fieldManager=ci", named, 400, "BadRequest", APPLY)
    api.reject("PATCH", f"{ONE}?fieldManager=ci", {"metadata": {"name": "app"}}, 400, "BadRequest", APPLY)


def test_applying_what_does_not_exist_needs_the_right_to_create(api: Any) -> None:
    api.cluster.allowed = {'patch imagestreams.image.alauda.io "app" in namespace "team"'}
    api.reject("PATCH", f"{ONE}?fieldManager=ci", stream(), 403, "Forbidden", APPLY)
    api.cluster.allowed = None
    api.refuse(ONE, 404, "NotFound")


def test_a_dry_run_of_applying_changes_nothing(either: Any) -> None:
    apply(either, stream({"a": "1"}), code=201, more="&dryRun=All")
    either.refuse(ONE, 404, "NotFound")


def test_status_is_nobodys_to_apply(api: Any) -> None:
    made = apply(api, {**stream({"a": "1"}), "status": {"tags": [{"tag": "x", "items": []}]}}, code=201)
    assert "tags" not in made["status"]
    assert "f:status" not in managers(made)["ci"]["fieldsV1"]
