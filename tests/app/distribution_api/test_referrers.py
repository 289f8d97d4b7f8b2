"""What refers to a manifest (distribution-spec, "Listing referrers")."""

from __future__ import annotations

import json
from typing import Any

import pytest

from image_registry.distribution_api import referrers
from image_registry.oci import media_types
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository, referrers_tag
from image_registry.storage import layout

from .conftest import Registry, basic, code, manifest_of

SUBJECT = Digest.of(b"the subject need not be there")
SIGNATURE = "application/vnd.example.signature.v1"


def refer(registry: Registry, repository: str = "demo/app", **members: Any) -> str:
    """Push something that refers to :data:`SUBJECT`; returns its digest."""
    registry.upload(repository, b"{}")
    subject = {"mediaType": media_types.OCI_MANIFEST, "digest": str(SUBJECT), "size": 7}
    body = manifest_of(b"{}", **{"subject": subject, **members})
    digest = str(Digest.of(body))
    headers = {"Content-Type": media_types.OCI_MANIFEST}
    pushed = registry.client.put(f"/v2/{repository}/manifests/{digest}", data=body, headers=headers)
    assert (pushed.status_code, pushed.headers["OCI-Subject"]) == (201, str(SUBJECT)), pushed.text
    return digest


def listed(registry: Registry, query: str = "", repository: str = "demo/app") -> list[dict[str, Any]]:
    answer = registry.client.get(f"/v2/{repository}/referrers/{SUBJECT}{query}")
    assert (answer.status_code, answer.content_type) == (200, media_types.OCI_INDEX)
    index = json.loads(answer.data)
    assert index["schemaVersion"] == 2
    found: list[dict[str, Any]] = index["manifests"]
    return found


def test_who_refers_is_listed_with_type_and_annotations(everywhere: Registry) -> None:
    digest = refer(everywhere, artifactType=SIGNATURE, annotations={"by": "ann"})
    [entry] = listed(everywhere)
    size = len(everywhere.client.get(f"/v2/demo/app/manifests/{digest}").data)
    assert entry == {
        "mediaType": media_types.OCI_MANIFEST,
        "digest": digest,
        "size": size,
        "artifactType": SIGNATURE,
        "annotations": {"by": "ann"},
    }


def test_a_referrer_without_a_type_has_that_of_its_configuration(registry: Registry) -> None:
    refer(registry)
    [entry] = listed(registry)
    assert entry["artifactType"] == media_types.OCI_CONFIG
    assert "annotations" not in entry


def test_what_nothing_refers_to_has_an_empty_list(registry: Registry) -> None:
    assert listed(registry) == []
    refer(registry)
    assert listed(registry, repository="demo/other") == []
    other = registry.client.get(f"/v2/demo/app/referrers/{Digest.of(b'other')}")
    assert json.loads(other.data)["manifests"] == []


def test_the_list_can_be_filtered_by_type_and_says_so(registry: Registry) -> None:
    digest = refer(registry, artifactType=SIGNATURE)
    refer(registry)
    assert len(listed(registry)) == 2
    assert [entry["digest"] for entry in listed(registry, f"?artifactType={SIGNATURE}")] == [digest]
    answer = registry.client.get(f"/v2/demo/app/referrers/{SUBJECT}?artifactType=none")
    assert answer.headers["OCI-Filters-Applied"] == "artifactType"
    assert json.loads(answer.data)["manifests"] == []


def test_a_deleted_referrer_is_listed_no_more(registry: Registry) -> None:
    digest = refer(registry)
    assert registry.client.delete(f"/v2/demo/app/manifests/{digest}").status_code == 202
    assert listed(registry) == []


def test_a_long_list_is_paged_without_loss(everywhere: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(referrers, "PAGE", 2)
    pushed = {refer(everywhere, artifactType=SIGNATURE, annotations={"number": str(number)}) for number in range(5)}
    seen, url = [], f"/v2/demo/app/referrers/{SUBJECT}?artifactType={SIGNATURE}"
    while url:
        answer = everywhere.client.get(url)
        seen += [entry["digest"] for entry in json.loads(answer.data)["manifests"]]
        url = answer.headers.get("Link", "").partition("<")[2].partition(">")[0]
    assert seen == sorted(pushed)


def test_a_lost_referrer_does_not_hide_the_others(registry: Registry) -> None:
    lost = refer(registry, annotations={"a": "lost"})
    kept = refer(registry, annotations={"a": "kept"})
    (registry.store.root / layout.blob_data(Digest.parse(lost))).unlink()
    assert [entry["digest"] for entry in listed(registry)] == [kept]


def test_one_answer_is_no_longer_than_a_manifest_may_be(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(referrers, "LONGEST", 1000)
    pushed = {refer(registry, annotations={"text": f"{number}" * 400}) for number in range(5)}
    seen, answers, url = [], 0, f"/v2/demo/app/referrers/{SUBJECT}"
    while url:
        answer = registry.client.get(url)
        seen += [entry["digest"] for entry in json.loads(answer.data)["manifests"]]
        assert len(answer.data) < 1200
        url, answers = answer.headers.get("Link", "").partition("<")[2].partition(">")[0], answers + 1
    assert seen == sorted(pushed)
    assert answers == 5


def noted(registry: Registry, *bodies: bytes, repository: str = "demo/app") -> list[str]:
    """Manifests as they lie in an adopted storage: linked, listed under the subject's tag, in no database."""
    repository_ = Repository.parse(repository)
    entries = []
    for body in bodies:
        digest = Digest.of(body)
        registry.store.put(body, digest)
        registry.store.link_manifest(repository_, digest)
        entries.append({"mediaType": media_types.OCI_MANIFEST, "digest": str(digest), "size": len(body)})
    lost = {"mediaType": media_types.OCI_MANIFEST, "digest": str(Digest.of(b"lost")), "size": 4}
    index = json.dumps({"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": [lost, *entries]})
    registry.store.put(index.encode(), Digest.of(index.encode()))
    registry.store.link_manifest(repository_, Digest.of(index.encode()))
    registry.store.write_tag(repository_, referrers_tag(SUBJECT), Digest.of(index.encode()))
    return [str(entry["digest"]) for entry in entries]


def subject_of(digest: Digest) -> dict[str, Any]:
    return {"mediaType": media_types.OCI_MANIFEST, "digest": str(digest), "size": 7}


def test_referrers_that_older_clients_noted_under_a_tag_are_listed_too(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = refer(registry, artifactType=SIGNATURE, annotations={"by": "ann"})
    old = noted(
        registry,
        registry.client.get(f"/v2/demo/app/manifests/{known}").data,
        manifest_of(b"{}", subject=subject_of(SUBJECT), artifactType=SIGNATURE, annotations={"by": "old"}),
        manifest_of(b"{}", subject=subject_of(SUBJECT)),
        manifest_of(b"{}", subject=subject_of(Digest.of(b"somebody else"))),
        manifest_of(b"{}", annotations={"refers": "to nothing"}),
    )
    assert [entry["digest"] for entry in listed(registry)] == sorted(old[:3])
    assert {entry["annotations"]["by"] for entry in listed(registry, f"?artifactType={SIGNATURE}")} == {"ann", "old"}
    assert listed(registry, repository="demo/other") == []
    monkeypatch.setattr(referrers, "PAGE", 1)
    more = {refer(registry, annotations={"number": str(number)}) for number in range(3)}
    seen, url = [], f"/v2/demo/app/referrers/{SUBJECT}"
    while url:
        answer = registry.client.get(url)
        seen += [entry["digest"] for entry in json.loads(answer.data)["manifests"]]
        url = answer.headers.get("Link", "").partition("<")[2].partition(">")[0]
    assert seen == sorted({*old[:3], *more})


def test_what_is_no_digest_is_refused(registry: Registry) -> None:
    refused = registry.client.get("/v2/demo/app/referrers/sha256:x")
    assert (refused.status_code, code(refused)) == (400, "DIGEST_INVALID")


def test_referrers_are_for_those_who_may_pull(guarded: Registry) -> None:
    path = f"/v2/team/app/referrers/{SUBJECT}"
    assert guarded.client.get(path, headers=basic("ben")).status_code == 200
    assert code(guarded.client.get(path, headers=basic("eve"))) == "DENIED"
    assert guarded.client.get(path).status_code == 401
