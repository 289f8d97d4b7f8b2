"""Paths and methods."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MISSING = "the server could not find the requested resource"


@pytest.mark.parametrize(
    "path",
    [
        "/api",
        "/apis/other.alauda.io",
        "/apis/image.alauda.io/v2",
        "/apis/image.alauda.io/v1/pods",
        "/apis/image.alauda.io/v1/namespaces/team",
        "/apis/image.alauda.io/v1/namespaces/team/images",
        "/apis/image.alauda.io/v1/imagestreams/app",
        "/apis/image.alauda.io/v1/namespaces/team/imagestreams/app/other",
        "/apis/image.alauda.io/v1/namespaces/team/imagestreams/app/status/x",
        "/apis/image.alauda.io/v1/watch/imagestreams",
        "/apis/image.alauda.io/v1//imagestreams",
        "/apis/image.alauda.io/v1/namespaces//imagestreams",
        "/apis/image.alauda.io/v1/namespaces/team/imagestreams//",
        "/apis//image.alauda.io",
        "/openapi/v3/apis/apps/v1",
        "/openapi/v4",
        "/readyz/ping",
        "/v2/",
        "/static/x",
    ],
)
@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
def test_an_unknown_path_is_not_found_whatever_the_method(filled: Any, path: str, method: str) -> None:
    status = filled.refuse(path, 404, "NotFound", method=method)
    assert status["message"] == MISSING


@pytest.mark.parametrize(
    "path",
    ["/apis", "/apis/image.alauda.io", "", "images", "imagestreams", "namespaces/team/imagestreams/app", "/version"],
)
def test_a_slash_at_the_end_changes_nothing(filled: Any, path: str) -> None:
    assert filled.get(f"{path}/" if path else "/apis/image.alauda.io/v1/") == filled.get(
        path or "/apis/image.alauda.io/v1"
    )


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["imagestreams", "imagestreamtags", "/apis", "/version"])
def test_a_method_that_is_not_served_is_named_with_those_that_are(filled: Any, path: str, method: str) -> None:
    answer = filled.ask(path, method=method, json={})
    assert answer.status_code == 405
    assert answer.get_json()["reason"] == "MethodNotAllowed"
    assert "GET" in answer.headers["Allow"]


@pytest.mark.parametrize("query", ["watch=true", "watch=1", "watch", "watch=", "watch=yes"])
def test_a_watch_of_what_cannot_be_watched_is_never_answered_with_a_list(filled: Any, query: str) -> None:
    path = "namespaces/team/imagestreamtags"
    status = filled.refuse(f"{path}?{query}", 405, "MethodNotAllowed")
    assert "watch the imagestreams" in status["message"]
    assert filled.get(f"{path}?watch=false") == filled.get(f"{path}?watch=0") == filled.get(path)


@pytest.mark.parametrize(
    "path", ["imagestreams", "namespaces/team/imagestreams/app", "/apis", "/readyz", "/openapi/v2"]
)
def test_head_tells_what_get_would_without_a_body(filled: Any, path: str) -> None:
    whole, head = filled.ask(path), filled.ask(path, method="HEAD")
    assert head.status_code == 200
    assert head.data == b""
    assert head.headers["Content-Length"] == str(len(whole.data))
    assert head.content_type == whole.content_type


def test_names_may_be_percent_encoded(filled: Any) -> None:
    plain = filled.get("namespaces/team/imagestreamtags/app:v1")
    assert filled.get("namespaces/team/imagestreamtags/app%3Av1") == plain
    assert filled.get("namespaces/team/imagestreamtags/%61pp%3av1") == plain
    digest = filled.names("images")[0]
    assert filled.get(f"images/{filled.segment(digest)}") == filled.get(f"images/{digest}")


@pytest.mark.parametrize("name", ["app", ":v1", "app:", "app:v1:v2", ":"])
def test_a_name_that_is_no_stream_and_tag_says_what_one_looks_like(filled: Any, name: str) -> None:
    for method in ("GET", "DELETE"):
        status = filled.refuse(f"namespaces/team/imagestreamtags/{name}", 400, "BadRequest", method=method)
        assert "<stream>:<tag>" in status["message"]


@pytest.mark.parametrize(
    ("path", "resource", "name"),
    [
        ("namespaces/team/imagestreams/nope", "imagestreams", "nope"),
        ("namespaces/team/imagestreams/UPPER%20case", "imagestreams", "UPPER case"),
        ("namespaces/NOPE/imagestreams/app", "imagestreams", "app"),
        ("namespaces/a%00b/imagestreams/app", "imagestreams", "app"),
        ("namespaces/team/imagestreams/..", "imagestreams", ".."),
        ("namespaces/team/imagestreams/a%00b", "imagestreams", "a\x00b"),
        ("namespaces/team/imagestreamtags/app:nope", "imagestreamtags", "app:nope"),
        ("namespaces/team/imagestreamtags/nope:v1", "imagestreamtags", "nope:v1"),
        ("namespaces/team/imagestreamtags/app:-bad", "imagestreamtags", "app:-bad"),
        ("images/nope", "images", "nope"),
        (f"images/sha256:{'0' * 64}", "images", f"sha256:{'0' * 64}"),
        (f"images/sha256:{'A' * 64}", "images", f"sha256:{'A' * 64}"),
    ],
)
def test_what_does_not_exist_is_not_found_in_the_words_of_kubernetes(
    filled: Any, path: str, resource: str, name: str
) -> None:
    for method in ("GET", "DELETE"):
        status = filled.refuse(path, 404, "NotFound", method=method)
        assert status["message"] == f'{resource}.image.alauda.io "{name}" not found'
        assert status["details"] == {"name": name, "group": "image.alauda.io", "kind": resource}


def test_bytes_that_are_not_utf8_are_refused(filled: Any) -> None:
    raw = {"PATH_INFO": f"{filled.root}/namespaces/team/imagestreams/\xff\xfe"}
    filled.refuse("images", 400, "BadRequest", environ_overrides=raw)
    filled.refuse("imagestreams?fieldSelector=metadata.name%3D%ff", 400, "BadRequest")
    for path in ("imagestreams", "/apis"):
        status = filled.refuse(path, 400, "BadRequest", environ_overrides={"QUERY_STRING": "fieldSelector=\xff"})
        assert status["message"] == "the query of the request is not UTF-8"


def test_another_tenants_objects_are_not_reached_by_dots(filled: Any) -> None:
    for path in ("namespaces/nobody/../team/imagestreams", "namespaces/nobody/%2e%2e/team/imagestreams"):
        assert filled.ask(f"{filled.root}/{path}").status_code == 404


def test_an_unexpected_failure_says_nothing_about_the_inside(
    filled: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_arguments: Any, **_keywords: Any) -> None:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(filled.streams, "streams", fail)
    status = filled.refuse("imagestreams", 500, "InternalError")
    assert "hunter2" not in str(status)
    assert "hunter2" in caplog.text


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    path=st.lists(
        st.sampled_from(
            ["namespaces", "team", "imagestreams", "imagestreamtags", "images", "app", "app:v1", "%00", "%ff"]
        )
        | st.text(max_size=8).map(lambda text: text.replace("?", "").replace("#", "")),
        max_size=6,
    ),
    query=st.dictionaries(
        st.sampled_from(["limit", "continue", "resourceVersion", "labelSelector", "fieldSelector", "watch", "dryRun"]),
        st.text(max_size=12),
    ),
    method=st.sampled_from(["GET", "HEAD", "DELETE", "POST"]),
)
def test_no_request_makes_the_server_fail(filled: Any, path: list[str], query: dict[str, str], method: str) -> None:
    answer = filled.client.open(f"{filled.root}/{'/'.join(path)}", query_string=query, method=method)
    assert answer.status_code < 500 or answer.status_code == 504
    if answer.status_code >= 400 and method != "HEAD":
        assert answer.get_json()["kind"] == "Status"
