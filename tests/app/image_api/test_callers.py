"""Who calls, and what they may do."""

from __future__ import annotations

from typing import Any

import pytest
from flask import request

from image_registry.auth import trail
from image_registry.auth.access import Access
from image_registry.auth.identity import Identity
from image_registry.kube.front_proxy import FrontProxyTrust


def caller(api: Any, **arguments: Any) -> Identity:
    assert api.ask("imagestreams", **arguments).status_code == 200
    identity: Identity = api.cluster.asked[-1][0]
    return identity


def test_the_front_proxy_tells_who_calls(api: Any) -> None:
    environment = api.as_user(
        ("X-REMOTE-USER", "zoe"),
        ("X-REMOTE-UID", "42"),
        ("X-REMOTE-GROUP", "developers"),
        ("X-REMOTE-GROUP", "a group, with a comma"),
        ("X-REMOTE-EXTRA-SCOPES.EXAMPLE.COM%2FTEAM", "red"),
        ("X-REMOTE-EXTRA-SCOPES.EXAMPLE.COM%2FTEAM", "blue"),
        ("ACCEPT", "*/*"),
    )
    identity = caller(api, environ_overrides=environment)
    assert identity.username == "zoe"
    assert identity.uid == "42"
    assert identity.groups == ("developers", "a group, with a comma")
    assert identity.extra == {"scopes.example.com/team": ("red", "blue")}


def test_who_wants_to_act_as_another_is_not_served_as_himself(api: Any) -> None:
    headers = {"Authorization": "Bearer good", "Impersonate-User": "nobody"}
    for name in ("Impersonate-User", "Impersonate-Group", "Impersonate-Extra-Scopes"):
        headers = {"Authorization": "Bearer good", name: "nobody"}
        status = api.refuse("imagestreams", 400, "BadRequest", headers=headers)
        assert "Kubernetes API server" in status["message"]
    assert api.cluster.asked == []


def test_names_in_utf8_arrive_whole(api: Any) -> None:
    name = "zoë".encode().decode("latin-1")
    assert caller(api, environ_overrides=api.as_user(("X-REMOTE-USER", name))).username == "zoë"


@pytest.mark.parity(2)
@pytest.mark.parametrize("subject", [None, "", "somebody-else", "front-proxy-client "])
def test_without_the_front_proxys_certificate_its_headers_mean_nothing(api: Any, subject: str | None) -> None:
    environment = api.as_user(("X-REMOTE-USER", "admin"), ("X-REMOTE-GROUP", "system:masters"), subject=subject)
    headers = {"X-Remote-User": "admin", "X-Remote-Group": "system:masters"}
    identity = caller(api, environ_overrides=environment, headers=headers)
    assert identity.username == "system:anonymous"
    assert identity.groups == ("system:unauthenticated",)


def test_headers_mean_nothing_while_the_trust_is_not_known(api: Any) -> None:
    api.trust = None
    assert caller(api, environ_overrides=api.as_user(("X-REMOTE-USER", "admin"))).is_anonymous


def test_a_request_through_the_proxy_without_a_name_is_nobodys(api: Any) -> None:
    assert caller(api, environ_overrides=api.as_user(("X-REMOTE-GROUP", "system:masters"))).is_anonymous


def test_the_cluster_says_in_which_headers_names_come(api: Any) -> None:
    api.trust = FrontProxyTrust(ca="", username_headers=("X-Caller",), group_headers=("X-Team",))
    environment = api.as_user(("X-REMOTE-USER", "admin"), ("X-CALLER", "zoe"), ("X-TEAM", "red"), subject="anything")
    identity = caller(api, environ_overrides=environment)
    assert (identity.username, identity.groups) == ("zoe", ("red",))


def test_who_comes_directly_shows_a_token_of_the_platform(api: Any) -> None:
    identity = caller(api, headers={"Authorization": "Bearer good"})
    assert identity.username == "system:serviceaccount:team:default"
    for wrong in ("Bearer bad", "Basic dXNlcjpwYXNz", "Bearer", "Digest x"):
        answer = api.ask("imagestreams", headers={"Authorization": wrong})
        assert answer.status_code == 401, wrong
        assert answer.get_json()["reason"] == "Unauthorized"
        assert "WWW-Authenticate" in answer.headers
        assert "bad" not in answer.get_json()["message"]


def test_a_request_without_credentials_is_decided_like_any_other(api: Any) -> None:
    assert caller(api).is_anonymous


@pytest.mark.parametrize(
    ("method", "path", "access"),
    [
        ("GET", "images", Access("list", "images")),
        ("GET", "images/x", Access("get", "images", name="x")),
        ("DELETE", "images/x", Access("delete", "images", name="x")),
        ("GET", "imagestreams", Access("list", "imagestreams")),
        ("GET", "imagestreamtags", Access("list", "imagestreamtags")),
        ("GET", "imagestreams?watch=1&timeoutSeconds=1", Access("watch", "imagestreams")),
        ("GET", "namespaces/team/imagestreams", Access("list", "imagestreams", namespace="team")),
        ("GET", "namespaces/team/imagestreams/app", Access("get", "imagestreams", "", "team", "app")),
        ("HEAD", "namespaces/team/imagestreams/app", Access("get", "imagestreams", "", "team", "app")),
        ("DELETE", "namespaces/team/imagestreams/app", Access("delete", "imagestreams", "", "team", "app")),
        ("DELETE", "namespaces/team/imagestreams", Access("deletecollection", "imagestreams", namespace="team")),
        ("GET", "namespaces/team/imagestreamtags/app:v1", Access("get", "imagestreamtags", "", "team", "app:v1")),
        ("DELETE", "namespaces/team/imagestreamtags/app:v1", Access("delete", "imagestreamtags", "", "team", "app:v1")),
        (
            "GET",
            "namespaces/team/imagestreams?fieldSelector=metadata.name%3Dapp",
            Access("list", "imagestreams", "", "team", "app"),
        ),
    ],
)
def test_every_verb_asks_for_its_own_permission_and_nothing_more(
    filled: Any, method: str, path: str, access: Access
) -> None:
    filled.cluster.allowed = set()
    before = filled.streams.revision()
    answer = filled.ask(path, method=method)
    assert answer.status_code == 403
    assert [question for _, question in filled.cluster.asked] == [access]
    assert filled.streams.revision() == before
    filled.cluster.allowed = {str(access)}
    assert filled.ask(path, method=method).status_code != 403


def test_a_refusal_is_worded_as_kubernetes_words_it(filled: Any) -> None:
    filled.cluster.allowed = set()
    environment = filled.as_user(("X-REMOTE-USER", "zoe"))
    refused = {
        path: filled.refuse(path, 403, "Forbidden", environ_overrides=environment)
        for path in ("imagestreams", "namespaces/team/imagestreams/app", "namespaces/team/imagestreams/nope")
    }
    assert refused["imagestreams"]["message"] == (
        'imagestreams.image.alauda.io is forbidden: User "zoe" cannot list resource "imagestreams" in API group '
        '"image.alauda.io" at the cluster scope'
    )
    assert refused["namespaces/team/imagestreams/app"]["message"] == (
        'imagestreams.image.alauda.io "app" is forbidden: User "zoe" cannot get resource "imagestreams" in API group '
        '"image.alauda.io" in the namespace "team"'
    )
    existing, missing = (str(refused[f"namespaces/team/imagestreams/{name}"]) for name in ("app", "nope"))
    assert existing.replace("app", "nope") == missing


def test_permission_comes_before_anything_that_looks_at_objects(without_database: Any) -> None:
    without_database.cluster.allowed = set()
    for path in ("imagestreams?limit=x", "namespaces/team/imagestreamtags/app", "images/nope"):
        without_database.refuse(path, 403, "Forbidden")


def test_a_list_in_one_namespace_is_no_permission_for_all(filled: Any) -> None:
    filled.cluster.allowed = {str(Access("list", "imagestreams", namespace="team"))}
    assert filled.names("namespaces/team/imagestreams") == ["app", "web"]
    filled.refuse("imagestreams", 403, "Forbidden")
    filled.refuse("imagestreams?fieldSelector=metadata.namespace%3Dteam", 403, "Forbidden")


def test_while_nobody_can_decide_the_client_is_told_to_come_back(filled: Any) -> None:
    filled.cluster.away = True
    answer = filled.ask("imagestreams")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert answer.get_json()["reason"] == "ServiceUnavailable"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize(
    "path",
    [
        "images/sha256:" + "0" * 64,
        "namespaces/a/imagestreams/b",
        "namespaces/a/imagestreamtags/b:c",
        f"images/sha256:{'0' * 64}?resourceVersion=7",
        "namespaces/a/imagestreams",
    ],
)
def test_while_the_database_is_away_the_client_is_told_to_come_back(
    without_database: Any, path: str, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = without_database.ask(path, method=method)
    status = answer.get_json()
    assert (answer.status_code, status["reason"]) == (503, "ServiceUnavailable")
    assert answer.headers["Retry-After"] == str(status["details"]["retryAfterSeconds"]) == "5"
    assert "metadata.db" not in status["message"], "the inside is the administrator's matter"
    assert "metadata.db" in caplog.text


def test_the_access_log_learns_the_name_of_the_caller(api: Any) -> None:
    environment = api.as_user(("X-REMOTE-USER", "zoe"))
    with api.client:
        api.ask("imagestreams", environ_overrides=environment)
        assert trail.of(request.environ).caller == "zoe"
