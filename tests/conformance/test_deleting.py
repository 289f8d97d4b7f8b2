"""Deleting: a tag is one name, a digest is the thing with all its names, and what is gone is gone at once."""

from __future__ import annotations

import pytest

from tests.conformance.protocol import OCI_INDEX, Repository, descriptor, digest_of, index_of


def test_a_deleted_tag_leaves_its_manifest_and_its_siblings(here: Repository) -> None:
    pushed = here.image("v1")
    here.put("v2", pushed.raw).expect(201)
    here.delete("manifests/v1").expect(202)
    here.manifest("v1").refuse(404, "MANIFEST_UNKNOWN")
    for reference in ("v2", pushed.digest):
        assert here.manifest(reference).expect(200).body == pushed.raw
    assert here.tags().json["tags"] == ["v2"]


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_deleted_manifest_goes_with_all_its_tags_and_no_others(here: Repository, algorithm: str) -> None:
    kept = here.image("kept")
    pushed = here.image()
    digest = digest_of(pushed.raw, algorithm)
    here.put(f"{digest}?tag=v1&tag=v2&tag=v3", pushed.raw).expect(201)
    here.delete(f"manifests/{digest}").expect(202)
    for reference in ("v1", "v2", "v3", digest):
        here.manifest(reference).refuse(404, "MANIFEST_UNKNOWN")
        here.client.head(f"{here.base}/manifests/{reference}").expect(404)
    assert here.tags().json["tags"] == ["kept"]
    assert here.manifest("kept").body == kept.raw


def test_a_moved_tag_is_not_deleted_with_what_it_meant_before(here: Repository) -> None:
    old, new = here.image("v1"), here.image("v1")
    here.delete(f"manifests/{old.digest}").expect(202)
    assert here.manifest("v1").expect(200)["docker-content-digest"] == new.digest


def test_the_manifests_of_an_index_stay_when_the_index_or_their_own_tag_goes(here: Repository) -> None:
    child = here.image("child")
    inner = here.put("inner", index_of(child.descriptor)).expect(201)["docker-content-digest"]
    here.put("outer", index_of({"mediaType": OCI_INDEX, "digest": inner, "size": 1}, child.descriptor)).expect(201)
    here.delete("manifests/child").expect(202)
    here.delete("manifests/outer").expect(202)
    assert here.manifest(child.digest).expect(200).body == child.raw
    here.delete(f"manifests/{inner}").expect(202)
    assert here.manifest(child.digest).expect(200).body == child.raw


def test_a_deleted_manifest_can_be_pushed_again(here: Repository) -> None:
    pushed = here.image("v1")
    here.delete(f"manifests/{pushed.digest}").expect(202)
    here.put("v1", pushed.raw).expect(201)
    assert here.manifest("v1").expect(200).body == pushed.raw


def test_the_same_manifest_in_another_repository_stays(here: Repository) -> None:
    pushed, other = here.image("v1", text=here.name), here.sibling()
    assert other.image("v1", text=here.name).digest == pushed.digest
    here.delete(f"manifests/{pushed.digest}").expect(202)
    assert other.manifest(pushed.digest).expect(200).body == pushed.raw


def test_a_deleted_blob_is_gone_here_and_nowhere_else(here: Repository, there: Repository) -> None:
    data = here.name.encode()
    digest = here.blob(data)
    others = [here.sibling(), there]
    for other in others:
        other.blob(data)
    path = f"{here.base}/blobs/{digest}"
    here.client.get(path).expect(200)
    here.delete(f"blobs/{digest}").expect(202)
    for _ in range(3):  # no cache brings it back
        here.client.get(path).refuse(404, "BLOB_UNKNOWN")
        here.client.head(path).expect(404)
        here.client.get(path, Range="bytes=0-1").expect(404)
    here.delete(f"blobs/{digest}").refuse(404, "BLOB_UNKNOWN")
    for other in others:
        assert other.client.get(f"{other.base}/blobs/{digest}").expect(200).body == data


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_deleted_blob_can_be_pushed_again(here: Repository, algorithm: str) -> None:
    data = here.name.encode()
    digest = here.blob(data, algorithm)
    here.delete(f"blobs/{digest}").expect(202)
    here.blob(data, algorithm)
    assert here.client.get(f"{here.base}/blobs/{digest}").expect(200).body == data


def test_what_is_not_there_cannot_be_deleted(here: Repository) -> None:
    absent = descriptor(b"absent", "x/y")["digest"]
    for path in ("manifests/v1", f"manifests/{absent}"):
        here.delete(path).refuse(404, "NAME_UNKNOWN")
    here.image("v1")
    for path in ("manifests/v2", f"manifests/{absent}"):
        here.delete(path).refuse(404, "MANIFEST_UNKNOWN")
    here.delete(f"blobs/{absent}").refuse(404, "BLOB_UNKNOWN")


def test_what_is_deleted_under_a_condition_is_what_the_client_knows(here: Repository) -> None:
    here.image("v1")
    etag = here.manifest("v1")["etag"]
    here.image("v1")
    here.delete("manifests/v1", If_Match=etag).refuse(412, "DENIED")
    here.manifest("v1").expect(200)
    here.delete("manifests/v1", If_Match=here.manifest("v1")["etag"]).expect(202)
