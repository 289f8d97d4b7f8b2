"""The signatures extension: kept beside a manifest, for those who may, never changed, gone with the manifest."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from werkzeug.test import TestResponse

from image_registry.imagestreams import signatures as rules
from image_registry.oci.digest import Digest

from .conftest import CREATE, DELETE, PULL, PUSH, Registry, RightsTable, assemble, basic, code

SIGN = "create imagesignatures"


def pushed(registry: Registry, repository: str = "demo/app", **kwargs: Any) -> str:
    """The digest of a small image."""
    answer = registry.push(repository, "v1", **kwargs)
    assert answer.status_code == 201, answer.text
    return answer.headers["Docker-Content-Digest"]


def document(digest: str, own: str = "one", **members: Any) -> dict[str, Any]:
    content = base64.b64encode(b"signed").decode()
    return {"schemaVersion": 2, "name": f"{digest}@{own}", "type": "atomic", "content": content, **members}


def place(digest: str, repository: str = "demo/app") -> str:
    return f"/extensions/v2/{repository}/signatures/{digest}"


def put(registry: Registry, digest: str, body: object, repository: str = "demo/app", **kwargs: Any) -> TestResponse:
    return registry.client.put(place(digest, repository), data=json.dumps(body).encode(), **kwargs)


def names(registry: Registry, digest: str, repository: str = "demo/app") -> list[str]:
    answer = registry.client.get(place(digest, repository))
    assert answer.status_code == 200, answer.text
    return [each["name"] for each in json.loads(answer.data)["signatures"]]


def test_a_signature_comes_back_as_it_was_sent(everywhere: Registry) -> None:
    digest = pushed(everywhere)
    assert names(everywhere, digest) == []
    assert put(everywhere, digest, document(digest)).status_code == 201
    found = json.loads(everywhere.client.get(place(digest)).data)
    assert found == {"signatures": [document(digest)]}


def test_every_answer_says_that_signatures_are_kept_here(registry: Registry) -> None:
    for path in ("/v2/", "/v2/_catalog", "/v2/demo/app/manifests/none", place(str(Digest.of(b"x")))):
        assert registry.client.get(path).headers["X-Registry-Supports-Signatures"] == "1", path


def test_a_signature_is_never_replaced(everywhere: Registry) -> None:
    digest = pushed(everywhere)
    assert put(everywhere, digest, document(digest)).status_code == 201
    refused = put(everywhere, digest, document(digest, content=base64.b64encode(b"other").decode()))
    assert (refused.status_code, code(refused)) == (409, "SIGNATURE_EXISTS")
    assert put(everywhere, digest, document(digest, "two")).status_code == 201
    assert names(everywhere, digest) == [f"{digest}@one", f"{digest}@two"]


def test_a_type_that_is_not_given_is_the_usual_one(registry: Registry) -> None:
    digest = pushed(registry)
    body = document(digest)
    del body["type"]
    assert put(registry, digest, body).status_code == 201
    [found] = json.loads(registry.client.get(place(digest)).data)["signatures"]
    assert found["type"] == "AtomicImageV1"


@pytest.mark.parametrize(
    "change",
    [
        {"schemaVersion": 1},
        {"schemaVersion": True},
        {"schemaVersion": "2"},
        {"name": "one"},
        {"name": f"{Digest.of(b'other')}@one"},
        {"name": None},
        {"name": "{digest}@"},
        {"name": "{digest}@../x"},
        {"name": "{digest}@" + "n" * 129},
        {"type": 7},
        {"type": ""},
        {"content": ""},
        {"content": "not base64!"},
        {"content": None},
        {"content": 7},
        {"owner": "somebody"},
    ],
)
def test_what_is_no_signature_is_refused_with_the_reason(registry: Registry, change: dict[str, Any]) -> None:
    digest = pushed(registry)
    changed = {key: value.format(digest=digest) if key == "name" and value else value for key, value in change.items()}
    refused = put(registry, digest, document(digest, **changed))
    assert (refused.status_code, code(refused)) == (400, "SIGNATURE_INVALID")
    assert names(registry, digest) == []


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"[" * 60000, b"\xff", b'"x"', b"{}" + b" " * 70000])
def test_what_is_no_object_is_refused(registry: Registry, raw: bytes) -> None:
    digest = pushed(registry)
    refused = registry.client.put(place(digest), data=raw)
    assert (refused.status_code, code(refused)) == (400, "SIGNATURE_INVALID")


def test_a_manifest_that_the_repository_does_not_hold_has_no_signatures(everywhere: Registry) -> None:
    digest = pushed(everywhere)
    for repository, wanted in (("demo/app", str(Digest.of(b"x"))), ("demo/none", digest)):
        assert code(everywhere.client.get(place(wanted, repository))) == "MANIFEST_UNKNOWN"
        assert code(put(everywhere, wanted, document(wanted), repository)) == "MANIFEST_UNKNOWN"
    assert code(everywhere.client.get(place("sha256:short"))) == "DIGEST_INVALID"


def test_another_repository_with_the_same_digest_has_signatures_of_its_own(everywhere: Registry) -> None:
    digest = pushed(everywhere)
    assert pushed(everywhere, "other/app") == digest
    put(everywhere, digest, document(digest))
    assert names(everywhere, digest, "other/app") == []


def test_signatures_go_with_their_manifest(everywhere: Registry) -> None:
    digest = pushed(everywhere)
    put(everywhere, digest, document(digest))
    assert everywhere.client.delete(f"/v2/demo/app/manifests/{digest}").status_code == 202
    assert pushed(everywhere) == digest
    assert names(everywhere, digest) == []


def test_nobody_can_fill_the_database_with_signatures(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "MOST", 2)
    digest = pushed(registry)
    for name in ("a", "b"):
        assert put(registry, digest, document(digest, name)).status_code == 201
    refused = put(registry, digest, document(digest, "c"))
    assert (refused.status_code, code(refused)) == (400, "SIGNATURE_INVALID")
    assert "2 signatures" in refused.text


def test_pulls_go_on_without_the_database_and_show_no_signatures(registry: Registry) -> None:
    digest = pushed(registry)
    put(registry, digest, document(digest))
    away = assemble(registry.database, registry.store.root)  # the same storage over a database that is away
    away.streams._database = type(registry.database)("sqlite:////nonexistent/metadata.db")
    answer = away.client.get(place(digest))
    assert (answer.status_code, json.loads(answer.data)) == (200, {"signatures": []})
    assert "signatures are not shown" in answer.headers["Warning"]
    assert put(away, digest, document(digest, "two")).status_code == 503


def test_reading_needs_pull_and_writing_needs_pull_push_and_the_right_to_sign(guarded: Registry) -> None:
    digest = pushed(guarded, "team/app", headers=basic("ann"))
    path = place(digest, "team/app")
    assert guarded.client.get(path, headers=basic("ben")).status_code == 200
    for user, status in (("", 401), ("eve", 403)):
        assert guarded.client.get(path, headers=basic(user) if user else {}).status_code == status
    body = document(digest)
    assert put(guarded, digest, body, "team/app").status_code == 401
    for user in ("ann", "ben", "eve"):
        refused = put(guarded, digest, body, "team/app", headers=basic(user))
        assert (refused.status_code, code(refused)) == (403, "DENIED"), user
    assert "create imagesignatures" in put(guarded, digest, body, "team/app", headers=basic("ann")).text
    rights = guarded.parts.authorizer
    assert isinstance(rights, RightsTable)
    rights.rights["ann", "team"] = {PULL, PUSH, CREATE, DELETE, SIGN}
    rights.rights["ben", "team"] = {PULL, SIGN}
    assert put(guarded, digest, body, "team/app", headers=basic("ben")).status_code == 403
    assert put(guarded, digest, body, "team/app", headers=basic("ann")).status_code == 201
