"""Tokens: a challenge that says what is missing, several scopes at once, and less than was asked for is no error."""

from __future__ import annotations

import base64
import json
import re
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.conformance.protocol import Answer, Client, Repository, digest_of

DIGEST = digest_of(b"x")


def grants(token: str) -> dict[str, set[str]]:
    """What a token says it is for."""
    part = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return {grant["name"]: set(grant["actions"]) for grant in claims["access"]}


@pytest.mark.parametrize(
    ("method", "path", "actions"),
    [
        ("GET", "manifests/v1", "pull"),
        ("HEAD", "manifests/v1", "pull"),
        ("GET", f"blobs/{DIGEST}", "pull"),
        ("GET", "tags/list", "pull"),
        ("GET", f"referrers/{DIGEST}", "pull"),
        ("POST", "blobs/uploads/", "pull,push"),
        ("PUT", "manifests/v1", "pull,push"),
        ("PATCH", "blobs/uploads/x", "push"),
        ("DELETE", "manifests/v1", "delete"),
        ("DELETE", f"blobs/{DIGEST}", "delete"),
    ],
)
def test_a_stranger_is_told_what_to_ask_a_token_for(
    here: Repository, stranger: Client, method: str, path: str, actions: str
) -> None:
    answer = stranger.ask(method, f"{here.base}/{path}").expect(401)
    assert f'scope="repository:{here.name}:{actions}"' in answer["www-authenticate"]
    assert answer["www-authenticate"].startswith('Bearer realm="')
    if method != "HEAD":
        answer.refuse(401, "UNAUTHORIZED")


def test_a_mount_asks_for_the_right_to_read_its_source_too(
    here: Repository, there: Repository, stranger: Client
) -> None:
    start = f"{here.base}/blobs/uploads/?mount={DIGEST}"
    told = stranger.ask("POST", f"{start}&from={there.name}").expect(401)["www-authenticate"]
    assert f'scope="repository:{here.name}:pull,push repository:{there.name}:pull"' in told
    for odd in ("", "&from=UPPER/x", '&from=a/b"%20c'):
        told = stranger.ask("POST", start + odd).expect(401)["www-authenticate"]
        assert f'scope="repository:{here.name}:pull,push"' in told


def test_a_token_that_has_ended_is_refused_with_what_to_ask_for(here: Repository) -> None:
    answer = here.client.ask("GET", f"{here.base}/manifests/v1", bearer="x.y.z").expect(401)
    assert f'scope="repository:{here.name}:pull"' in answer["www-authenticate"]


def test_a_token_is_for_all_the_scopes_that_were_asked_for(here: Repository, there: Repository) -> None:
    one, other = f"repository:{here.name}:pull,push", f"repository:{there.name}:pull"
    for token in (here.client.token(one, other), here.client.token(f"{one}%20{other}")):
        assert grants(token) == {here.name: {"pull", "push"}, there.name: {"pull"}}


def test_the_same_repository_in_two_scopes_adds_up(here: Repository) -> None:
    token = here.client.token(f"repository:{here.name}:pull", f"repository:{here.name}:push")
    assert grants(token) == {here.name: {"pull", "push"}}


def test_all_actions_are_those_that_there_are(here: Repository) -> None:
    assert grants(here.client.token(f"repository:{here.name}:*")) == {here.name: {"pull", "push", "delete"}}


@pytest.mark.parametrize(
    "scope", ["nonsense", "repository", "repository:UPPER/x:pull", "repository:a/b/c:pull", "thing:a/b:pull", ":::", ""]
)
def test_a_scope_that_is_none_takes_nothing_from_the_others(here: Repository, scope: str) -> None:
    token = here.client.token(scope, f"repository:{here.name}:pull,fly")
    assert grants(token) == {here.name: {"pull"}}


def test_a_stranger_gets_a_token_for_nothing_rather_than_a_refusal(here: Repository, stranger: Client) -> None:
    token = stranger.token(f"repository:{here.name}:pull,push")
    assert grants(token) == {}
    stranger.ask("GET", f"{here.base}/manifests/v1", bearer=token).refuse(401, "UNAUTHORIZED")


def test_a_narrow_token_is_sent_back_for_a_wider_one(here: Repository) -> None:
    narrow = here.client.token(f"repository:{here.name}:pull")
    for method, path, action in (
        ("POST", "blobs/uploads/", "push"),
        ("PUT", "manifests/v1", "push"),
        ("DELETE", "manifests/v1", "delete"),
        ("DELETE", f"blobs/{DIGEST}", "delete"),
    ):
        answer = here.client.ask(method, f"{here.base}/{path}", bearer=narrow)
        assert action in answer.refuse(401, "UNAUTHORIZED")
        assert 'error="insufficient_scope"' in answer["www-authenticate"]
        assert re.search(rf'scope="repository:{here.name}:[a-z,]*{action}"', answer["www-authenticate"])


def test_a_token_for_one_repository_opens_no_other(here: Repository) -> None:
    pushed, other = here.image("v1"), here.sibling()
    narrow = here.client.token(f"repository:{other.name}:pull,push,delete")
    for path in ("manifests/v1", f"blobs/{pushed.layer}", "tags/list"):
        here.client.ask("GET", f"{here.base}/{path}", bearer=narrow).refuse(401, "UNAUTHORIZED")


@pytest.mark.parametrize("token", ["t0k3n", "a.b.c", "e30.e30.e30", "x" * 9000])
def test_a_token_that_is_none_is_refused_with_a_challenge(here: Repository, token: str) -> None:
    answer = here.client.ask("GET", f"{here.base}/manifests/v1", bearer=token)
    assert token not in answer.refuse(401, "UNAUTHORIZED")
    assert answer["www-authenticate"].startswith("Bearer ")


@pytest.mark.parametrize("header", ["Basic", "Basic !!", "Basic eA==", "Bearer", "Digest x", "x"])
def test_credentials_that_cannot_be_read_are_refused(here: Repository, stranger: Client, header: str) -> None:
    answer = stranger.ask("GET", f"{here.base}/manifests/v1", headers={"Authorization": header})
    answer.refuse(401, "UNAUTHORIZED")


def test_basic_credentials_work_without_a_token(here: Repository) -> None:
    pushed = here.image("v1")
    assert here.client.credentials is not None
    headers = {"Authorization": here.client.credentials.header}
    answer = here.client.ask("GET", f"{here.base}/manifests/v1", headers=headers)
    assert answer.expect(200).body == pushed.raw


def test_a_token_says_how_long_it_lives_and_is_kept_by_no_cache(here: Repository) -> None:
    answer = here.client.token_answer(f"repository:{here.name}:pull").expect(200)
    told = answer.json
    assert told["token"] == told["access_token"]
    assert 0 < told["expires_in"] <= 300
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", told["issued_at"])
    assert told["scope"] == f"repository:{here.name}:pull"
    assert answer["cache-control"] == "no-store"


def post(client: Client, **fields: str) -> Answer:
    body = urlencode({"service": "image-registry", "client_id": "conformance", **fields}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return client.ask("POST", "/v2/token", body, headers)


def test_a_form_gives_a_token_too(here: Repository, stranger: Client) -> None:
    pushed, known = here.image("v1"), here.client.credentials
    assert known is not None
    scope = f"repository:{here.name}:pull repository:UPPER/x:pull"
    answer = post(stranger, grant_type="password", username=known.user, password=known.password, scope=scope)
    token = answer.expect(200).json["access_token"]
    assert grants(token) == {here.name: {"pull"}}
    assert "refresh_token" not in answer.json
    pulled = here.client.ask("GET", f"{here.base}/manifests/v1", bearer=token)
    assert pulled.expect(200).body == pushed.raw


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 400),
        ({"grant_type": "password"}, 400),
        ({"grant_type": "refresh_token"}, 400),
        ({"grant_type": "client_credentials"}, 400),
        ({"grant_type": "password", "username": "x", "password": "wrong"}, 401),
        ({"grant_type": "refresh_token", "refresh_token": "wrong"}, 401),
    ],
)
def test_a_form_that_gives_none_says_why(stranger: Client, fields: dict[str, str], status: int) -> None:
    message = post(stranger, **fields).refuse(status, "UNAUTHORIZED")
    assert "grant_type" in message or "authentication required" in message
