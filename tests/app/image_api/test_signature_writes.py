"""Signatures of Images: made, shown, deleted, never changed."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository


def signature(digest: str, name: str = "one", content: bytes = b"signed", **more: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": f"{digest}@{name}"},
        "type": "AtomicImageV1",
        "content": base64.b64encode(content).decode(),
        **more,
    }


def test_a_signature_is_shown_in_its_image_and_where_it_is_pulled(either: Any) -> None:
    digest = either.push("team/app", "one", "v1")
    either.push("other/app", "one", "v1")
    before = either.get(f"images/{digest}")
    made = either.write("POST", "imagesignatures", signature(digest), 201)
    shown = either.get(f"images/{digest}")
    assert shown["signatures"] == [made]
    assert int(shown["metadata"]["resourceVersion"]) > int(before["metadata"]["resourceVersion"])
    for repository in ("team/app", "other/app"):
        (kept,) = either.streams.signatures(Repository.parse(repository), Digest.parse(digest))
        assert (kept.name, kept.content) == ("one", b"signed")
    assert all("signatures" not in item for item in either.get("images")["items"])
    assert either.write("PUT", f"images/{digest}", shown) == shown


def test_the_same_signature_is_not_kept_twice(either: Any) -> None:
    digest = either.push("team/app", "one", "v1")
    either.write("POST", "imagesignatures", signature(digest), 201)
    either.reject("POST", "imagesignatures", signature(digest, content=b"other"), 409, "AlreadyExists")
    either.reject("POST", "imagesignatures", signature(digest, "two"), 409, "AlreadyExists")
    either.write("POST", "imagesignatures", signature(digest, "two", b"other"), 201)


def test_a_signature_is_deleted_by_its_name(either: Any) -> None:
    digest = either.push("team/app", "one", "v1")
    either.write("POST", "imagesignatures", signature(digest), 201)
    path = f"imagesignatures/{either.segment(digest + '@one')}"
    either.delete(path, options={"dryRun": ["All"]})
    assert either.get(f"images/{digest}")["signatures"]
    either.delete(path)
    assert "signatures" not in either.get(f"images/{digest}")
    either.refuse(path, 404, "NotFound", method="DELETE")
    either.refuse("imagesignatures/one", 400, "BadRequest", method="DELETE")
    either.refuse("imagesignatures", 405, "MethodNotAllowed")


def test_a_dry_run_signs_nothing(api: Any) -> None:
    digest = api.push("team/app", "one", "v1")
    api.write("POST", "imagesignatures?dryRun=All", signature(digest), 201)
    assert "signatures" not in api.get(f"images/{digest}")


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"type": ""}, "type"),
        ({"content": ""}, "content"),
        ({"metadata": {"name": "x@one"}}, "metadata.name"),
        ({"metadata": {"name": "sha256:" + "0" * 64 + "@a b"}}, "metadata.name"),
        ({"metadata": {"name": "sha256:" + "0" * 64 + "@a", "labels": {"a": "b"}}}, "metadata.labels"),
    ],
)
def test_what_is_no_signature_is_refused(api: Any, change: dict[str, Any], path: str) -> None:
    digest = api.push("team/app", "one", "v1")
    status = api.reject("POST", "imagesignatures", {**signature(digest), **change}, 422, "Invalid")
    assert path in {cause["field"] for cause in status["details"]["causes"]}


def test_what_nobody_holds_is_not_signed(api: Any) -> None:
    api.reject("POST", "imagesignatures", signature("sha256:" + "0" * 64), 404, "NotFound")
    digest = api.push("team/app", "one", "v1")
    api.delete("namespaces/team/imagestreams/app")
    assert "no stream holds" in api.reject("POST", "imagesignatures", signature(digest), 409, "Conflict")["message"]
