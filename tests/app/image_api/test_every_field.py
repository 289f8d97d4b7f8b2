"""Whatever is wrong in whichever field of whichever kind is named with path and cause, and nothing is written."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from image_registry.image_api import forms
from tests.app import content

MANIFEST = content.image("new")
DIGEST = str(MANIFEST.digest)
IMAGE = {"metadata": {"name": DIGEST}, "dockerImageReference": f"quay.io/a/b@{DIGEST}"}
NEW_IMAGE = {**IMAGE, "dockerImageManifest": MANIFEST.raw.decode()}
IMPORT = {"from": {"kind": "DockerImage", "name": "quay.io/a/b:v1"}, "to": {"name": "v1"}}
EVENT = {"created": "2030-01-01T00:00:00Z", "dockerImageReference": "quay.io/a/b", "image": DIGEST}
TAGS = {"from": {"kind": "ImageStreamTag", "name": "app:v1"}}
WHERE = {
    "ImageStream": ("POST", "namespaces/team/imagestreams"),
    "ImageStreamTag": ("POST", "namespaces/team/imagestreamtags"),
    "ImageTag": ("POST", "namespaces/team/imagetags"),
    "ImageStreamMapping": ("POST", "namespaces/team/imagestreammappings"),
    "ImageStreamImport": ("POST", "namespaces/team/imagestreamimports"),
    "Image": ("POST", "images"),
    "ImageSignature": ("POST", "imagesignatures"),
}
WRONG = {"object": "x", "array": {}, "string": 1, "integer": "x", "boolean": "x"}


def fields(schema: dict[str, Any], seen: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Path and type of every field below a schema; a schema that is part of itself is walked once."""
    name = schema.get("$ref", "")
    if name in seen:
        return
    seen, schema = (*seen, name) if name else seen, forms.resolve(schema)
    form = schema.get("type", "object")
    yield "", form
    inside = dict(schema.get("properties", {}))
    if "additionalProperties" in schema:
        inside["a"] = schema["additionalProperties"]
    if form == "array":
        for path, kind in fields(schema["items"], seen):
            yield f"[0]{path}", kind
    for member, part in inside.items():
        for path, kind in fields(part, seen):
            yield f".{member}{path}", kind


def holding(path: str, value: Any) -> Any:
    """A document with one value at a path."""
    for step in reversed(path.replace("[0]", ".[0]").strip(".").split(".")):
        value = [value] if step == "[0]" else {step: value}
    return value


def state(api: Any) -> tuple[int, list[Any]]:
    """Everything there is, and whether anything was written since."""
    lists = ("images", "imagestreams", "imagetags")
    return api.streams.revision(), [api.get(kind)["items"] for kind in lists]


@pytest.mark.parametrize("kind", WHERE)
def test_every_value_of_a_wrong_type_is_named_with_its_path(filled: Any, kind: str) -> None:
    method, where = WHERE[kind]
    before, told = state(filled), 0
    for dotted, form in fields({"$ref": kind}):
        path = dotted.removeprefix(".")
        if not path or path in ("kind", "apiVersion"):
            continue
        answer = filled.send(method, where, holding(dotted, WRONG[form]))
        document = answer.get_json()
        assert answer.status_code == 400, f"{path}: {answer.text}"
        assert f"{path} must be " in document["message"], path
        told += 1
    assert told > 10
    assert state(filled) == before


CASES: list[tuple[str, Any, str, str]] = []
"""Kind, document, path of the cause, its reason."""


def case(kind: str, document: Any, path: str, reason: str = "FieldValueInvalid") -> None:
    CASES.append((kind, document, path, reason))


OWNER = {"apiVersion": "v1", "kind": "A", "name": "a", "uid": "1"}
METADATA: list[tuple[str, Any, str, str]] = [
    ("labels", {"a b": "x"}, "labels", "FieldValueInvalid"),
    ("labels", {"a": "-"}, "labels", "FieldValueInvalid"),
    ("annotations", {"/a": ""}, "annotations", "FieldValueInvalid"),
    ("annotations", {"a": "x" * (300 << 10)}, "annotations", "FieldValueTooLong"),
    ("finalizers", ["plain"], "finalizers", "FieldValueInvalid"),
]
for missing in OWNER:
    owner = {name: value for name, value in OWNER.items() if name != missing}
    METADATA.append(("ownerReferences", [owner], f"ownerReferences[0].{missing}", "FieldValueRequired"))
for member, value, path, reason in METADATA:
    case("ImageStream", {"metadata": {"name": "new", member: value}}, f"metadata.{path}", reason)
    case("Image", {**NEW_IMAGE, "metadata": {"name": DIGEST, member: value}}, f"metadata.{path}", reason)
for name in ("UPPER", "a..b", "-a", "a/b", "a" * 300):
    case("ImageStream", {"metadata": {"name": name}}, "metadata.name")
    case("ImageStreamMapping", {"metadata": {"name": name}, "image": NEW_IMAGE, "tag": "v1"}, "metadata.name")
    case(
        "ImageStreamImport", {"metadata": {"name": name}, "spec": {"import": True, "images": [IMPORT]}}, "metadata.name"
    )
case("ImageStream", {"metadata": {}}, "metadata.name", "FieldValueRequired")


def of_stream(spec: Any, path: str, reason: str = "FieldValueInvalid") -> None:
    case("ImageStream", {"metadata": {"name": "new"}, "spec": spec}, path, reason)


def of_tag(entry: Any, path: str, reason: str = "FieldValueInvalid") -> None:
    """The same rule by each door to a tag."""
    of_stream({"tags": [{"name": "v9", **entry}]}, f"spec.tags[v9].{path}", reason)
    case("ImageStreamTag", {"metadata": {"name": "new:v9"}, "tag": entry}, f"tag.{path}", reason)
    case("ImageTag", {"metadata": {"name": "new:v9"}, "spec": entry}, f"spec.{path}", reason)


of_stream({"dockerImageRepository": "quay.io/a:v1"}, "spec.dockerImageRepository")
of_stream({"tags": [{"name": "-"}]}, "spec.tags[-].name")
of_stream({"tags": [{}]}, "spec.tags[0].name", "FieldValueRequired")
of_stream({"tags": [{"name": "a"}, {"name": "a"}]}, "spec.tags[1].name", "FieldValueDuplicate")
of_tag({"from": {"name": "quay.io/a"}}, "from.kind", "FieldValueRequired")
of_tag({"from": {"kind": "Pod", "name": "a"}}, "from.kind", "FieldValueNotSupported")
of_tag({"from": {"kind": "DockerImage"}}, "from.name", "FieldValueRequired")
of_tag({"from": {"kind": "DockerImage", "name": "UPPER"}}, "from.name")
of_tag({"from": {"kind": "ImageStreamTag", "name": "a:b:c"}}, "from.name")
of_tag({"from": {"kind": "ImageStreamImage", "name": "a:b"}}, "from.name")
of_tag({"from": {"kind": "ImageStreamTag", "name": "a:b", "namespace": "UPPER"}}, "from.namespace")
of_tag({**TAGS, "importPolicy": {"scheduled": True}}, "importPolicy.scheduled")
of_tag({"importPolicy": {"importMode": "All"}}, "importPolicy.importMode", "FieldValueNotSupported")
of_tag({"referencePolicy": {"type": "Near"}}, "referencePolicy.type", "FieldValueNotSupported")
case("ImageStreamTag", {"metadata": {"name": "new:v9"}, "tag": {"name": "other"}}, "tag.name")
case("ImageTag", {"metadata": {"name": "new:v9"}, "spec": {"name": "other"}}, "spec.name")
case("ImageStreamTag", {"metadata": {"name": "new:v9", "annotations": {"/": ""}}, "tag": TAGS}, "metadata.annotations")
case("Image", {**NEW_IMAGE, "metadata": {"name": "sha256:short"}}, "metadata.name")
case("Image", {"metadata": {"name": DIGEST}}, "dockerImageReference", "FieldValueRequired")
case("Image", {**NEW_IMAGE, "dockerImageReference": "UPPER"}, "dockerImageReference")
case("Image", IMAGE, "dockerImageManifest", "FieldValueRequired")
case("Image", {**IMAGE, "dockerImageManifest": "{}"}, "dockerImageManifest")
case("Image", {**NEW_IMAGE, "dockerImageConfig": "{ }"}, "dockerImageConfig")
BOTH = {
    "dockerImageLayers": [{"name": DIGEST, "size": 1, "mediaType": "a/b"}],
    "dockerImageManifests": [{"digest": DIGEST, "mediaType": "a/b", "manifestSize": 1, "architecture": "a", "os": "b"}],
}
case("Image", {**NEW_IMAGE, **BOTH}, "dockerImageLayers", "FieldValueForbidden")
SIGNATURE = {"type": "AtomicImageV1", "content": base64.b64encode(b"x").decode()}
HELD = str(content.image("app v1").digest)
case("ImageSignature", {"metadata": {"name": "sha256:short@a"}, **SIGNATURE}, "metadata.name")
case("ImageSignature", {"metadata": {"name": f"{HELD}@-"}, **SIGNATURE}, "metadata.name")
case(
    "ImageSignature", {"metadata": {"name": f"{HELD}@a"}, "content": SIGNATURE["content"]}, "type", "FieldValueRequired"
)
case("ImageSignature", {"metadata": {"name": f"{HELD}@a"}, "type": "a"}, "content", "FieldValueRequired")
NAMED = {"metadata": {"name": f"{HELD}@a", "labels": {"a": "b"}}}
case("ImageSignature", {**NAMED, **SIGNATURE}, "metadata.labels", "FieldValueForbidden")
MAPPED = {"metadata": {"name": "app"}, "tag": "v9"}
case("ImageStreamMapping", {**MAPPED, "tag": "-", "image": NEW_IMAGE}, "tag")
case("ImageStreamMapping", MAPPED, "image", "FieldValueRequired")
case("ImageStreamMapping", {**MAPPED, "image": {**NEW_IMAGE, "metadata": {"name": "x"}}}, "image.metadata.name")
case(
    "ImageStreamMapping", {**MAPPED, "image": {**NEW_IMAGE, "dockerImageReference": "U"}}, "image.dockerImageReference"
)
case("ImageStreamMapping", {**MAPPED, "image": {**IMAGE, "dockerImageManifest": "{}"}}, "image.dockerImageManifest")


def of_import(spec: Any, path: str, reason: str = "FieldValueInvalid") -> None:
    case("ImageStreamImport", {"metadata": {"name": "new"}, "spec": {"import": True, **spec}}, path, reason)


POD = {"kind": "Pod", "name": "a"}
of_import({}, "spec", "FieldValueRequired")
of_import({"images": [{"from": {"kind": "DockerImage"}}]}, "spec.images[0].from.name", "FieldValueRequired")
of_import({"images": [{**IMPORT, "from": POD}]}, "spec.images[0].from.kind", "FieldValueNotSupported")
of_import({"images": [{**IMPORT, "from": {"kind": "DockerImage", "name": "U"}}]}, "spec.images[0].from.name")
of_import({"images": [{**IMPORT, "to": {"name": ""}}]}, "spec.images[0].to.name", "FieldValueRequired")
of_import({"images": [{**IMPORT, "to": {"name": "-"}}]}, "spec.images[0].to.name")
of_import(
    {"images": [{**IMPORT, "referencePolicy": {"type": "Near"}}]},
    "spec.images[0].referencePolicy.type",
    "FieldValueNotSupported",
)
of_import(
    {"images": [{**IMPORT, "importPolicy": {"importMode": "All"}}]},
    "spec.images[0].importPolicy.importMode",
    "FieldValueNotSupported",
)
of_import({"repository": {"from": {"kind": "DockerImage", "name": "quay.io/a:v1"}}}, "spec.repository.from.name")
of_import({"repository": {"from": POD}}, "spec.repository.from.kind", "FieldValueNotSupported")


@pytest.mark.parametrize(("kind", "document", "path", "reason"), CASES, ids=lambda value: str(value)[:40])
def test_every_value_that_cannot_be_is_named_with_its_path_and_cause(
    filled: Any, kind: str, document: Any, path: str, reason: str
) -> None:
    method, where = WHERE[kind]
    before = state(filled)
    status = filled.reject(method, where, document, 422, "Invalid")
    found = {cause["field"]: cause["reason"] for cause in status["details"]["causes"]}
    assert found == {path: reason}
    assert all(cause["message"] for cause in status["details"]["causes"])
    assert state(filled) == before


@pytest.mark.parametrize(
    ("tag", "path", "reason"),
    [
        ({"tag": "-", "items": []}, "status.tags[0].tag", "FieldValueInvalid"),
        ({"items": []}, "status.tags[0].tag", "FieldValueInvalid"),
        ({"tag": "v1", "items": [{**EVENT, "image": "x"}]}, "status.tags[0].items[0].image", "FieldValueInvalid"),
        ({"tag": "v1", "items": [{**EVENT, "created": None}]}, "status.tags[0].items[0].created", "FieldValueRequired"),
        (
            {"tag": "v1", "items": [{**EVENT, "dockerImageReference": ""}]},
            "status.tags[0].items[0].dockerImageReference",
            "FieldValueRequired",
        ),
        (
            {"tag": "v1", "conditions": [{"type": "a", "status": "b"}]},
            "status.tags[0].conditions[0].lastTransitionTime",
            "FieldValueRequired",
        ),
    ],
)
def test_a_status_that_cannot_be_is_named_with_its_path_and_cause(
    filled: Any, tag: Any, path: str, reason: str
) -> None:
    one = "namespaces/team/imagestreams/app"
    before = state(filled)
    document = json.loads(json.dumps(filled.get(one)))
    document["status"]["tags"] = [tag]
    status = filled.reject("PUT", f"{one}/status", document, 422, "Invalid")
    assert {cause["field"]: cause["reason"] for cause in status["details"]["causes"]} == {path: reason}
    assert state(filled) == before
