"""Who gets what: 401 asks who you are, 403 says what you may not."""

from __future__ import annotations

import io
import json

import pytest
from werkzeug.test import TestResponse

from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository

from .conftest import Registry, basic, code


def token(registry: Registry, user: str | None, *scopes: str) -> str:
    query = "&".join(f"scope={scope}" for scope in scopes)
    answer = registry.client.get(f"/v2/token?service=image-registry&{query}", headers=basic(user) if user else {})
    assert answer.status_code == 200, answer.text
    return str(json.loads(answer.data)["token"])


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def test_a_stranger_is_told_where_to_get_a_token(guarded: Registry) -> None:
    answer = guarded.client.get("/v2/")
    assert (answer.status_code, code(answer)) == (401, "UNAUTHORIZED")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="http://localhost/v2/token",service="image-registry"'
    answer = guarded.client.get("/v2/team/app/manifests/v1")
    assert 'scope="repository:team/app:pull"' in answer.headers["WWW-Authenticate"]


def test_a_forged_host_does_not_reach_the_challenge(guarded: Registry) -> None:
    answer = guarded.client.get("/v2/", headers={"Host": 'evil",x="'})
    assert "evil" not in answer.headers.get("WWW-Authenticate", "")


def test_basic_credentials_push_and_pull(guarded: Registry) -> None:
    assert guarded.push("team/app", "v1", headers=basic("ann")).status_code == 201
    assert guarded.client.get("/v2/team/app/manifests/v1", headers=basic("ben")).status_code == 200


def test_a_token_pushes_and_pulls(guarded: Registry) -> None:
    pushing = bearer(token(guarded, "ann", "repository:team/app:pull,push"))
    assert guarded.push("team/app", "v1", headers=pushing).status_code == 201
    pulling = bearer(token(guarded, "ben", "repository:team/app:pull"))
    assert guarded.client.get("/v2/team/app/manifests/v1", headers=pulling).status_code == 200


def test_a_token_asked_for_too_much_gets_what_is_allowed(guarded: Registry) -> None:
    guarded.push("team/app", "v1", headers=basic("ann"))
    partial = bearer(token(guarded, "ben", "repository:team/app:pull,push repository:secret/x:pull"))
    assert guarded.client.get("/v2/team/app/manifests/v1", headers=partial).status_code == 200
    refused = guarded.client.post("/v2/team/app/blobs/uploads/", headers=partial)
    assert (refused.status_code, code(refused)) == (403, "DENIED")


def form(registry: Registry, **fields: str) -> TestResponse:
    return registry.client.post("/v2/token", data={"service": "image-registry", "client_id": "test", **fields})


def test_a_form_gives_a_token_as_oauth_clients_ask_for_it(guarded: Registry) -> None:
    guarded.push("team/app", "v1", headers=basic("ann"))
    scope = "repository:team/app:pull,push repository:other/app:pull"
    answer = form(guarded, grant_type="password", username="ben", password="word", scope=scope)
    assert answer.status_code == 200, answer.text
    assert answer.json is not None
    assert answer.json["scope"] == "repository:team/app:pull"
    assert "refresh_token" not in answer.json
    assert answer.headers["Cache-Control"] == "no-store"
    headers = bearer(answer.json["access_token"])
    assert guarded.client.get("/v2/team/app/manifests/v1", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("fields", "status", "word"),
    [
        ({"grant_type": "password", "username": "ann", "password": "wrong"}, 401, "wrong password"),
        ({"grant_type": "password", "username": "ann"}, 400, "username and password"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, 401, "users and passwords"),
        ({"grant_type": "refresh_token"}, 400, "platform token"),
        ({"grant_type": "authorization_code"}, 400, "grant_type=password"),
        ({}, 400, "grant_type=password"),
    ],
)
def test_a_form_that_gives_no_token_says_why(guarded: Registry, fields: dict[str, str], status: int, word: str) -> None:
    refused = form(guarded, **fields)
    assert (refused.status_code, code(refused)) == (status, "UNAUTHORIZED")
    assert word in refused.text


def test_a_form_without_end_is_not_read(guarded: Registry) -> None:
    refused = form(guarded, grant_type="password", username="ann", password="x" * 100_000)
    assert (refused.status_code, code(refused)) == (413, "UNSUPPORTED")


def test_what_everybody_may_read_is_mounted_with_any_token(guarded: Registry) -> None:
    public = Repository("public", "base")
    data = b"the layer of a public image"
    guarded.store.put(data, Digest.of(data))
    guarded.store.link_blob(public, Digest.of(data))
    narrow = bearer(token(guarded, "ann", "repository:team/app:pull,push"))
    start = f"/v2/team/app/blobs/uploads/?mount={Digest.of(data)}&from=public/base"
    mounted = guarded.client.post(start, headers=narrow)
    assert mounted.status_code == 201
    assert guarded.client.get(mounted.headers["Location"], headers=narrow).data == data


def test_a_narrow_token_is_sent_back_for_a_wider_one(guarded: Registry) -> None:
    narrow = bearer(token(guarded, "ann", "repository:team/app:pull"))
    refused = guarded.client.post("/v2/team/app/blobs/uploads/", headers=narrow)
    assert refused.status_code == 401
    assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"]


def test_known_callers_without_rights_get_403_with_the_reason(guarded: Registry) -> None:
    guarded.push("team/app", "v1", headers=basic("ann"))
    for path in ("/v2/team/app/manifests/v1", "/v2/team/none/manifests/v1"):
        refused = guarded.client.get(path, headers=basic("eve"))
        assert (refused.status_code, code(refused)) == (403, "DENIED")
        assert "eve cannot get imagestreams/layers" in refused.text


def test_wrong_passwords_and_broken_tokens_get_401(guarded: Registry) -> None:
    for headers in (basic("ann", "wrong"), bearer("e30.e30.x"), {"Authorization": "Basic !!"}):
        refused = guarded.client.get("/v2/team/app/manifests/v1", headers=headers)
        assert (refused.status_code, code(refused)) == (401, "UNAUTHORIZED")
        assert "wrong" not in refused.text.replace("wrong password", "")


@pytest.mark.parity(14)
def test_what_is_public_needs_no_credentials_and_stays_closed_for_pushes(guarded: Registry) -> None:
    assert code(guarded.client.get("/v2/public/app/manifests/v1")) == "NAME_UNKNOWN"
    assert guarded.client.post("/v2/public/app/blobs/uploads/").status_code == 401


@pytest.mark.parity(14)
def test_a_foreign_blob_cannot_be_mounted(guarded: Registry) -> None:
    guarded.push("team/app", "v1", layer=b"secret", headers=basic("ann"))
    digest = Digest.of(b"secret")
    start = f"/v2/other/app/blobs/uploads/?mount={digest}"
    for source in ("", "&from=team/app", "&from=team/none"):
        assert guarded.client.post(start + source, headers=basic("eve")).status_code == 202
    assert code(guarded.client.get(f"/v2/other/app/blobs/{digest}", headers=basic("eve"))) == "BLOB_UNKNOWN"


def test_a_blob_that_the_caller_may_read_is_mounted_without_a_byte(guarded: Registry) -> None:
    guarded.push("team/app", "v1", layer=b"shared", headers=basic("ann"))
    digest = Digest.of(b"shared")
    mounted = guarded.client.post(f"/v2/team/copy/blobs/uploads/?mount={digest}&from=team/app", headers=basic("ann"))
    assert mounted.status_code == 201
    assert guarded.client.get(mounted.headers["Location"], headers=basic("ann")).data == b"shared"


def test_a_narrow_token_finds_no_blob_of_its_namespace_to_mount(guarded: Registry) -> None:
    guarded.push("team/app", "v1", layer=b"shared", headers=basic("ann"))
    narrow = bearer(token(guarded, "ann", "repository:team/copy:pull,push"))
    for source in ("", "&from=team/app"):
        start = f"/v2/team/copy/blobs/uploads/?mount={Digest.of(b'shared')}{source}"
        assert guarded.client.post(start, headers=narrow).status_code == 202


@pytest.mark.parametrize(("user", "expected"), [("ann", ["team/app"]), ("eve", [])])
def test_the_catalog_shows_what_the_caller_may_list(guarded: Registry, user: str, expected: list[str]) -> None:
    guarded.push("team/app", "v1", headers=basic("ann"))
    assert json.loads(guarded.client.get("/v2/_catalog", headers=basic(user)).data)["repositories"] == expected


def test_the_catalog_is_closed_to_strangers(guarded: Registry) -> None:
    assert guarded.client.get("/v2/_catalog").status_code == 401


def test_probes_need_nobody(guarded: Registry) -> None:
    assert guarded.client.get("/livez").status_code == 200
    assert guarded.client.get("/healthz").json == {"storage": "ok"}


@pytest.mark.parametrize("form", [b"\xff\xfe=%ff", b"grant_type=password&username=a&password=\xc3\x28"])
def test_a_form_that_is_no_text_is_refused_with_the_reason(guarded: Registry, form: bytes) -> None:
    refused = guarded.client.post("/v2/token", data=form, content_type="application/x-www-form-urlencoded")
    assert (refused.status_code, code(refused)) == (400, "UNAUTHORIZED")
    assert "form" in refused.text


def test_a_form_whose_body_breaks_off_is_refused_with_the_reason(guarded: Registry) -> None:
    class Broken(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: object) -> int:
            raise RuntimeError(f"no chunk: {buffer!r}")

    refused = guarded.client.post(
        "/v2/token",
        content_type="application/x-www-form-urlencoded",
        environ_overrides={"wsgi.input": Broken(), "CONTENT_LENGTH": "10"},
    )
    assert (refused.status_code, code(refused)) == (400, "UNAUTHORIZED")
    assert "the form cannot be read" in refused.text
