"""One replica at a time, and never two, whatever their clocks say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from image_registry.kube.events import Events
from image_registry.kube.lease import BELIEVED, DURATION, Lease
from tests.at_once import at_once

if TYPE_CHECKING:
    from tests.conftest import FakeCluster

LEASE = "/apis/coordination.k8s.io/v1/namespaces/system/leases/work"


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def candidate(fake: FakeCluster, name: str, clock: Clock) -> Lease:
    return Lease(fake.client(), "system", "work", name, clock)


def test_the_first_gets_it_and_the_second_waits(fake_cluster: FakeCluster, clock: Clock) -> None:
    first, second = candidate(fake_cluster, "a", clock), candidate(fake_cluster, "b", clock)
    assert not first.held()
    assert first.try_once()
    for _ in range(30):
        clock.now += 2
        assert first.try_once()
        assert not second.try_once()
    spec = fake_cluster.objects[LEASE]["spec"]
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"], spec["leaseTransitions"]) == ("a", DURATION, 0)
    assert spec["acquireTime"] < spec["renewTime"]


def test_who_falls_silent_is_followed_but_not_before_it_knows_itself(fake_cluster: FakeCluster, clock: Clock) -> None:
    first, second = candidate(fake_cluster, "a", clock), candidate(fake_cluster, "b", clock)
    first.try_once()
    begun = clock.now
    while not second.try_once():
        clock.now += 1
        assert clock.now < begun + 60
    assert clock.now - begun > DURATION > BELIEVED
    assert not first.held()
    assert not first.try_once()
    assert fake_cluster.objects[LEASE]["spec"]["leaseTransitions"] == 1


def test_who_leaves_gives_it_back_at_once(fake_cluster: FakeCluster, clock: Clock) -> None:
    first, second = candidate(fake_cluster, "a", clock), candidate(fake_cluster, "b", clock)
    first.try_once()
    second.give_back()
    assert not second.try_once()
    first.give_back()
    assert not first.held()
    assert second.try_once()


def test_without_the_api_server_it_is_held_for_its_time_only(fake_cluster: FakeCluster, clock: Clock) -> None:
    first = candidate(fake_cluster, "a", clock)
    first.try_once()
    fake_cluster.failures = [500] * 10
    clock.now += BELIEVED - 1
    assert first.try_once()
    clock.now += 2
    assert not first.try_once()


def test_of_two_that_try_at_once_one_gets_it(fake_cluster: FakeCluster, clock: Clock) -> None:
    candidates = [candidate(fake_cluster, name, clock) for name in "abcd"]
    assert sum(at_once([one.try_once for one in candidates])) == 1


def test_an_event_stands_at_its_object_and_a_warning_is_not_repeated(fake_cluster: FakeCluster, clock: Clock) -> None:
    written: list[tuple[str, str]] = []
    fake_cluster.before = lambda method, path: written.append((method, path))
    about = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "app", "namespace": "team", "uid": "u", "resourceVersion": "1"},
    }
    fake_cluster.forbidden.add("/api/v1/namespaces/team/events")
    events = Events(fake_cluster.client(), "image-triggers", clock)
    for _ in range(3):
        events.tell(about, "Warning", "Wrong", "x" * 5000)
    assert written == [("POST", "/api/v1/namespaces/team/events")], "told once, and a refusal hinders nothing"
    clock.now += 3601
    events.tell(about, "Warning", "Wrong", "x" * 5000)
    assert len(written) == 2
