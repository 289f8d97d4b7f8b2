"""Writes that a client wants only while things are as it knows them (RFC 9110 section 13)."""

from __future__ import annotations

from functools import partial

import pytest
from werkzeug.test import Client, TestResponse

from image_registry.oci import media_types
from image_registry.oci.digest import Digest
from tests.at_once import at_once

from .conftest import Registry, code, manifest_of

PATH = "/v2/demo/app/manifests/v1"


def body(text: str) -> bytes:
    return manifest_of(b"{}", annotations={"text": text})


def put(registry: Registry, text: str, path: str = PATH, **condition: str) -> TestResponse:
    registry.upload("demo/app", b"{}")
    headers = {"Content-Type": media_types.OCI_MANIFEST, **{key.replace("_", "-"): v for key, v in condition.items()}}
    return registry.client.put(path, data=body(text), headers=headers)


def test_a_tag_is_made_only_once_by_those_who_say_so(everywhere: Registry) -> None:
    assert put(everywhere, "one", If_None_Match="*").status_code == 201
    refused = put(everywhere, "two", If_None_Match="*")
    assert (refused.status_code, code(refused)) == (412, "DENIED")
    assert f"{Digest.of(body('one'))} is there now; look at it, then decide again" in refused.text
    assert everywhere.client.get(PATH).data == body("one")


def test_a_tag_moves_only_from_where_the_client_knows_it(everywhere: Registry) -> None:
    refused = put(everywhere, "one", If_Match="*")
    assert (refused.status_code, code(refused)) == (412, "DENIED")
    assert "nothing is there now" in refused.text
    etag = put(everywhere, "one").headers["Docker-Content-Digest"]
    assert put(everywhere, "two", If_Match=f'"{etag}"').status_code == 201
    assert put(everywhere, "three", If_Match=f'"{etag}"').status_code == 412
    assert put(everywhere, "three", If_None_Match=f'"{Digest.of(body("two"))}"').status_code == 412
    assert everywhere.client.get(PATH).data == body("two")
    assert put(everywhere, "three", If_Match="*").status_code == 201


def test_conditions_hold_for_digests_and_for_deleting(registry: Registry) -> None:
    digest = Digest.of(body("one"))
    by_digest = f"/v2/demo/app/manifests/{digest}"
    assert put(registry, "one", by_digest, If_Match="*").status_code == 412
    assert put(registry, "one", by_digest, If_None_Match="*").status_code == 201
    assert put(registry, "one", by_digest, If_None_Match="*").status_code == 412
    put(registry, "one")
    other = {"If-Match": f'"{Digest.of(b"other")}"'}
    for path in (PATH, by_digest):
        assert registry.client.delete(path, headers=other).status_code == 412
        assert registry.client.delete(path, headers={"If-Match": f'"{digest}"'}).status_code == 202


@pytest.mark.parametrize("header", ["nonsense", '"', 'W/"x"', ",,,", '"sha256:x", "y"'])
def test_a_condition_that_names_nothing_known_is_not_met(registry: Registry, header: str) -> None:
    put(registry, "one")
    assert put(registry, "two", If_Match=header).status_code == 412
    assert put(registry, "two", If_None_Match=header).status_code == 201


def test_of_many_who_add_to_a_list_under_a_condition_none_is_lost(registry: Registry) -> None:
    """Clients keep indexes of referrers under one tag; without conditions they undo each other."""
    application = registry.client.application
    put(registry, "")

    def add(word: str) -> None:
        client = Client(application)
        while True:
            now = client.get(PATH)
            text = now.json["annotations"]["text"] if now.json else ""
            headers = {"Content-Type": media_types.OCI_MANIFEST, "If-Match": now.headers["ETag"]}
            if client.put(PATH, data=body(f"{text} {word}"), headers=headers).status_code == 201:
                return

    words = [f"w{number}" for number in range(6)]
    at_once([partial(add, word) for word in words])
    document = registry.client.get(PATH).json
    assert document is not None
    assert sorted(document["annotations"]["text"].split()) == words
