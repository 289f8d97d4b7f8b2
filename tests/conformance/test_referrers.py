"""Referrers: always a list, complete, with types and annotations, filtered when asked, in pages when long."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.protocol import (
    OCI_EMPTY,
    OCI_INDEX,
    OCI_MANIFEST,
    Answer,
    Repository,
    descriptor,
    digest_of,
    index_of,
)

SUBJECT = descriptor(b"a subject that need not be there", OCI_MANIFEST)
SIGNATURE, BILL = "application/vnd.example.signature", "application/vnd.example.sbom+json"


def listed(answer: Answer) -> list[dict[str, Any]]:
    answer.expect(200)
    assert answer["content-type"] == OCI_INDEX
    document = answer.json
    assert (document["schemaVersion"], document["mediaType"]) == (2, OCI_INDEX)
    found: list[dict[str, Any]] = document["manifests"]
    return found


def everything(here: Repository, digest: str, query: str = "") -> list[dict[str, Any]]:
    """Every page."""
    found, path = [], f"{here.base}/referrers/{digest}{query}"
    while path:
        answer = here.client.get(path)
        found += listed(answer)
        path = answer.next
    return found


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_what_nothing_refers_to_has_an_empty_list(here: Repository, algorithm: str) -> None:
    absent = digest_of(b"absent", algorithm)
    assert listed(here.referrers(absent)) == []
    here.image("v1")
    assert listed(here.referrers(absent)) == []
    assert "oci-filters-applied" not in here.referrers(absent)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("first", ["subject", "referrer"])
def test_a_referrer_is_listed_whichever_came_first(here: Repository, algorithm: str, first: str) -> None:
    def subject() -> None:
        here.blob(b"{}")
        here.put(digest_of(image.raw, algorithm), image.raw).expect(201)

    image = here.sibling().artifact(annotations={"to": here.name})
    if first == "subject":
        subject()
    about = descriptor(image.raw, OCI_MANIFEST, algorithm)
    pushed = here.artifact(subject=about, artifactType=SIGNATURE, annotations={"by": "ann"})
    if first == "referrer":
        subject()
    assert listed(here.referrers(about["digest"])) == [
        {**pushed.descriptor, "artifactType": SIGNATURE, "annotations": {"by": "ann"}}
    ]


def test_a_referrer_pushed_by_sha512_is_listed_by_it(here: Repository) -> None:
    image = here.artifact(subject=SUBJECT)
    here.delete(f"manifests/{image.digest}").expect(202)
    digest = digest_of(image.raw, "sha512")
    here.put(digest, image.raw).expect(201)
    assert [entry["digest"] for entry in listed(here.referrers(SUBJECT["digest"]))] == [digest]


def test_without_a_type_an_image_has_that_of_its_configuration_and_an_index_none(here: Repository) -> None:
    image = here.artifact(subject=SUBJECT)
    index = index_of(subject=SUBJECT, annotations={"kind": "index"})
    here.put("index", index).expect(201)
    entries = {entry["mediaType"]: entry for entry in listed(here.referrers(SUBJECT["digest"]))}
    assert entries[OCI_MANIFEST]["artifactType"] == OCI_EMPTY
    assert entries[OCI_MANIFEST]["digest"] == image.digest
    assert "artifactType" not in entries[OCI_INDEX]
    assert entries[OCI_INDEX]["annotations"] == {"kind": "index"}


def test_an_index_with_a_type_is_listed_with_it(here: Repository) -> None:
    here.put("index", index_of(subject=SUBJECT, artifactType=BILL)).expect(201)
    assert [entry["artifactType"] for entry in listed(here.referrers(SUBJECT["digest"]))] == [BILL]


def test_the_list_is_filtered_by_type_and_says_so(here: Repository) -> None:
    signatures = {
        here.artifact(subject=SUBJECT, artifactType=SIGNATURE, annotations={"n": str(n)}).digest for n in range(3)
    }
    here.artifact(subject=SUBJECT, artifactType=BILL)
    for kind, expected in ((SIGNATURE, signatures), ("application/vnd.example.other", set())):
        answer = here.referrers(SUBJECT["digest"], f"?artifactType={kind}")
        assert answer["oci-filters-applied"] == "artifactType"
        assert {entry["digest"] for entry in listed(answer)} == expected
    encoded = BILL.replace("/", "%2F").replace("+", "%2B")
    assert len(listed(here.referrers(SUBJECT["digest"], f"?artifactType={encoded}"))) == 1


def test_a_referrer_of_another_repository_is_not_listed(here: Repository) -> None:
    here.sibling().artifact(subject=SUBJECT)
    assert listed(here.referrers(SUBJECT["digest"])) == []


def test_a_referrer_is_listed_until_it_is_deleted(here: Repository) -> None:
    pushed = here.artifact(subject=SUBJECT)
    assert len(listed(here.referrers(SUBJECT["digest"]))) == 1
    here.delete(f"manifests/{pushed.digest}").expect(202)
    assert listed(here.referrers(SUBJECT["digest"])) == []


def test_referrers_stay_when_their_subject_goes(here: Repository) -> None:
    image = here.image("v1")
    here.artifact(subject=image.descriptor)
    here.delete(f"manifests/{image.digest}").expect(202)
    assert len(listed(here.referrers(image.digest))) == 1


def test_referrers_have_referrers(here: Repository) -> None:
    image = here.image("v1")
    signature = here.artifact(subject=image.descriptor, artifactType=SIGNATURE)
    stamp = here.artifact(subject=signature.descriptor, artifactType="application/vnd.example.timestamp")
    assert [entry["digest"] for entry in listed(here.referrers(signature.digest))] == [stamp.digest]
    assert [entry["digest"] for entry in listed(here.referrers(image.digest))] == [signature.digest]


def test_a_long_list_comes_in_pages_of_which_none_is_longer_than_a_manifest(here: Repository) -> None:
    wide = {str(number): "x" * 10_000 for number in range(150)}
    pushed = {here.artifact(subject=SUBJECT, annotations={**wide, "n": str(n)}).digest for n in range(4)}
    first = here.referrers(SUBJECT["digest"])
    assert len(first.body) <= 4 << 20
    assert first.next
    found = [entry["digest"] for entry in everything(here, SUBJECT["digest"])]
    assert len(found) == len(pushed)
    assert set(found) == pushed


def test_what_older_clients_listed_under_a_tag_is_not_lost_and_not_listed_twice(here: Repository) -> None:
    pushed = [here.artifact(subject=SUBJECT, annotations={"n": str(n)}) for n in range(2)]
    unrelated = here.artifact(annotations={"refers": "to nothing"})
    fallback = index_of(*(image.descriptor for image in (*pushed, unrelated)))
    here.put(SUBJECT["digest"].replace(":", "-"), fallback).expect(201)
    entries = everything(here, SUBJECT["digest"])
    assert sorted(entry["digest"] for entry in entries) == sorted(image.digest for image in pushed)
    assert all(entry["annotations"] for entry in entries)


@pytest.mark.parametrize("digest", ["x", "sha256:x", "sha256:" + "A" * 64, "md5:" + "a" * 32, "latest"])
def test_what_is_no_digest_is_refused(here: Repository, digest: str) -> None:
    here.referrers(digest).refuse(400, "DIGEST_INVALID")
