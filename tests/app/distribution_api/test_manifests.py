"""Manifests as careful, careless and hostile clients push and pull them (registries reference 3.2 and 4.3)."""

from __future__ import annotations

import io
import json
import time
from typing import Any

import pytest
from werkzeug.test import TestResponse

from image_registry.imagestreams.errors import MetadataUnavailable
from image_registry.oci import media_types
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.storage import layout

from .conftest import Registry, basic, code, manifest_of

CONFIG, LAYER = b"{}", b"layer"
MANIFEST = "/v2/demo/app/manifests/"


def put(
    registry: Registry, body: bytes | str, reference: str = "v1", kind: str = media_types.OCI_MANIFEST, **more: Any
) -> TestResponse:
    return registry.client.put(MANIFEST + reference, data=body, headers={"Content-Type": kind}, **more)


def with_blobs(registry: Registry) -> Registry:
    registry.upload("demo/app", CONFIG)
    registry.upload("demo/app", LAYER)
    return registry


@pytest.mark.parametrize(
    "accept", [None, "*/*", "application/json", "text/html;q=0.1", media_types.OCI_INDEX, "nonsense"]
)
def test_the_stored_type_is_served_whatever_is_asked_for(registry: Registry, accept: str | None) -> None:
    registry.push("demo/app", "v1")
    answer = registry.client.get(f"{MANIFEST}v1", headers={"Accept": accept} if accept else {})
    assert (answer.status_code, answer.content_type) == (200, media_types.OCI_MANIFEST)


def test_head_says_what_get_says(registry: Registry) -> None:
    digest = registry.push("demo/app", "v1").headers["Docker-Content-Digest"]
    for reference in ("v1", digest, "none", str(Digest.of(b"none"))):
        get, head = (registry.client.open(MANIFEST + reference, method=method) for method in ("GET", "HEAD"))
        assert head.status_code == get.status_code
        assert head.data == b""
        assert dict(head.headers) == dict(get.headers)


def test_a_client_that_has_the_manifest_is_told_so(registry: Registry) -> None:
    digest = registry.push("demo/app", "v1").headers["Docker-Content-Digest"]
    answer = registry.client.get(f"{MANIFEST}v1", headers={"If-None-Match": f'"{digest}"'})
    assert (answer.status_code, answer.headers["Docker-Content-Digest"]) == (304, digest)


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        ({"manifests": []}, media_types.OCI_MANIFEST),
        ({}, media_types.OCI_INDEX),
        ({"mediaType": media_types.DOCKER_MANIFEST}, media_types.OCI_MANIFEST),
        ({"mediaType": None}, media_types.DOCKER_MANIFEST_LIST),
        ({"schemaVersion": 1}, media_types.OCI_MANIFEST),
        ({"schemaVersion": "2"}, media_types.OCI_MANIFEST),
        ({"config": None}, media_types.OCI_MANIFEST),
        ({"layers": {}}, media_types.OCI_MANIFEST),
        ({"layers": [None]}, media_types.OCI_MANIFEST),
        ({"layers": [{"digest": "sha256:x", "size": 1}]}, media_types.OCI_MANIFEST),
        ({"subject": {"digest": "x"}}, media_types.OCI_MANIFEST),
        ({"annotations": {"a": 1}}, media_types.OCI_MANIFEST),
        ({}, "application/vnd.docker.distribution.manifest.v1+prettyjws"),
        ({}, "application/vnd.docker.distribution.manifest.v1+json"),
        ({}, "text/plain"),
        ({"mediaType": "application/vnd.unknown.v1+json"}, "application/vnd.unknown.v1+json"),
    ],
)
def test_a_document_that_is_not_what_it_says_is_refused(registry: Registry, members: dict[str, Any], kind: str) -> None:
    with_blobs(registry)
    refused = put(registry, json.dumps({**json.loads(manifest_of(CONFIG, LAYER)), **members}), kind=kind)
    assert (refused.status_code, code(refused)) == (400, "MANIFEST_INVALID")
    assert registry.client.get(f"{MANIFEST}v1").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"schemaVersion": ' + b"9" * 5000 + b"}",
        manifest_of(CONFIG, LAYER)[:-1] + b', "extra": NaN}',
        manifest_of(CONFIG, LAYER)[:-1] + b', "schemaVersion": 2}',
        manifest_of(CONFIG, LAYER)[:-1] + b', "annotations": {"a": "1", "a": "2"}}',
    ],
    ids=["empty", "null", "list", "binary", "deep list", "deep object", "big number", "NaN", "twice", "twice below"],
)
def test_what_two_readers_could_read_in_two_ways_or_none_at_all_is_refused(registry: Registry, body: bytes) -> None:
    with_blobs(registry)
    started = time.monotonic()
    refused = put(registry, body)
    assert (refused.status_code, code(refused)) == (400, "MANIFEST_INVALID")
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("size", [-1, 1.5, True, "1", None, 2**63, 10**30])
def test_a_size_that_is_no_number_of_bytes_is_refused(everywhere: Registry, size: object) -> None:
    with_blobs(everywhere)
    document = json.loads(manifest_of(CONFIG, LAYER))
    document["layers"][0]["size"] = size
    refused = put(everywhere, json.dumps(document))
    assert (refused.status_code, code(refused)) == (400, "MANIFEST_INVALID")


def test_sizes_that_only_their_sum_makes_impossible_are_kept(everywhere: Registry) -> None:
    layers = [b"a", b"b", b"c"]
    for blob in (CONFIG, *layers):
        everywhere.upload("demo/app", blob)
    document = json.loads(manifest_of(CONFIG, *layers))
    for layer in document["layers"]:
        layer["size"] = 2**63 - 1
    assert put(everywhere, json.dumps(document)).status_code == 201
    assert everywhere.streams.image(Digest.parse(_digest(everywhere))).content_size == 2**63 - 1


@pytest.mark.parametrize(
    "text", ["\x00", "\ud800", "\U0001f600", "'; DROP TABLE images; --", "<script>", "a" * 100_000]
)
def test_any_text_may_stand_in_a_manifest(everywhere: Registry, text: str) -> None:
    config = json.dumps({"architecture": text, "os": "linux", "config": {"Labels": {text: text}}}).encode()
    everywhere.upload("demo/app", config)
    everywhere.upload("demo/app", LAYER)
    document = json.loads(manifest_of(config, LAYER, annotations={"note": text}, artifactType=text))
    document["config"]["mediaType"] = media_types.OCI_CONFIG
    document["layers"][0]["mediaType"] = text
    document["unknown"] = text
    body = json.dumps(document).encode()
    pushed = put(everywhere, body)
    assert pushed.status_code == 201, pushed.text
    assert everywhere.client.get(f"{MANIFEST}v1").data == body
    index = {
        "schemaVersion": 2,
        "manifests": [
            {
                "mediaType": media_types.OCI_MANIFEST,
                "digest": pushed.headers["Docker-Content-Digest"],
                "size": len(body),
                "platform": {"architecture": text, "os": text, "variant": text},
            }
        ],
    }
    assert put(everywhere, json.dumps(index), "v2", media_types.OCI_INDEX).status_code == 201


@pytest.mark.parametrize("members", [{"layers": []}, {"layers": None}, {"unknown": {"deep": [1, {}]}}])
def test_what_the_specification_allows_is_kept(registry: Registry, members: dict[str, Any]) -> None:
    with_blobs(registry)
    assert put(registry, manifest_of(CONFIG, LAYER, **members)).status_code == 201


def test_the_type_in_the_document_is_enough(registry: Registry) -> None:
    with_blobs(registry)
    assert registry.client.put(f"{MANIFEST}v1", data=manifest_of(CONFIG, LAYER)).status_code == 201
    assert registry.client.get(f"{MANIFEST}v1").content_type == media_types.OCI_MANIFEST


def test_an_index_may_come_before_its_manifests_and_opens_nobody_elses(registry: Registry) -> None:
    foreign = registry.push("secret/app", "v1").headers["Docker-Content-Digest"]
    entry = {"mediaType": media_types.OCI_MANIFEST, "digest": foreign, "size": 1}
    body = json.dumps({"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": [entry]})
    assert put(registry, body, kind=media_types.OCI_INDEX).status_code == 201
    assert code(registry.client.get(MANIFEST + foreign)) == "MANIFEST_UNKNOWN"


def test_an_image_without_its_layers_is_refused_and_they_are_named(registry: Registry) -> None:
    registry.upload("demo/app", CONFIG)
    layers = [str(number).encode() for number in range(500)]
    refused = put(registry, manifest_of(CONFIG, *layers))
    assert (refused.status_code, code(refused)) == (404, "MANIFEST_BLOB_UNKNOWN")
    [error] = json.loads(refused.data)["errors"]
    assert "500 blob(s)" in error["message"]
    assert 1 <= len(error["detail"]["missing"]) <= 100


def test_layers_that_live_elsewhere_need_not_be_here(registry: Registry) -> None:
    registry.upload("demo/app", CONFIG)
    document = json.loads(manifest_of(CONFIG, b"far away"))
    document["layers"][0]["mediaType"] = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    assert put(registry, json.dumps(document)).status_code == 201


def test_a_configuration_is_read_by_its_true_size(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    huge = b" " * ((4 << 20) + 1)
    registry.upload("demo/app", huge)
    registry.upload("demo/app", LAYER)
    document = json.loads(manifest_of(huge, LAYER))
    document["config"]["size"] = 2

    def read(digest: Digest) -> bytes:
        pytest.fail(f"{digest} was read into memory")

    monkeypatch.setattr(registry.store, "read", read)
    assert put(registry, json.dumps(document)).status_code == 201


def test_a_configuration_whose_bytes_are_lost_does_not_break_the_push(registry: Registry) -> None:
    with_blobs(registry)
    (registry.store.root / layout.blob_data(Digest.of(CONFIG))).unlink()
    assert put(registry, manifest_of(CONFIG, LAYER)).status_code in {201, 404}


@pytest.mark.parametrize("length", [(4 << 20) - 5, 4 << 20])
def test_a_manifest_of_four_mebibytes_is_taken(registry: Registry, length: int) -> None:
    with_blobs(registry)
    body = manifest_of(CONFIG, LAYER, annotations={"a": ""})
    body = body.replace(b'"a": ""', b'"a": "' + b"x" * (length - len(body)) + b'"')
    assert len(body) == length
    pushed = put(registry, body)
    assert pushed.status_code == 201, pushed.text
    assert registry.client.get(f"{MANIFEST}v1").data == body


@pytest.mark.parametrize("announced", [True, False])
def test_a_manifest_beyond_the_limit_is_not_read_to_its_end(registry: Registry, *, announced: bool) -> None:
    class Endless(io.BytesIO):
        given = 0

        def read(self, size: int | None = -1, /) -> bytes:
            assert size is not None
            assert size >= 0
            self.given += size
            assert self.given <= 5 << 20
            return b" " * size

    environ = {"wsgi.input_terminated": True, "CONTENT_LENGTH": str(1 << 40) if announced else ""}
    refused = put(registry, b"", input_stream=Endless(), environ_overrides=environ)
    assert (refused.status_code, code(refused)) == (413, "MANIFEST_INVALID")


def test_a_manifest_whose_client_vanished_is_no_manifest(registry: Registry) -> None:
    with_blobs(registry)
    body = manifest_of(CONFIG, LAYER)
    environ = {"wsgi.input_terminated": True, "CONTENT_LENGTH": str(len(body) + 1)}
    refused = put(registry, b"", input_stream=io.BytesIO(body), environ_overrides=environ)
    assert (refused.status_code, code(refused)) == (400, "SIZE_INVALID")
    assert registry.client.get(f"{MANIFEST}v1").status_code == 404


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_manifest_that_is_not_the_digest_asked_for_is_refused(registry: Registry, algorithm: str) -> None:
    with_blobs(registry)
    refused = put(registry, manifest_of(CONFIG, LAYER), str(Digest.of(b"other", algorithm)))
    assert (refused.status_code, code(refused)) == (400, "DIGEST_INVALID")
    assert list(registry.store.held(Repository("demo", "app")).manifests) == []


@pytest.mark.parametrize("reference", ["sha256:zz", "sha256:", "md5:" + "0" * 32, "a:b", "sha256:" + "A" * 64])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_broken_digest_is_refused_by_every_method(registry: Registry, method: str, reference: str) -> None:
    refused = registry.client.open(MANIFEST + reference, method=method)
    assert (refused.status_code, code(refused)) == (400, "DIGEST_INVALID")


@pytest.mark.parametrize("reference", ["a" * 129, ".x", "-x", "a b", "é", "%00", "a%0d%0aSet-Cookie"])
def test_what_is_no_tag_cannot_be_pushed_and_is_never_there(registry: Registry, reference: str) -> None:
    refused = registry.client.put(MANIFEST + reference)
    assert (refused.status_code, code(refused)) == (400, "TAG_INVALID")
    for method in ("GET", "DELETE"):
        refused = registry.client.open(MANIFEST + reference, method=method)
        assert (refused.status_code, code(refused)) == (404, "MANIFEST_UNKNOWN")
        assert "is not a tag: at most 128 letters" in refused.text


def test_a_push_by_digest_may_bring_its_tags(registry: Registry) -> None:
    with_blobs(registry)
    body = manifest_of(CONFIG, LAYER)
    for algorithm in ("sha256", "sha512"):
        digest = Digest.of(body, algorithm)
        pushed = put(registry, body, f"{digest}?tag=v1&tag=v1.2&tag=v1")
        assert (pushed.status_code, pushed.headers["OCI-Tag"]) == (201, "v1, v1.2")
        for tag in ("v1", "v1.2"):
            head = registry.client.head(MANIFEST + tag)
            assert head.headers["Docker-Content-Digest"] == str(digest)
    assert "OCI-Tag" not in put(registry, body, str(digest)).headers


@pytest.mark.parametrize(
    ("query", "status"), [("tag=.bad", 400), ("tag=", 400), ("&".join(f"tag=v{n}" for n in range(51)), 414)]
)
def test_a_push_with_a_bad_tag_is_refused_whole(registry: Registry, query: str, status: int) -> None:
    with_blobs(registry)
    body = manifest_of(CONFIG, LAYER)
    refused = put(registry, body, f"{Digest.of(body)}?tag=good&{query}")
    assert (refused.status_code, code(refused)) == (status, "TAG_INVALID")
    assert registry.client.get(MANIFEST + str(Digest.of(body))).status_code == 404


def down(*_args: object, **_kwargs: object) -> None:
    raise MetadataUnavailable("metadata database at db: connection refused")


@pytest.mark.parametrize(
    "stored", [b"not json", b'{"schemaVersion": 1}', None], ids=["damaged", "schema 1", "without bytes"]
)
def test_without_the_database_what_cannot_be_served_is_unknown(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, stored: bytes | None
) -> None:
    digest = Digest.of(stored or b"gone")
    if stored is not None:
        registry.store.put(stored, digest)
    registry.store.link_manifest(Repository("demo", "app"), digest)
    registry.store.write_tag(Repository("demo", "app"), "v1", digest)
    for name in ("tag", "manifest"):
        monkeypatch.setattr(type(registry.streams), name, down)
    for reference in ("v1", str(digest)):
        refused = registry.client.get(MANIFEST + reference)
        assert (refused.status_code, code(refused)) == (404, "MANIFEST_UNKNOWN")


def test_without_the_database_writes_are_told_to_come_back(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    with_blobs(registry)
    for name in ("push", "delete_tag", "delete_manifest", "tags", "repositories", "namespaces"):
        monkeypatch.setattr(type(registry.streams), name, down)
    answers = [
        put(registry, manifest_of(CONFIG, LAYER)),
        registry.client.delete(f"{MANIFEST}v1"),
        registry.client.delete(MANIFEST + str(Digest.of(b"x"))),
        registry.client.get("/v2/demo/app/tags/list"),
        registry.client.get("/v2/_catalog"),
    ]
    for answer in answers:
        assert (answer.status_code, code(answer)) == (503, "UNAVAILABLE")
        assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parity(9)
def test_the_first_push_of_a_repository_needs_the_right_to_create_it(guarded: Registry) -> None:
    guarded.push("team/app", "v1", headers=basic("ann"))
    answer = guarded.push("other/app", "v1", headers=basic("eve"))
    assert answer.status_code == 201


def _digest(registry: Registry) -> str:
    return registry.client.head(f"{MANIFEST}v1").headers["Docker-Content-Digest"]
