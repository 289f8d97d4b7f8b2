from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from image_registry.imagestreams.errors import MetadataUnavailable
from image_registry.oci import media_types
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository

from .conftest import Registry, code, manifest_of


def test_what_is_pulled_is_what_was_pushed(registry: Registry) -> None:
    pushed = registry.push("demo/app", "v1")
    assert pushed.status_code == 201
    digest = pushed.headers["Docker-Content-Digest"]
    for reference in ("v1", digest):
        pulled = registry.client.get(f"/v2/demo/app/manifests/{reference}", headers={"Accept": "*/*"})
        assert pulled.headers["Docker-Content-Digest"] == digest == str(Digest.of(pulled.data))
        assert pulled.content_type == media_types.OCI_MANIFEST
    head = registry.client.head("/v2/demo/app/manifests/v1")
    assert head.headers["Content-Length"] == str(len(pulled.data))
    assert head.data == b""
    layer = registry.client.get(f"/v2/demo/app/blobs/{Digest.of(b'layer')}")
    assert layer.data == b"layer"


@pytest.mark.parametrize("upstream", ["docker.io", "registry.example:5000", "localhost", "../x", ""])
def test_the_registry_that_a_mirror_is_asked_for_changes_no_answer(registry: Registry, upstream: str) -> None:
    """containerd names it with every request to a mirror (``?ns=``); the name in the path says all."""
    registry.push("demo/app", "v1")
    layer = f"/v2/demo/app/blobs/{Digest.of(b'layer')}"
    for path in ("/v2/demo/app/manifests/v1", layer, "/v2/demo/app/tags/list", "/v2/other/app/manifests/v1"):
        plain = registry.client.get(path)
        named = registry.client.get(path, query_string={"ns": upstream})
        assert (named.status_code, named.data) == (plain.status_code, plain.data)


def test_a_push_makes_the_image_and_the_stream(registry: Registry) -> None:
    digest = Digest.parse(registry.push("demo/app", "v1").headers["Docker-Content-Digest"])
    stream = registry.streams.stream(Repository("demo", "app"))
    assert stream.tags[0].newest.image == digest
    assert registry.streams.image(digest).docker_metadata["Architecture"] == "amd64"


def test_a_moved_tag_leaves_the_old_digest_readable(registry: Registry) -> None:
    old = registry.push("demo/app", "v1", layer=b"old").headers["Docker-Content-Digest"]
    new = registry.push("demo/app", "v1", layer=b"new").headers["Docker-Content-Digest"]
    assert registry.client.head("/v2/demo/app/manifests/v1").headers["Docker-Content-Digest"] == new
    assert registry.client.get(f"/v2/demo/app/manifests/{old}").status_code == 200


@pytest.mark.parity(10)
def test_an_index_over_two_platforms_is_kept(registry: Registry) -> None:
    children = []
    for architecture in ("amd64", "arm64"):
        pushed = registry.push("demo/app", f"only-{architecture}", layer=architecture.encode())
        digest = pushed.headers["Docker-Content-Digest"]
        children.append(
            {
                "mediaType": media_types.OCI_MANIFEST,
                "digest": digest,
                "size": 1,
                "platform": {"architecture": architecture, "os": "linux"},
            }
        )
    body = json.dumps({"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": children})
    headers = {"Content-Type": media_types.OCI_INDEX}
    pushed = registry.client.put("/v2/demo/app/manifests/v1", data=body, headers=headers)
    assert pushed.status_code == 201
    image = registry.streams.image(Digest.parse(pushed.headers["Docker-Content-Digest"]))
    assert [entry.architecture for entry in image.manifests] == ["amd64", "arm64"]


def test_a_sha512_push_stays_sha512(registry: Registry) -> None:
    config, data = b"{}", b"layer"
    registry.upload("demo/app", config)
    registry.upload("demo/app", data)
    body = manifest_of(config, data)
    digest = str(Digest.of(body, "sha512"))
    headers = {"Content-Type": media_types.OCI_MANIFEST}
    pushed = registry.client.put(f"/v2/demo/app/manifests/{digest}", data=body, headers=headers)
    assert pushed.headers["Docker-Content-Digest"] == digest
    assert registry.client.get(f"/v2/demo/app/manifests/{digest}").headers["Docker-Content-Digest"] == digest


def test_an_upload_in_chunks_goes_on_where_it_stopped(registry: Registry) -> None:
    location = registry.client.post("/v2/demo/app/blobs/uploads/").headers["Location"]
    first = registry.client.patch(location, data=b"abc", headers={"Content-Range": "0-2"})
    assert (first.status_code, first.headers["Range"]) == (202, "0-2")
    wrong = registry.client.patch(location, data=b"xyz", headers={"Content-Range": "7-9"})
    assert wrong.status_code == 416
    assert wrong.headers["Range"] == "0-2"
    assert registry.client.get(location).status_code == 204
    registry.client.patch(location, data=b"def", headers={"Content-Range": "3-5"})
    end = registry.client.put(f"{location}?digest={Digest.of(b'abcdef!')}", data=b"!")
    assert end.status_code == 201
    assert registry.client.get(end.headers["Location"]).data == b"abcdef!"


def test_one_request_is_enough_for_a_blob(registry: Registry) -> None:
    pushed = registry.client.post(f"/v2/demo/app/blobs/uploads/?digest={Digest.of(b'x')}", data=b"x")
    assert pushed.status_code == 201
    assert registry.client.get(pushed.headers["Location"]).data == b"x"


def test_wrong_bytes_never_become_visible(registry: Registry) -> None:
    digest = Digest.of(b"right")
    location = registry.client.post("/v2/demo/app/blobs/uploads/").headers["Location"]
    refused = registry.client.put(f"{location}?digest={digest}", data=b"wrong")
    assert (refused.status_code, code(refused)) == (400, "DIGEST_INVALID")
    assert registry.store.stat(digest) is None
    assert registry.store.stat(Digest.of(b"wrong")) is None
    assert registry.client.get(location).status_code == 404


def test_a_cancelled_upload_is_gone(registry: Registry) -> None:
    location = registry.client.post("/v2/demo/app/blobs/uploads/").headers["Location"]
    assert registry.client.delete(location).status_code == 204
    assert code(registry.client.patch(location, data=b"x")) == "BLOB_UPLOAD_UNKNOWN"


def test_a_manifest_needs_its_blobs(registry: Registry) -> None:
    headers = {"Content-Type": media_types.OCI_MANIFEST}
    refused = registry.client.put("/v2/demo/app/manifests/v1", data=manifest_of(b"{}", b"x"), headers=headers)
    assert (refused.status_code, code(refused)) == (404, "MANIFEST_BLOB_UNKNOWN")


def test_a_huge_manifest_is_refused(registry: Registry) -> None:
    refused = registry.client.put("/v2/demo/app/manifests/v1", data=b"x" * ((4 << 20) + 1))
    assert (refused.status_code, code(refused)) == (413, "MANIFEST_INVALID")


def test_deleting_one_tag_keeps_its_siblings(registry: Registry) -> None:
    digest = registry.push("demo/app", "v1").headers["Docker-Content-Digest"]
    registry.push("demo/app", "v2")
    assert registry.client.delete("/v2/demo/app/manifests/v1").status_code == 202
    assert code(registry.client.get("/v2/demo/app/manifests/v1")) == "MANIFEST_UNKNOWN"
    assert registry.client.get("/v2/demo/app/manifests/v2").status_code == 200
    assert registry.client.delete(f"/v2/demo/app/manifests/{digest}").status_code == 202
    assert code(registry.client.get("/v2/demo/app/manifests/v2")) == "MANIFEST_UNKNOWN"
    assert registry.store.tags(Repository("demo", "app")) == []


def test_tags_and_catalog_are_paged_without_loss(registry: Registry) -> None:
    for name in ("c", "a", "b"):
        registry.push("demo/app", name)
        registry.push(f"demo/{name}", "v1")
    for path, key, expected in (
        ("/v2/demo/app/tags/list", "tags", ["a", "b", "c"]),
        ("/v2/_catalog", "repositories", ["demo/a", "demo/app", "demo/b", "demo/c"]),
    ):
        seen, url = [], f"{path}?n=1"
        while url:
            answer = registry.client.get(url)
            seen += json.loads(answer.data)[key]
            link = answer.headers.get("Link", "")
            url = link.partition("<")[2].partition(">")[0]
        assert seen == expected


@pytest.mark.parametrize("number", ["-1", "1.5", "x", "9" * 30])
def test_a_page_size_that_is_no_number_is_refused(registry: Registry, number: str) -> None:
    registry.push("demo/app", "v1")
    assert registry.client.get(f"/v2/demo/app/tags/list?n={number}").status_code == 400


def test_pulls_go_on_without_the_database_and_pushes_are_told_to_come_back(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = registry.push("demo/app", "v1").headers["Docker-Content-Digest"]

    def down(*_args: object, **_kwargs: object) -> None:
        raise MetadataUnavailable("metadata database at db: connection refused")

    raw = registry.client.get(f"/v2/demo/app/manifests/{digest}").data
    for name in ("tag", "manifest", "push", "tags"):
        monkeypatch.setattr(type(registry.streams), name, down)
    for name in ("find", "note", "cancelled"):
        monkeypatch.setattr(type(registry.streams.sessions), name, down)
    assert registry.client.get("/v2/demo/app/manifests/v1").headers["Docker-Content-Digest"] == digest
    assert registry.client.get(f"/v2/demo/app/manifests/{digest}").status_code == 200
    registry.upload("demo/app", b"a blob is no push yet")
    headers = {"Content-Type": media_types.OCI_MANIFEST}
    pushed = registry.client.put("/v2/demo/app/manifests/v2", data=raw, headers=headers)
    assert pushed.status_code == 503
    assert pushed.headers["Retry-After"]


def test_a_read_only_registry_serves_and_refuses_writes(build: Callable[..., Registry]) -> None:
    build().push("demo/app", "v1")
    frozen = build(read_only=lambda: "it moves")
    assert frozen.client.get("/v2/demo/app/manifests/v1").status_code == 200
    assert frozen.client.post("/v2/demo/app/blobs/uploads/").status_code == 405
    assert frozen.client.delete("/v2/demo/app/manifests/v1").status_code == 405
