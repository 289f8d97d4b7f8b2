"""Every path and every method: what is no name is refused in OCI JSON, and no route forgets to ask who calls."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from image_registry.oci.digest import Digest
from image_registry.storage.blob_store import OutOfSpace, StorageFault

from .conftest import Registry, basic, code

DIGEST = str(Digest.of(b"x"))
OPEN = {"/livez", "/healthz", "/", "/v2/token"}
"""Routes that need nobody: probes, and the place where tokens come from."""


def application(registry: Registry) -> Flask:
    found = registry.client.application
    assert isinstance(found, Flask)
    return found


def routes(registry: Registry) -> list[tuple[str, str]]:
    """(method, path) of every route, with values that name nothing."""
    values = {"namespace": "secret", "name": "app", "digest": DIGEST, "reference": "v1", "upload_id": "x", "run": "x"}
    found = []
    for rule in application(registry).url_map.iter_rules():
        path = str(rule)
        for key, value in values.items():
            path = path.replace(f"<{key}>", value)
        assert "<" not in path, f"give {rule} a value"
        found += [(method, path) for method in sorted((rule.methods or set()) - {"OPTIONS"})]
    return found


def test_no_route_serves_a_stranger(guarded: Registry) -> None:
    for method, path in routes(guarded):
        if path not in OPEN:
            answer = guarded.client.open(path, method=method)
            assert answer.status_code == 401, (method, path)
            assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="http://localhost/v2/token"')
            assert method == "HEAD" or code(answer) == "UNAUTHORIZED"


def test_no_route_of_a_repository_serves_a_user_without_rights_or_tells_what_is_there(guarded: Registry) -> None:
    guarded.push("team/app", "v1", layer=b"x", headers=basic("ann"))
    for method, path in routes(guarded):
        if "/secret/app/" in path:
            answers = [
                guarded.client.open(path.replace("secret", namespace), method=method, headers=basic("eve"))
                for namespace in ("secret", "team")
            ]
            assert [answer.status_code for answer in answers] == [403, 403], (method, path)
            assert answers[0].data == answers[1].data.replace(b"team", b"secret")


def test_writes_are_closed_to_readers(guarded: Registry) -> None:
    for method, path in routes(guarded):
        if "/secret/app/" in path:
            own = path.replace("secret", "team")
            expected = {404, 200} if method in {"GET", "HEAD"} and "uploads" not in own else {403}
            assert guarded.client.open(own, method=method, headers=basic("ben")).status_code in expected, (method, own)


def test_a_read_only_registry_refuses_every_write_before_it_looks(build: Callable[..., Registry]) -> None:
    frozen = build(read_only=lambda: "it moves")
    for method, path in routes(frozen):
        if "/secret/app/" in path and (method not in {"GET", "HEAD"} or "uploads" in path):
            refused = frozen.client.open(path, method=method)
            assert refused.status_code == 405, (method, path)
            assert method == "HEAD" or "read-only" in refused.text


@pytest.mark.parametrize(
    ("path", "status", "expected"),
    [
        ("/v2/app/manifests/v1", 400, "NAME_INVALID"),
        ("/v2/a/b/c/tags/list", 400, "NAME_INVALID"),
        ("/v2/a/b/c/d/e/blobs/" + DIGEST, 400, "NAME_INVALID"),
        ("/v2//app/manifests/v1", 400, "NAME_INVALID"),
        ("/v2/demo//manifests/v1", 400, "NAME_INVALID"),
        ("/v2/demo/app//manifests/v1", 400, "NAME_INVALID"),
        ("/v2//manifests/v1", 400, "NAME_INVALID"),
        ("/v2/demo/App/manifests/v1", 400, "NAME_INVALID"),
        ("/v2/Demo/app/manifests/v1", 400, "NAME_INVALID"),
        ("/v2/demo/a..b/manifests/v1", 400, "NAME_INVALID"),
        ("/v2/demo/-a/manifests/v1", 400, "NAME_INVALID"),
        ("/v2/demo/a_/manifests/v1", 400, "NAME_INVALID"),
        ("/v2/demo/..%2f..%2fetc/manifests/v1", 400, "NAME_INVALID"),
        ("/v2/demo/../other/manifests/v1", 400, "NAME_INVALID"),
        ("/v2/demo/app%00/manifests/v1", 400, "NAME_INVALID"),
        ("/v2/demo/%ff/manifests/v1", 400, "NAME_INVALID"),
        ("/v2/de_mo/app/manifests/v1", 400, "NAME_INVALID"),
        ("/v2/" + "n" * 64 + "/app/manifests/v1", 400, "NAME_INVALID"),
        ("/v2/demo/" + "a" * 251 + "/manifests/v1", 400, "NAME_INVALID"),
        ("/v2/demo/" + "a" * 250 + "/manifests/v1", 404, "NAME_UNKNOWN"),
        ("/v2/demo/a.b_c__d-e---f/manifests/v1", 404, "NAME_UNKNOWN"),
        ("/v2/manifests/manifests/manifests/manifests", 404, "NAME_UNKNOWN"),
        ("/v2/demo/app", 404, "UNSUPPORTED"),
        ("/v2/demo/app/nothing", 404, "UNSUPPORTED"),
        ("/v2/demo/app/tags", 404, "UNSUPPORTED"),
        ("/v2/demo/app/manifests/v1/", 404, "UNSUPPORTED"),
        ("/v1/", 404, "UNSUPPORTED"),
        ("/%0d%0aSet-Cookie:x", 404, "UNSUPPORTED"),
    ],
)
def test_every_refusal_is_oci_json(registry: Registry, path: str, status: int, expected: str) -> None:
    answer = registry.client.get(path)
    assert (answer.status_code, code(answer)) == (status, expected)
    assert answer.content_type == "application/json"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "TRACE", "BREW"])
def test_a_method_that_is_not_for_this_path_is_refused_with_those_that_are(registry: Registry, method: str) -> None:
    refused = registry.client.open("/v2/demo/app/tags/list", method=method)
    assert (refused.status_code, code(refused)) == (405, "UNSUPPORTED")
    assert {"GET", "HEAD"} <= set(refused.headers["Allow"].split(", "))


def test_the_front_door_answers_with_and_without_its_last_slash(registry: Registry) -> None:
    for path in ("/v2", "/v2/"):
        for method in ("GET", "HEAD"):
            answer = registry.client.open(path, method=method)
            assert answer.status_code == 200
            assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"


segment = st.one_of(
    st.sampled_from(["v2", "demo", "app", "blobs", "uploads", "manifests", "tags", "list", "", ".", "..", DIGEST]),
    st.text(max_size=12),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]),
    parts=st.lists(segment, max_size=8),
    body=st.binary(max_size=40),
    header=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
)
def test_no_request_makes_the_registry_fail(
    registry: Registry, method: str, parts: list[str], body: bytes, header: str
) -> None:
    answer = registry.client.open(
        "/" + "/".join(part.replace("?", "").replace("#", "") for part in ["v2", *parts]),
        method=method,
        data=body,
        query_string={"n": header, "last": header, "digest": header, "mount": header, "from": header},
        headers={"Range": header, "Content-Range": header, "Content-Type": header, "If-None-Match": header},
    )
    assert answer.status_code < 500
    if answer.status_code >= 400 and method != "HEAD":
        assert json.loads(answer.data)["errors"][0]["message"]


@pytest.mark.parametrize("last", ["'; DROP", "\r\nSet-Cookie: x", "a" * 5000, "é", '">; rel="x'])
def test_what_a_client_says_of_a_page_cannot_break_out_of_the_link(registry: Registry, last: str) -> None:
    for tag in ("v1", "v2"):
        registry.push("demo/app", tag)
    answer = registry.client.get("/v2/demo/app/tags/list", query_string={"n": "1", "last": last})
    assert answer.status_code == 200
    assert answer.headers.get("Link", "").count(";") <= 1


def test_a_list_of_nothing_is_a_list(registry: Registry) -> None:
    registry.push("demo/app", "v1")
    answer = registry.client.get("/v2/demo/app/tags/list?n=0")
    assert (json.loads(answer.data)["tags"], "Link" in answer.headers) == ([], False)
    assert code(registry.client.get("/v2/demo/none/tags/list?n=0")) == "NAME_UNKNOWN"
    registry.client.delete("/v2/demo/app/manifests/v1")
    assert json.loads(registry.client.get("/v2/demo/app/tags/list").data) == {"name": "demo/app", "tags": []}


@pytest.mark.parametrize("number", ["2000", str(2**63), "9" * 20])
def test_a_page_is_bounded_whatever_is_asked_for(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, number: str
) -> None:
    monkeypatch.setattr("image_registry.distribution_api.answers.MAX_PAGE", 2)
    for tag in ("a", "b", "c"):
        registry.push("demo/app", tag)
    answer = registry.client.get(f"/v2/demo/app/tags/list?n={number}")
    assert json.loads(answer.data)["tags"] == ["a", "b"]
    assert answer.headers["Link"] == '</v2/demo/app/tags/list?n=2&last=b>; rel="next"'


def test_pulls_stay_in_service_when_the_disk_is_full_and_leave_it_when_it_is_broken(
    build: Callable[..., Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    for failure, status in ((OutOfSpace("no space left"), 200), (StorageFault("Input/output error"), 503)):
        registry = build()

        def probe(error: StorageFault = failure) -> None:
            raise error

        monkeypatch.setattr(registry.store, "probe", probe)
        answer = registry.client.get("/healthz")
        assert answer.status_code == status
        assert str(failure) in answer.text


def test_a_read_only_registry_is_ready_without_writing(
    build: Callable[..., Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen = build(read_only=lambda: "it moves")
    monkeypatch.setattr(frozen.store, "probe", lambda: pytest.fail("something was written"))
    assert frozen.client.get("/healthz").json == {"storage": "ok, read-only"}
