"""Who calls and what they may do, asked of the cluster: never a wrong yes, few questions, an end to every answer."""

from __future__ import annotations

import base64
import json
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from image_registry.auth import access
from image_registry.auth.access import AuthorizationUnavailable
from image_registry.auth.cluster import ALLOWED, KNOWN, REFUSED, UNKNOWN, ClusterAuthenticator, ClusterAuthorizer
from image_registry.auth.identity import ANONYMOUS, AuthenticationUnavailable, Identity, InvalidCredentials
from image_registry.kube.reviews import AccessReviewer, TokenReviewer
from image_registry.oci.reference import Repository
from tests.at_once import at_once

if TYPE_CHECKING:
    from tests.conftest import FakeCluster

USER = {
    "username": "system:serviceaccount:demo:builder",
    "uid": "u1",
    "groups": ["system:serviceaccounts", "with,comma"],
    "extra": {"authentication.kubernetes.io/pod-name": ["p"]},
}
BUILDER = Identity(
    "system:serviceaccount:demo:builder",
    "u1",
    ("system:serviceaccounts", "with,comma"),
    {"authentication.kubernetes.io/pod-name": ("p",)},
)
APP = Repository.parse("demo/app")


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def jwt(**claims: object) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{body}.c2ln"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def who(fake_cluster: FakeCluster, clock: Clock) -> ClusterAuthenticator:
    fake_cluster.tokens["good"] = (USER, {"api"})
    return ClusterAuthenticator(TokenReviewer(fake_cluster.client()), clock=clock)


@pytest.fixture
def may(fake_cluster: FakeCluster, clock: Clock) -> ClusterAuthorizer:
    return ClusterAuthorizer(AccessReviewer(fake_cluster.client()), clock)


def test_a_platform_token_brings_the_whole_identity(who: ClusterAuthenticator) -> None:
    assert who.authenticate_token("good") == BUILDER


def test_as_basic_the_password_is_the_token_and_the_user_name_is_ignored(who: ClusterAuthenticator) -> None:
    assert who.authenticate_basic("anything", "good") == BUILDER
    with pytest.raises(InvalidCredentials, match="password is empty"):
        who.authenticate_basic("good", "")


def test_a_token_for_the_registry_alone_is_accepted(fake_cluster: FakeCluster, who: ClusterAuthenticator) -> None:
    fake_cluster.tokens["pull"] = (USER, {"image-registry"})
    assert who.authenticate_token("pull") == BUILDER
    assert [spec.get("audiences") for spec in fake_cluster.reviews] == [None, ["image-registry"]]


def test_the_likelier_audience_is_asked_first(fake_cluster: FakeCluster, who: ClusterAuthenticator) -> None:
    token = jwt(aud=["image-registry"])
    fake_cluster.tokens[token] = (USER, {"image-registry"})
    who.authenticate_token(token)
    assert len(fake_cluster.reviews) == 1


def test_a_token_for_another_audience_is_refused(fake_cluster: FakeCluster, who: ClusterAuthenticator) -> None:
    fake_cluster.tokens["vault"] = (USER, {"vault"})
    with pytest.raises(InvalidCredentials, match="does not accept"):
        who.authenticate_token("vault")


def test_what_a_token_says_of_itself_opens_nothing(fake_cluster: FakeCluster, who: ClusterAuthenticator) -> None:
    with pytest.raises(InvalidCredentials):
        who.authenticate_token(jwt(aud="image-registry", sub="system:admin", exp=9_999_999_999))
    assert len(fake_cluster.reviews) == 2


def test_an_authenticator_without_audiences_is_no_proof_for_ours(
    fake_cluster: FakeCluster, who: ClusterAuthenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answers(spec: dict[str, object]) -> dict[str, object]:
        return {"authenticated": "audiences" in spec, "user": USER}

    monkeypatch.setattr(fake_cluster, "_review_token", answers)
    with pytest.raises(InvalidCredentials):
        who.authenticate_token("legacy")


def test_a_known_token_is_not_asked_about_for_a_minute(
    fake_cluster: FakeCluster, who: ClusterAuthenticator, clock: Clock
) -> None:
    who.authenticate_token("good")
    clock.now += KNOWN - 1
    who.authenticate_token("good")
    assert len(fake_cluster.reviews) == 1


def test_a_revoked_token_is_refused_within_a_minute(
    fake_cluster: FakeCluster, who: ClusterAuthenticator, clock: Clock
) -> None:
    who.authenticate_token("good")
    fake_cluster.tokens.clear()
    clock.now += KNOWN
    with pytest.raises(InvalidCredentials):
        who.authenticate_token("good")


def test_a_token_is_not_remembered_beyond_its_own_end(
    fake_cluster: FakeCluster, who: ClusterAuthenticator, clock: Clock
) -> None:
    token = jwt(exp=int(clock.now) + 5)
    fake_cluster.tokens[token] = (USER, {"api"})
    who.authenticate_token(token)
    fake_cluster.tokens.clear()
    clock.now += 5
    with pytest.raises(InvalidCredentials):
        who.authenticate_token(token)


def test_a_refused_token_is_not_asked_about_again_at_once(
    fake_cluster: FakeCluster, who: ClusterAuthenticator, clock: Clock
) -> None:
    for _ in range(3):
        with pytest.raises(InvalidCredentials):
            who.authenticate_token("new")
    assert len(fake_cluster.reviews) == 2
    fake_cluster.tokens["new"] = (USER, {"api"})
    clock.now += UNKNOWN
    assert who.authenticate_token("new") == BUILDER


@pytest.mark.parametrize("token", ["", "x" * 20000, "with\nline", "snow☃", "\x00"])
def test_what_cannot_be_a_token_is_refused_without_a_question(
    token: str, fake_cluster: FakeCluster, who: ClusterAuthenticator
) -> None:
    with pytest.raises(InvalidCredentials):
        who.authenticate_token(token)
    assert fake_cluster.reviews == []


def test_no_answer_is_neither_yes_nor_no(
    fake_cluster: FakeCluster, who: ClusterAuthenticator, may: ClusterAuthorizer, clock: Clock
) -> None:
    fake_cluster.rights.add((BUILDER.username, "get", "imagestreams/layers", "demo"))
    who.authenticate_token("good")
    assert may.decide(BUILDER, access.pull(APP)).allowed
    fake_cluster.stop()
    with pytest.raises(AuthenticationUnavailable):
        who.authenticate_token("other")
    with pytest.raises(AuthorizationUnavailable):
        may.decide(BUILDER, access.push(APP))
    clock.now += ALLOWED - 1
    assert may.decide(BUILDER, access.pull(APP)).allowed
    assert who.authenticate_token("good") == BUILDER
    clock.now += KNOWN
    with pytest.raises(AuthenticationUnavailable):
        who.authenticate_token("good")
    with pytest.raises(AuthorizationUnavailable):
        may.decide(BUILDER, access.pull(APP))


@pytest.mark.parametrize(("status", "sentence"), [(401, "service account token is refused"), (500, "try again")])
def test_our_own_trouble_is_not_the_callers(
    status: int, sentence: str, fake_cluster: FakeCluster, who: ClusterAuthenticator
) -> None:
    fake_cluster.failures = [status]
    with pytest.raises(AuthenticationUnavailable, match=sentence):
        who.authenticate_token("good")
    assert who.authenticate_token("good") == BUILDER


def test_a_missing_permission_of_the_registry_is_named(fake_cluster: FakeCluster, may: ClusterAuthorizer) -> None:
    fake_cluster.forbidden = {"/apis/authorization.k8s.io"}
    with pytest.raises(AuthorizationUnavailable, match="system:auth-delegator"):
        may.decide(BUILDER, access.pull(APP))


def test_the_question_carries_everything_and_the_subresource_apart(
    fake_cluster: FakeCluster, may: ClusterAuthorizer
) -> None:
    assert not may.decide(BUILDER, access.push(APP)).allowed
    (spec,) = fake_cluster.reviews
    assert spec == {
        "user": BUILDER.username,
        "uid": "u1",
        "groups": ["system:serviceaccounts", "with,comma"],
        "extra": {"authentication.kubernetes.io/pod-name": ["p"]},
        "resourceAttributes": {
            "verb": "update",
            "group": "image.alauda.io",
            "version": "v1",
            "resource": "imagestreams",
            "subresource": "layers",
            "namespace": "demo",
            "name": "app",
        },
    }


def test_a_refusal_says_who_what_and_where(may: ClusterAuthorizer) -> None:
    reason = may.decide(BUILDER, access.pull(APP)).reason
    assert BUILDER.username in reason
    assert "get imagestreams/layers.image.alauda.io" in reason
    assert '"demo"' in reason


def test_a_removed_binding_ends_within_twenty_seconds_and_a_new_one_begins_within_five(
    fake_cluster: FakeCluster, may: ClusterAuthorizer, clock: Clock
) -> None:
    right = (BUILDER.username, "get", "imagestreams/layers", "demo")
    assert not may.decide(BUILDER, access.pull(APP)).allowed
    fake_cluster.rights.add(right)
    clock.now += REFUSED
    assert may.decide(BUILDER, access.pull(APP)).allowed
    fake_cluster.rights.remove(right)
    clock.now += ALLOWED
    assert not may.decide(BUILDER, access.pull(APP)).allowed


def test_decisions_of_one_caller_serve_no_other(fake_cluster: FakeCluster, may: ClusterAuthorizer) -> None:
    fake_cluster.rights.add((BUILDER.username, "get", "imagestreams/layers", "demo"))
    assert may.decide(BUILDER, access.pull(APP)).allowed
    for other in (
        Identity(BUILDER.username + "2", BUILDER.uid, BUILDER.groups, BUILDER.extra),
        ANONYMOUS,
    ):
        assert not may.decide(other, access.pull(APP)).allowed
    for same_name in (
        Identity(BUILDER.username, "u2", BUILDER.groups, BUILDER.extra),
        Identity(BUILDER.username, BUILDER.uid, (), BUILDER.extra),
        Identity(BUILDER.username, BUILDER.uid, BUILDER.groups, {}),
    ):
        may.decide(same_name, access.pull(APP))
    assert len(fake_cluster.reviews) == 6


def test_a_hundred_requests_at_once_are_one_question(fake_cluster: FakeCluster, who: ClusterAuthenticator) -> None:
    fake_cluster.before = lambda _method, _path: time.sleep(0.05)
    assert at_once([partial(who.authenticate_token, "good")] * 100) == [BUILDER] * 100
    assert len(fake_cluster.reviews) == 1
