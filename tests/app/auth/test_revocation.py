"""What was taken away is gone within two seconds when a watch tells, within thirty when none does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from image_registry.auth import access, revocation
from image_registry.auth.cluster import ClusterAuthenticator, ClusterAuthorizer
from image_registry.auth.identity import Identity, InvalidCredentials
from image_registry.auth.revocation import Memory
from image_registry.kube import watch as watch_module
from image_registry.kube.accounts import ServiceAccounts
from image_registry.kube.namespaces import Namespaces
from image_registry.kube.reviews import AccessReviewer, TokenReviewer
from image_registry.kube.watch import Change, Watch
from image_registry.oci.reference import Repository

if TYPE_CHECKING:
    from tests.conftest import FakeCluster

RBAC = "/apis/rbac.authorization.k8s.io/v1"
COLLECTIONS = {
    *(f"{RBAC}/{name}" for name in ("rolebindings", "roles", "clusterrolebindings", "clusterroles")),
    "/api/v1/serviceaccounts",
    "/api/v1/namespaces",
}
ANN = Identity("ann", "u1", ("system:authenticated",))
APP = Repository.parse("demo/app")
RIGHT = ("ann", "get", "imagestreams/layers", "demo")


class Followed:
    """Everything that remembers, and the watches that let it forget."""

    def __init__(self, cluster: FakeCluster) -> None:
        client = cluster.client()
        self.authorizer = ClusterAuthorizer(AccessReviewer(client))
        self.authenticator = ClusterAuthenticator(TokenReviewer(client))
        self.namespaces, self.accounts = Namespaces(client), ServiceAccounts(client)
        memory = Memory(self.authorizer, self.authenticator, self.namespaces, self.accounts)
        self.watches = revocation.watches(client, memory)

    def start(self) -> None:
        for each in self.watches:
            each.start()
        for each in self.watches:
            assert each.following.wait(5)

    def may(self) -> bool:
        return self.authorizer.decide(ANN, access.pull(APP)).allowed


@pytest.fixture
def followed(fake_cluster: FakeCluster) -> Iterator[Followed]:
    fake_cluster.watched = set(COLLECTIONS)
    found = Followed(fake_cluster)
    yield found
    for each in found.watches:
        each.stop()


def within(seconds: float, condition: Callable[[], bool]) -> float:
    """How long it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds
        time.sleep(0.02)
    return time.monotonic() - began


@pytest.mark.parametrize(
    ("collection", "namespace"),
    [("rolebindings", "demo"), ("roles", "demo"), ("clusterrolebindings", ""), ("clusterroles", "")],
)
def test_a_right_that_was_taken_away_is_gone_within_two_seconds(
    fake_cluster: FakeCluster, followed: Followed, collection: str, namespace: str
) -> None:
    followed.start()
    fake_cluster.rights.add(RIGHT)
    assert followed.may()
    fake_cluster.rights.remove(RIGHT)
    assert followed.may(), "remembered: nobody has told yet"
    fake_cluster.tell(f"{RBAC}/{collection}", "DELETED", namespace, "pullers")
    within(2, lambda: not followed.may())


def test_an_api_server_that_still_answers_as_before_is_asked_again_within_two_seconds(
    fake_cluster: FakeCluster, followed: Followed
) -> None:
    followed.start()
    fake_cluster.rights.add(RIGHT)
    assert followed.may()
    fake_cluster.tell(f"{RBAC}/rolebindings", "DELETED", "demo", "pullers")
    asked = len(fake_cluster.reviews)
    within(2, lambda: followed.may() and len(fake_cluster.reviews) > asked)  # told before the API server itself knew
    fake_cluster.rights.remove(RIGHT)
    within(2, lambda: not followed.may())


def test_a_change_of_one_namespace_leaves_what_is_known_of_others(
    fake_cluster: FakeCluster, followed: Followed
) -> None:
    followed.start()
    fake_cluster.rights.add(RIGHT)
    assert followed.may()
    asked = len(fake_cluster.reviews)
    fake_cluster.tell(f"{RBAC}/rolebindings", "ADDED", "other", "pullers")
    fake_cluster.tell(f"{RBAC}/roles", "MODIFIED", "other", "pullers")
    time.sleep(0.2)
    assert followed.may()
    assert len(fake_cluster.reviews) == asked


def test_a_deleted_account_is_refused_within_two_seconds(fake_cluster: FakeCluster, followed: Followed) -> None:
    followed.start()
    name = "system:serviceaccount:demo:builder"
    token = "e30.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6ZGVtbzpidWlsZGVyIn0.c2ln"
    path = "/api/v1/namespaces/demo/serviceaccounts/builder"
    fake_cluster.put(path, {"metadata": {"uid": "u1"}})
    fake_cluster.tokens[token] = ({"username": name, "uid": "u1"}, {"api"})
    assert followed.authenticator.authenticate_token(token).username == name
    assert followed.accounts.uid("demo", "builder") == "u1"
    fake_cluster.tokens.clear()
    del fake_cluster.objects[path]
    fake_cluster.tell("/api/v1/serviceaccounts", "DELETED", "demo", "builder")

    def gone() -> bool:
        try:
            followed.authenticator.authenticate_token(token)
        except InvalidCredentials:
            return followed.accounts.uid("demo", "builder") == ""
        return False

    within(2, gone)


def test_a_namespace_that_was_made_anew_is_another_one_within_two_seconds(
    fake_cluster: FakeCluster, followed: Followed
) -> None:
    followed.start()
    fake_cluster.put("/api/v1/namespaces/demo", {"metadata": {"uid": "old"}})
    assert followed.namespaces.uid("demo") == "old"
    fake_cluster.put("/api/v1/namespaces/demo", {"metadata": {"uid": "new"}})
    fake_cluster.tell("/api/v1/namespaces", "ADDED", "", "demo")
    within(2, lambda: followed.namespaces.uid("demo") == "new")


def test_what_a_broken_watch_may_have_missed_is_forgotten_when_the_cluster_knows_no_more_where_it_was(
    fake_cluster: FakeCluster, followed: Followed
) -> None:
    followed.start()
    fake_cluster.rights.add(RIGHT)
    assert followed.may()
    fake_cluster.rights.remove(RIGHT)
    for collection in COLLECTIONS:
        fake_cluster.tell(collection, "ERROR")  # 410 Gone, as an event
    within(2, lambda: not followed.may())


def test_a_watch_that_is_not_permitted_is_named_once_and_answers_still_end(
    fake_cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(watch_module, "LONGEST_PAUSE", 0.02)
    fake_cluster.watched = set(COLLECTIONS)
    fake_cluster.forbidden = {RBAC}
    told = threading.Event()
    watch = Watch(fake_cluster.client(), f"{RBAC}/rolebindings", lambda _change: told.set(), lambda: None)
    with capture_logs() as logs:
        watch.start()
        within(5, lambda: len(fake_cluster.requests) > 4)
        fake_cluster.forbidden = set()
        assert watch.following.wait(5)
        fake_cluster.tell(f"{RBAC}/rolebindings", "ADDED", "demo", "x")
        assert told.wait(2)
        watch.stop()
    ours = [entry for entry in logs if entry.get("collection") == f"{RBAC}/rolebindings"]
    assert [entry["log_level"] for entry in ours] == ["warning", "info"], logs
    assert "a permission is missing" in ours[0]["reason"]


def test_a_change_that_nobody_foresaw_does_not_hide_all_others(
    fake_cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "FIRST_PAUSE", 0.01)
    fake_cluster.watched = set(COLLECTIONS)
    told, unsure = threading.Event(), threading.Event()

    def changed(change: Change) -> None:
        if change.name == "odd":
            unsure.clear()
            raise OverflowError("int too large to convert to float")
        told.set()

    watch = Watch(fake_cluster.client(), "/api/v1/namespaces", changed, unsure.set)
    watch.start()
    assert watch.following.wait(5)
    fake_cluster.tell("/api/v1/namespaces", "ADDED", "", "odd")
    assert unsure.wait(5), "whoever is told looks at everything again"
    assert watch.following.wait(5)

    def heard() -> bool:  # the connection that broke may still swallow what is told at this moment
        fake_cluster.tell("/api/v1/namespaces", "ADDED", "", "usual")
        return told.wait(0.05)

    within(5, heard)
    watch.stop()


def test_a_watch_goes_on_where_it_was(fake_cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "FIRST_PAUSE", 0.01)
    fake_cluster.watched = set(COLLECTIONS)
    names: list[str] = []
    missed: list[int] = []
    watch = Watch(
        fake_cluster.client(),
        "/api/v1/namespaces",
        lambda change: names.append(change.name),
        lambda: missed.append(1),
    )
    watch.start()
    assert watch.following.wait(5)
    fake_cluster.tell("/api/v1/namespaces", "ADDED", "", "a")
    within(2, lambda: names == ["a"])
    fake_cluster.tell_nobody()
    within(
        2, lambda: sum("namespaces" in path for _, path in fake_cluster.requests) >= 1 and bool(fake_cluster._watchers)
    )
    fake_cluster.tell("/api/v1/namespaces", "ADDED", "", "b")
    within(2, lambda: names == ["a", "b"])
    assert len(missed) == 1, "nothing was missed, so nothing is to be forgotten"
    watch.stop()
