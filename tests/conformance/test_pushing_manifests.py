"""Manifests: what is accepted as it is, what is refused and why, and what is accepted with a word of warning."""

from __future__ import annotations

import json
import re
from functools import partial
from typing import Any

import pytest

from tests.at_once import at_once
from tests.conformance.protocol import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_EMPTY,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    Repository,
    descriptor,
    digest_of,
    image_of,
    index_of,
)

ABSENT = descriptor(b"absent", OCI_MANIFEST)


def test_a_push_says_where_the_manifest_is_and_what_it_is(here: Repository) -> None:
    pushed = here.image("v1")
    for reference in ("v2", pushed.digest):
        answer = here.put(reference, pushed.raw).expect(201)
        assert answer["location"] == f"{here.base}/manifests/{pushed.digest}"
        assert answer["docker-content-digest"] == pushed.digest
        assert here.client.get(answer["location"]).expect(200).body == pushed.raw
        assert "warning" not in answer


def test_a_tag_moves_and_the_old_digest_stays(here: Repository) -> None:
    old, new = here.image("v1"), here.image("v1")
    assert here.manifest("v1")["docker-content-digest"] == new.digest
    assert here.manifest(old.digest).expect(200).body == old.raw


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_bytes_of_another_digest_are_refused_and_stay_invisible(here: Repository, algorithm: str) -> None:
    pushed = here.image("v1")
    wrong = digest_of(b"other", algorithm)
    message = here.put(wrong, pushed.raw).refuse(400, "DIGEST_INVALID")
    assert digest_of(pushed.raw, algorithm) in message
    here.manifest(wrong).expect(404)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_push_by_digest_may_bring_tags(here: Repository, algorithm: str) -> None:
    pushed = here.image()
    tags = [f"{algorithm}-{number}" for number in range(10)]
    digest = digest_of(pushed.raw, algorithm)
    answer = here.put(f"{digest}?{'&'.join(f'tag={tag}' for tag in tags)}", pushed.raw).expect(201)
    named = [tag.strip() for line in answer.all("oci-tag") for tag in line.split(",")]
    assert named == tags
    assert answer["docker-content-digest"] == digest
    for tag in tags:
        assert here.manifest(tag).expect(200)["docker-content-digest"] == digest


def test_too_many_tags_at_once_are_refused_and_none_is_made(here: Repository) -> None:
    pushed = here.image("v1")
    query = "&".join(f"tag=t{number}" for number in range(200))
    assert "at most" in here.put(f"{pushed.digest}?{query}", pushed.raw).refuse(414, "TAG_INVALID")
    assert here.tags().json["tags"] == ["v1"]


def test_one_tag_that_is_none_refuses_them_all(here: Repository) -> None:
    pushed = here.image("v1")
    here.put(f"{pushed.digest}?tag=good&tag=.bad", pushed.raw).refuse(400, "TAG_INVALID")
    assert here.tags().json["tags"] == ["v1"]


def test_a_push_by_tag_has_no_tag_header(here: Repository) -> None:
    pushed = here.image("v1")
    assert "oci-tag" not in here.put("v2", pushed.raw)


def test_missing_blobs_are_named(here: Repository) -> None:
    here.blob(b"{}")
    answer = here.put("v1", image_of(b"{}", [b"one", b"two"]))
    assert "push them first" in answer.refuse(404, "MANIFEST_BLOB_UNKNOWN")
    assert set(answer.json["errors"][0]["detail"]["missing"]) == {digest_of(b"one"), digest_of(b"two")}
    here.manifest("v1").expect(404)


def test_a_blob_of_another_repository_does_not_count(here: Repository) -> None:
    other = here.sibling()
    other.blob(b"{}")
    here.put("v1", image_of(b"{}", [])).refuse(404, "MANIFEST_BLOB_UNKNOWN")


def grown(size: int) -> bytes:
    """A manifest of exactly this many bytes."""
    raw = json.dumps(image_of(b"{}", [], annotations={"text": ""})).encode()
    return raw.replace(b'"text": ""', b'"text": "' + b"x" * (size - len(raw)) + b'"')


@pytest.mark.parametrize("size", [3_900_000, 4 << 20])
def test_a_manifest_of_four_mebibytes_is_taken(here: Repository, size: int) -> None:
    here.blob(b"{}")
    raw = grown(size)
    assert len(raw) == size
    here.put("large", raw).expect(201)
    assert here.manifest("large").expect(200).body == raw


def test_a_larger_manifest_is_refused_with_the_limit(here: Repository) -> None:
    here.blob(b"{}")
    assert "limit" in here.put("large", grown((4 << 20) + 1)).refuse(413, "MANIFEST_INVALID")
    chunks = iter([grown((4 << 20) + 1)])
    here.client.ask("PUT", f"{here.base}/manifests/large", chunks, {"Content-Type": OCI_MANIFEST}).expect(413)
    here.manifest("large").expect(404)


IMAGE = image_of(b"{}", [])
REFUSED: dict[str, tuple[Any, str | None]] = {
    "no JSON": (b"hello", OCI_MANIFEST),
    "nothing": (b"", OCI_MANIFEST),
    "a list": (b"[]", OCI_MANIFEST),
    "NaN": (json.dumps({**IMAGE, "x": float("nan")}).encode(), OCI_MANIFEST),
    "a member twice": (json.dumps(IMAGE).encode()[:-1] + b',"config":{}}', OCI_MANIFEST),
    "both an image and an index": ({**IMAGE, "manifests": []}, OCI_MANIFEST),
    "both an index and an image": ({**index_of(), "layers": []}, OCI_INDEX),
    "an index with a config": ({**index_of(), "config": descriptor(b"{}", OCI_EMPTY)}, OCI_INDEX),
    "another type inside than outside": (IMAGE, OCI_INDEX),
    "Docker outside, OCI inside": (IMAGE, DOCKER_MANIFEST),
    "an index that says it is an image": ({**index_of(), "mediaType": OCI_MANIFEST}, OCI_INDEX),
    "Docker schema 1": (
        {"schemaVersion": 1, "name": "x", "tag": "y"},
        "application/vnd.docker.distribution.manifest.v1+json",
    ),
    "signed schema 1": ({"schemaVersion": 1}, "application/vnd.docker.distribution.manifest.v1+prettyjws"),
    "schema 3": ({**IMAGE, "schemaVersion": 3}, OCI_MANIFEST),
    "a schema in words": ({**IMAGE, "schemaVersion": "2"}, OCI_MANIFEST),
    "no configuration": ({k: v for k, v in IMAGE.items() if k != "config"}, OCI_MANIFEST),
    "layers that are no list": ({**IMAGE, "layers": {}}, OCI_MANIFEST),
    "a layer without a digest": ({**IMAGE, "layers": [{"mediaType": OCI_LAYER, "size": 1}]}, OCI_MANIFEST),
    "a layer of negative size": ({**IMAGE, "layers": [{**descriptor(b"x", OCI_LAYER), "size": -1}]}, OCI_MANIFEST),
    "a layer of no size": ({**IMAGE, "layers": [{"mediaType": OCI_LAYER, "digest": digest_of(b"x")}]}, OCI_MANIFEST),
    "a digest in capitals": (
        {**IMAGE, "config": {**descriptor(b"{}", OCI_EMPTY), "digest": "sha256:" + "A" * 64}},
        OCI_MANIFEST,
    ),
    "a digest that leads elsewhere": (
        {**IMAGE, "config": {**descriptor(b"{}", OCI_EMPTY), "digest": "sha256:../../x"}},
        OCI_MANIFEST,
    ),
    "a subject that is no descriptor": ({**IMAGE, "subject": "x"}, OCI_MANIFEST),
    "an artifact type that is no text": ({**IMAGE, "artifactType": 7}, OCI_MANIFEST),
    "annotations that are no text": ({**IMAGE, "annotations": {"a": 1}}, OCI_MANIFEST),
    "a type nobody knows": ({**IMAGE, "mediaType": "application/x"}, "application/x"),
    "plain text": (IMAGE, "text/plain"),
    "too deep": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, OCI_MANIFEST),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_document_that_could_be_misread_is_refused_with_the_reason(here: Repository, case: str) -> None:
    here.blob(b"{}")
    document, kind = REFUSED[case]
    message = here.put("v1", document, kind).refuse(400, "MANIFEST_INVALID")
    assert len(message) > 10
    here.manifest("v1").expect(404)


ACCEPTED: dict[str, tuple[dict[str, Any], str | None]] = {
    "no layers": (image_of(b"{}", []), None),
    "layers that are null": ({**image_of(b"{}", []), "layers": None}, None),
    "an empty configuration": (image_of(b"{}", [], config_type=OCI_EMPTY), None),
    "a configuration of an unknown type": (image_of(b"{}", [], config_type="application/vnd.example+json"), None),
    "members nobody knows": ({**image_of(b"{}", []), "org.example": {"a": [1, None]}, "new": True}, None),
    "descriptors with members nobody knows": (
        {**image_of(b"{}", []), "config": {**descriptor(b"{}", OCI_EMPTY), "newField": "x", "data": "e30="}},
        None,
    ),
    "an artifact type": (image_of(b"{}", [], artifactType="application/vnd.example.thing"), None),
    "an artifact with a layer of any type": (
        image_of(b"{}", [], layers=[descriptor(b"{}", "text/spdx+json", annotations={"name": "sbom"})]),
        None,
    ),
    "no type inside": ({k: v for k, v in image_of(b"{}", []).items() if k != "mediaType"}, OCI_MANIFEST),
    "an empty index": (index_of(), None),
    "an index of artifacts": (index_of(artifactType="application/vnd.example.list", annotations={"a": "b"}), None),
    "a subject that is not there": (image_of(b"{}", [], subject=ABSENT), None),
    "an index with a subject": (index_of(subject=ABSENT), None),
    "the same layer twice": (image_of(b"{}", [b"{}", b"{}"]), None),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_a_document_that_is_only_unusual_is_taken_as_it_is(here: Repository, case: str) -> None:
    here.blob(b"{}")
    document, kind = ACCEPTED[case]
    raw = json.dumps(document).encode()
    here.put("v1", raw, kind).expect(201)
    answer = here.manifest("v1").expect(200)
    assert (answer.body, answer["content-type"]) == (raw, kind or document["mediaType"])
    here.put(digest_of(raw, "sha512"), raw, kind).expect(201)


def test_a_type_may_come_with_parameters(here: Repository) -> None:
    here.blob(b"{}")
    here.put("v1", image_of(b"{}", []), f"{OCI_MANIFEST}; charset=utf-8").expect(201)


def test_an_index_in_an_index_is_kept(here: Repository) -> None:
    child = here.image()
    inner = json.dumps(index_of(child.descriptor)).encode()
    here.put(digest_of(inner), inner).expect(201)
    outer = index_of(descriptor(inner, OCI_INDEX), child.descriptor)
    answer = here.put("nested", outer).expect(201)
    assert "warning" not in answer
    assert here.manifest("nested").expect(200).json == outer


def warnings(here: Repository, reference: str, document: Any) -> list[str]:
    answer = here.put(reference, document).expect(201)
    found = answer.all("warning")
    assert all(re.fullmatch(r'299 - "[ -~]+"', text) for text in found), found
    return found


def test_an_index_may_lack_platforms_and_the_answer_says_so(here: Repository) -> None:
    child = here.image()
    document = index_of({**child.descriptor, "platform": {"os": "linux", "architecture": "amd64"}}, ABSENT)
    [warning] = warnings(here, "sparse", document)
    assert "1 manifest(s)" in warning
    assert here.manifest("sparse").expect(200).json == document
    here.manifest(ABSENT["digest"]).refuse(404, "MANIFEST_UNKNOWN")


def test_layers_that_lie_elsewhere_need_not_be_pushed_and_are_called_deprecated(here: Repository) -> None:
    here.blob(b"{}")
    for kind in (
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    ):
        layer = descriptor(b"elsewhere", kind, urls=["https://example.com/layer"])
        [warning] = warnings(here, "foreign", image_of(b"{}", [], layers=[layer]))
        assert "deprecated" in warning


def test_a_list_of_referrers_under_a_tag_is_called_needless(here: Repository) -> None:
    tag = digest_of(b"subject").replace(":", "-")
    [warning] = warnings(here, tag, index_of())
    assert "referrers" in warning


@pytest.mark.parametrize("kind", ["manifest", "index"])
def test_a_push_with_a_subject_is_told_that_it_is_listed(here: Repository, kind: str) -> None:
    here.blob(b"{}")
    for subject in (ABSENT, descriptor(b"absent", OCI_MANIFEST, "sha512")):
        document = image_of(b"{}", [], subject=subject) if kind == "manifest" else index_of(subject=subject)
        assert here.put("referrer", document).expect(201)["oci-subject"] == subject["digest"]


def test_a_push_without_a_subject_is_told_nothing_of_it(here: Repository) -> None:
    pushed = here.image("v1")
    assert "oci-subject" not in here.put("v1", pushed.raw)


def test_a_tag_is_written_under_a_condition(here: Repository) -> None:
    pushed = here.image()
    assert "nothing is there" in here.put("v1", pushed.raw, If_Match="*").refuse(412, "DENIED")
    here.put("v1", pushed.raw, If_None_Match="*").expect(201)
    assert pushed.digest in here.put("v1", pushed.raw, If_None_Match="*").refuse(412, "DENIED")
    etag = here.manifest("v1")["etag"]
    moved = here.image()
    here.put("v1", moved.raw, If_Match=etag).expect(201)
    here.put("v1", pushed.raw, If_Match=etag).refuse(412, "DENIED")
    assert here.manifest("v1").body == moved.raw


def test_of_many_who_make_a_tag_at_once_one_makes_it(here: Repository) -> None:
    images = [here.image() for _ in range(6)]
    answers = at_once([partial(here.put, "once", image.raw, If_None_Match="*") for image in images])
    assert sorted(answer.status for answer in answers) == [201] + [412] * 5


def test_both_types_of_lists_hold_both_types_of_images(here: Repository) -> None:
    child = here.image()
    listed = {"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": [child.descriptor]}
    here.put("mixed", listed).expect(201)
    assert here.manifest("mixed").expect(200)["content-type"] == DOCKER_LIST
