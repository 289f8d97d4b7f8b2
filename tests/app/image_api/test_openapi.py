"""OpenAPI: what ``kubectl explain`` and the kube-apiserver's aggregator read."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from image_registry.image_api.resources import RESOURCES

V2 = "/openapi/v2"
V3 = "/openapi/v3/apis/image.alauda.io/v1"


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if "$ref" in value else set()
        return own.union(*(references(child) for child in value.values()))
    if isinstance(value, list):
        return set().union(*(references(child) for child in value))
    return set()


def schemas_of(document: Any) -> dict[str, Any]:
    return document.get("definitions") or document["components"]["schemas"]  # type: ignore[no-any-return]


def closed(document: Any) -> Any:
    """The same schemas, in which a member that no schema names is an error."""
    text = json.dumps(document)
    tree = json.loads(text)
    for schema in schemas_of(tree).values():
        if "properties" in schema:
            schema["additionalProperties"] = False
    return tree


@pytest.mark.parametrize(("path", "prefix"), [(V2, "#/definitions/"), (V3, "#/components/schemas/")])
def test_every_reference_leads_to_a_schema_and_every_schema_is_used(api: Any, path: str, prefix: str) -> None:
    document = api.get(path)
    names = {f"{prefix}{name}" for name in schemas_of(document)}
    assert references(document) == names


def test_both_versions_describe_the_same(api: Any) -> None:
    second, third = api.get(V2), api.get(V3)
    assert second["swagger"] == "2.0"
    assert third["openapi"].startswith("3.0")
    assert set(second["paths"]) == set(third["paths"])
    assert {name: set(schema.get("properties", ())) for name, schema in schemas_of(second).items()} == {
        name: set(schema.get("properties", ())) for name, schema in schemas_of(third).items()
    }


def test_exactly_the_verbs_that_are_served_are_described(api: Any) -> None:
    described: dict[str, set[str]] = {}
    for path, operations in api.get(V3)["paths"].items():
        for method, operation in operations.items():
            if method == "parameters":
                continue
            resource = re.sub(r"^.*/(\w+)/\{name\}/(\w+)$", r"\1/\2", path)
            if resource == path:
                resource = re.sub(r"/\{name\}$", "", path).rsplit("/", 1)[1]
            action = {"post": "create", "put": "update"}.get(method, operation["x-kubernetes-action"])
            described.setdefault(resource, set()).add(action)
            if any(parameter["name"] == "watch" for parameter in operation.get("parameters", ())):
                described[resource].add("watch")
    published = {entry["name"]: set(entry["verbs"]) for entry in api.get("/apis/image.alauda.io/v1")["resources"]}
    for known in RESOURCES:
        published[known.name] |= set(known.unpublished)  # no controller reads descriptions
    assert described == published


@pytest.mark.parametrize("path", [V2, V3])
def test_kinds_are_found_from_paths_and_from_schemas(api: Any, path: str) -> None:
    document = api.get(path)
    entries = api.get("/apis/image.alauda.io/v1")["resources"]
    kinds = {entry["kind"]: entry for entry in entries if "get" in entry["verbs"] and "/" not in entry["name"]}
    for kind, entry in kinds.items():
        gvk = {"group": "image.alauda.io", "kind": kind, "version": "v1"}
        inside = "/namespaces/{namespace}" if entry["namespaced"] else ""
        one = document["paths"][f"/apis/image.alauda.io/v1{inside}/{entry['name']}/{{name}}"]
        assert one["get"]["x-kubernetes-group-version-kind"] == gvk
        owners = [
            name
            for name, schema in schemas_of(document).items()
            if gvk in schema.get("x-kubernetes-group-version-kind", ())
        ]
        assert owners == [f"com.alauda.image.v1.{kind}"]


@pytest.mark.parametrize("path", [V2, V3])
def test_no_kind_of_another_group_is_defined_and_none_twice(api: Any, path: str) -> None:
    """Tools that read the document joined by the kube-apiserver refuse a kind that is defined twice."""
    gvks = [
        (gvk["group"], gvk["kind"])
        for schema in schemas_of(api.get(path)).values()
        for gvk in schema.get("x-kubernetes-group-version-kind", ())
    ]
    assert len(set(gvks)) == len(gvks) >= 7
    assert {group for group, _ in gvks} == {"image.alauda.io"}


def test_operations_have_names_of_their_own_and_name_their_path_parameters(api: Any) -> None:
    seen: set[str] = set()
    for path, operations in api.get(V2)["paths"].items():
        named = {entry["name"] for entry in operations.get("parameters", ())}
        assert named == set(re.findall(r"\{(\w+)\}", path))
        for method, operation in operations.items():
            if method != "parameters":
                assert operation["operationId"] not in seen
                seen.add(operation["operationId"])


def test_lists_merge_by_their_names(api: Any) -> None:
    schemas = schemas_of(api.get(V3))
    spec = schemas["com.alauda.image.v1.ImageStreamSpec"]["properties"]["tags"]
    status = schemas["com.alauda.image.v1.ImageStreamStatus"]["properties"]["tags"]
    assert (spec["x-kubernetes-patch-merge-key"], spec["x-kubernetes-patch-strategy"]) == ("name", "merge")
    assert (status["x-kubernetes-patch-merge-key"], status["x-kubernetes-patch-strategy"]) == ("tag", "merge")


@pytest.mark.parity(4)
def test_everything_is_explained(api: Any) -> None:
    for name, schema in schemas_of(api.get(V3)).items():
        assert schema["description"], name
        for member, description in schema.get("properties", {}).items():
            assert description.get("description"), f"{name}.{member}"


@pytest.mark.parametrize("kind", ["images", "imagestreams", "imagestreamtags"])
def test_objects_have_only_members_that_are_explained(filled: Any, kind: str) -> None:
    children = [filled.image("amd64"), filled.image("arm")]
    for child in children:
        filled.push("team/multi", child, None)
    filled.push("team/multi", filled.index(*children))
    filled.push("team/app", "configured", "c", json.dumps({"os": "linux", "config": {"Cmd": ["x"]}}).encode())
    document = closed(filled.get(V3))
    listing = filled.get(kind)
    name = (
        "com.alauda.image.v1."
        + {
            "images": "ImageList",
            "imagestreams": "ImageStreamList",
            "imagestreamtags": "ImageStreamTagList",
        }[kind]
    )
    validator = Draft202012Validator({"$ref": f"#/components/schemas/{name}", **document})
    assert listing["items"]
    validator.validate(listing)
    one = Draft202012Validator({"$ref": f"#/components/schemas/{name.removesuffix('List')}", **document})
    for item in listing["items"]:
        metadata = item["metadata"]
        inside = f"namespaces/{metadata['namespace']}/" if "namespace" in metadata else ""
        one.validate(filled.get(f"{inside}{kind}/{filled.segment(metadata['name'])}"))


def test_failures_are_explained_too(filled: Any) -> None:
    document = closed(filled.get(V3))
    validator = Draft202012Validator({"$ref": "#/components/schemas/com.alauda.image.v1.Status", **document})
    validator.validate(filled.refuse("imagestreams?resourceVersion=999", 504, "Timeout"))
    validator.validate(filled.refuse("namespaces/team/imagestreams/nope", 404, "NotFound"))
    validator.validate(filled.delete("namespaces/team/imagestreams/app"))


def test_the_address_of_version_3_changes_with_its_content(api: Any) -> None:
    address = api.get("/openapi/v3")["paths"]["apis/image.alauda.io/v1"]["serverRelativeURL"]
    answer = api.ask(address)
    assert answer.status_code == 200
    assert answer.headers["ETag"].strip('"') == address.partition("hash=")[2]
    assert "immutable" in answer.headers["Cache-Control"]
    assert "immutable" not in api.ask(V3).headers["Cache-Control"]
    outdated = api.ask(f"{V3}?hash=0123")
    assert (outdated.status_code, outdated.headers["Location"]) == (301, address)


def test_a_client_that_reads_only_protobuf_is_told_so(api: Any) -> None:
    for path in (V2, V3, "/openapi/v3"):
        api.refuse(path, 406, "NotAcceptable", accept="application/com.github.proto-openapi.spec.v2@v1.0+protobuf")
        accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf,*/*"
        assert api.ask(path, accept).content_type == "application/json"
