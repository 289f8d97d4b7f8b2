"""Whom the api-server believes when somebody claims to speak for a user."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from image_registry.kube.client import ClusterClient
from image_registry.kube.errors import ClusterUnreachable, KubeError
from image_registry.kube.front_proxy import (
    PATH,
    REFRESH,
    AggregationUnavailable,
    FollowedTrust,
    FrontProxyTrust,
    read,
    wait,
)

if TYPE_CHECKING:
    from tests.conftest import FakeCluster

CA = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"
DATA = {
    "requestheader-client-ca-file": CA,
    "requestheader-allowed-names": json.dumps(["front-proxy-client"]),
    "requestheader-username-headers": json.dumps(["X-Remote-User", "X-User"]),
    "requestheader-group-headers": json.dumps(["X-Group"]),
    "requestheader-extra-headers-prefix": json.dumps(["X-Extra-"]),
}


def test_names_and_headers_come_from_the_cluster(fake_cluster: FakeCluster) -> None:
    fake_cluster.put(PATH, {"data": DATA})
    trust = read(fake_cluster.client())
    assert trust.ca == CA
    assert trust.username_headers == ("X-Remote-User", "X-User")
    assert trust.group_headers == ("X-Group",)
    assert trust.extra_header_prefixes == ("X-Extra-",)
    assert trust.uid_headers == ("X-Remote-Uid",)
    assert trust.allows("front-proxy-client")
    assert not trust.allows("somebody")


@pytest.mark.parity(2)
def test_without_a_verified_certificate_nobody_is_believed() -> None:
    assert not FrontProxyTrust.parse({"requestheader-client-ca-file": CA}).allows(None)


def test_no_allowed_names_means_any_certificate_of_the_ca() -> None:
    trust = FrontProxyTrust.parse({**DATA, "requestheader-allowed-names": "[]"})
    assert trust.allows("anybody")


@pytest.mark.parametrize("names", ["front-proxy-client", "{}", '["a", 1]', "null"])
def test_damaged_allowed_names_never_mean_any(names: str) -> None:
    with pytest.raises(AggregationUnavailable, match="requestheader-allowed-names"):
        FrontProxyTrust.parse({**DATA, "requestheader-allowed-names": names})


def test_a_cluster_without_aggregation_is_told_what_it_lacks(fake_cluster: FakeCluster) -> None:
    fake_cluster.put(PATH, {"data": {"client-ca-file": CA}})
    with pytest.raises(AggregationUnavailable, match="--requestheader-client-ca-file"):
        read(fake_cluster.client())


@pytest.mark.parity(2)
def test_a_rotated_ca_is_noticed_and_an_outage_keeps_the_last_one(fake_cluster: FakeCluster) -> None:
    now = [0.0]
    fake_cluster.put(PATH, {"data": DATA})
    trust = FollowedTrust(fake_cluster.client(), lambda: now[0])
    fake_cluster.put(PATH, {"data": {**DATA, "requestheader-client-ca-file": CA * 2}})
    assert trust().ca == CA
    now[0] += REFRESH
    assert trust().ca == CA * 2
    fake_cluster.stop()
    now[0] += REFRESH
    assert trust().ca == CA * 2


class Waking:
    """A cluster that gives these answers, one after the other, and moves a clock when it is waited for."""

    def __init__(self, *answers: dict[str, Any] | Exception | None) -> None:
        self.answers = list(answers)
        self.now = 0.0

    def find(self, _: str) -> dict[str, Any] | None:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def wait(self, seconds: float) -> FrontProxyTrust:
        return wait(cast("ClusterClient", self), seconds, lambda: self.now, self.sleep)


AWAY, STARTING = ClusterUnreachable("away"), KubeError(503, "ServiceUnavailable", "starting")


def test_a_start_waits_for_a_cluster_that_wakes_up() -> None:
    assert Waking(AWAY, STARTING, AWAY, {"data": DATA}).wait(60).ca == CA


def test_a_start_does_not_wait_for_ever() -> None:
    cluster = Waking(*[AWAY] * 100)
    with pytest.raises(ClusterUnreachable):
        cluster.wait(60)
    assert 60 <= cluster.now < 63


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (KubeError(403, "Forbidden", "a permission is missing"), KubeError),
        ({"data": {}}, AggregationUnavailable),
        (None, AggregationUnavailable),
    ],
    ids=["forbidden", "no aggregation layer", "no ConfigMap"],
)
def test_a_start_ends_at_once_for_what_time_does_not_cure(
    answer: dict[str, Any] | Exception | None, said: type[Exception]
) -> None:
    with pytest.raises(said):
        Waking(answer).wait(60)
