"""Manifests come back as they were pushed: the same bytes, the same type, the digest that was asked for."""

from __future__ import annotations

import json

import pytest

from tests.conformance.protocol import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Repository,
    descriptor,
    digest_of,
    image_of,
    index_of,
)

ABSENT = digest_of(b"absent")


def test_a_tag_and_its_digest_give_the_same_bytes(here: Repository) -> None:
    pushed = here.image("v1")
    for reference in ("v1", pushed.digest):
        answer = here.manifest(reference).expect(200)
        assert answer.body == pushed.raw
        assert answer["docker-content-digest"] == pushed.digest
        assert answer["content-length"] == str(len(pushed.raw))


@pytest.mark.parametrize(
    "accept",
    ["", "*/*", "application/*", "application/json", "text/html;q=0.1", OCI_INDEX, "nonsense", "application/json;q=0"],
)
def test_the_stored_type_is_served_whatever_the_client_says_it_accepts(here: Repository, accept: str) -> None:
    pushed = here.image("v1")
    for reference in ("v1", pushed.digest):
        answer = here.manifest(reference, **({"Accept": accept} if accept else {})).expect(200)
        assert (answer["content-type"], answer.body) == (OCI_MANIFEST, pushed.raw)


@pytest.mark.parametrize("accept", [OCI_MANIFEST, f"{OCI_MANIFEST};q=0.5, {OCI_INDEX};q=0.9", f"{DOCKER_LIST}, */*"])
def test_an_index_is_never_turned_into_one_of_its_images(here: Repository, accept: str) -> None:
    child = here.image()
    raw = json.dumps(index_of(child.descriptor)).encode()
    here.put("v1", raw).expect(201)
    answer = here.manifest("v1", Accept=accept).expect(200)
    assert (answer["content-type"], answer.body) == (OCI_INDEX, raw)


def test_types_of_docker_come_back_as_they_went(here: Repository) -> None:
    config, layer = b'{"architecture":"amd64","os":"linux","rootfs":{}}', b"docker layer"
    here.blob(config)
    here.blob(layer)
    image = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": descriptor(config, DOCKER_CONFIG),
        "layers": [descriptor(layer, DOCKER_LAYER)],
    }
    raw = json.dumps(image, indent=3).encode()
    here.put("image", raw).expect(201)
    listed = {
        "schemaVersion": 2,
        "mediaType": DOCKER_LIST,
        "manifests": [descriptor(raw, DOCKER_MANIFEST, platform={"architecture": "amd64", "os": "linux"})],
    }
    here.put("list", listed).expect(201)
    assert here.manifest("image").expect(200)["content-type"] == DOCKER_MANIFEST
    assert here.manifest("image").body == raw
    assert here.manifest("list").expect(200)["content-type"] == DOCKER_LIST


def test_the_type_is_served_without_parameters(here: Repository) -> None:
    pushed = here.image("v1")
    here.put("v2", pushed.raw, f"{OCI_MANIFEST}; charset=utf-8").expect(201)
    assert here.manifest("v2")["content-type"] == OCI_MANIFEST


def test_the_bytes_are_kept_however_odd_their_form(here: Repository) -> None:
    config = b"{}"
    here.blob(config)
    image = image_of(config, [], annotations={"z": "é", "a": "\u2028"})
    for raw in (
        json.dumps(image, indent=7).encode() + b"\n\n  ",
        json.dumps(dict(reversed(image.items())), ensure_ascii=False).encode(),
        b"\n" + json.dumps(image, separators=(",", ":")).encode(),
    ):
        here.put("odd", raw).expect(201)
        assert here.manifest("odd").body == raw
        assert here.manifest(digest_of(raw)).expect(200).body == raw


def test_head_says_what_get_says(here: Repository) -> None:
    pushed = here.image("v1")
    for reference in ("v1", pushed.digest, "absent", ABSENT):
        get, head = here.manifest(reference), here.client.head(f"{here.base}/manifests/{reference}")
        assert (head.status, head.body) == (get.status, b"")
        varying = {"date", "x-request-id"}
        if get.status == 404:  # the body names the request, so its length may differ by an id
            varying |= {"content-length"}
        assert {k: v for k, v in head.headers if k not in varying} == {k: v for k, v in get.headers if k not in varying}
        assert int(head["content-length"]) > 0


def test_sha512_stays_sha512(here: Repository) -> None:
    here.blob(b"{}")
    raw = json.dumps(image_of(b"{}", [], annotations={"by": "sha512"})).encode()
    digest = digest_of(raw, "sha512")
    assert here.put(digest, raw).expect(201)["docker-content-digest"] == digest
    for answer in (here.manifest(digest), here.client.head(f"{here.base}/manifests/{digest}")):
        answer.expect(200)
        assert answer["docker-content-digest"] == digest


def test_a_client_that_has_the_manifest_is_told_so_without_a_byte(here: Repository) -> None:
    pushed = here.image("v1")
    etag = here.manifest("v1")["etag"]
    for known in (etag, f'"x", {etag}', f"W/{etag}", "*"):
        for reference in ("v1", pushed.digest):
            answer = here.manifest(reference, If_None_Match=known).expect(304)
            assert (answer.body, answer["etag"], answer["docker-content-digest"]) == (b"", etag, pushed.digest)
    here.manifest("v1", If_None_Match='"sha256:other"').expect(200)


def test_a_moved_tag_has_another_etag(here: Repository) -> None:
    here.image("v1")
    etag = here.manifest("v1")["etag"]
    moved = here.image("v1")
    answer = here.manifest("v1", If_None_Match=etag).expect(200)
    assert (answer.body, answer["etag"] != etag) == (moved.raw, True)


def test_what_is_not_there_is_told_apart(here: Repository) -> None:
    here.manifest("v1").refuse(404, "NAME_UNKNOWN")
    here.image("v1")
    for reference in ("v2", ABSENT, digest_of(b"absent", "sha512")):
        assert "tags/list" in here.manifest(reference).refuse(404, "MANIFEST_UNKNOWN")


def test_a_manifest_of_another_repository_is_not_served(here: Repository) -> None:
    pushed, other = here.image("v1"), here.sibling()
    other.image("v1")
    other.manifest(pushed.digest).refuse(404, "MANIFEST_UNKNOWN")


@pytest.mark.parametrize(
    "digest",
    ["sha256:x", "sha256:", "sha256:" + "A" * 64, "sha256:" + "a" * 63, "sha512:" + "a" * 64, "x:y", "md5:" + "a" * 32],
)
def test_what_is_no_digest_is_refused_by_every_method(here: Repository, digest: str) -> None:
    pushed = here.image("v1")
    here.manifest(digest).refuse(400, "DIGEST_INVALID")
    here.put(digest, pushed.raw).refuse(400, "DIGEST_INVALID")
    here.delete(f"manifests/{digest}").refuse(400, "DIGEST_INVALID")
    here.client.head(f"{here.base}/manifests/{digest}").expect(400)
