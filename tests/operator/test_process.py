"""``image-registry operator`` as a process: one of two leads, tells how it is, reacts, and leaves politely."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from image_registry.kube.client import object_path
from image_registry.operator.operand import CONFIG
from image_registry.server.operator_process import CLUSTER_WIDE, NAMESPACED, STUCK, Pulse
from tests.operator.conftest import NAMESPACE, ApiServer
from tests.operator.processes import Process, until

LEASE = object_path("coordination.k8s.io/v1", "leases", "cluster-image-registry-operator", namespace=NAMESPACE)

WATCHED = len(NAMESPACED) + len(CLUSTER_WIDE)


@pytest.fixture
def config(apiserver: ApiServer, configs: str) -> Iterator[dict[str, Any]]:
    body = {"apiVersion": "imageregistry.operator.alauda.io/v1", "kind": "Config", "metadata": {"name": "cluster"}}
    yield apiserver.client.create(configs, {**body, "spec": {}})
    apiserver.client.delete(CONFIG)


@pytest.mark.usefixtures("config")
def test_two_replicas_one_leads_the_other_takes_over(apiserver: ApiServer, operator: ApiServer, tmp_path: Path) -> None:
    def observed() -> int:
        return int((apiserver.client.get(CONFIG).get("status") or {}).get("observedGeneration") or 0)

    first = Process(operator, tmp_path, "first")
    second: Process | None = None
    try:
        until(first.leads, "leading", first)
        until(lambda: observed() == 1, "a status", first)
        second = Process(operator, tmp_path, "second")
        began = time.monotonic()
        apiserver.client.merge(CONFIG, {"spec": {"logLevel": "Debug"}})
        until(lambda: observed() == apiserver.client.get(CONFIG)["metadata"]["generation"] > 1, "a reaction", first)
        assert time.monotonic() - began < 15, "told by a watch, not found at the next pass"
        all_of_them = f"image_registry_operator_watches {WATCHED}.0"
        until(lambda: all_of_them in first.asked("/metrics")[1], "all watches", first)
        assert first.asked("/healthz") == (200, "ok\n")
        until(second.answers, "ready", second)
        assert not second.leads()
        first.child.send_signal(signal.SIGTERM)
        assert first.child.wait(20) == 0
        until(second.leads, "leading", first, second)
        second.child.send_signal(signal.SIGTERM)
        assert second.child.wait(20) == 0
        assert apiserver.client.get(LEASE)["spec"].get("holderIdentity", "") == ""
    finally:
        for one in (first, second):
            if one is not None and one.child.poll() is None:
                one.child.kill()
                one.child.wait(10)


@pytest.mark.usefixtures("config")
def test_how_much_it_tells_follows_the_object_without_a_restart(
    apiserver: ApiServer, operator: ApiServer, tmp_path: Path
) -> None:
    def lines(event: str) -> list[dict[str, Any]]:
        told = [json.loads(line) for line in process.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in told if line["event"] == event]

    with Process(operator, tmp_path, "told") as process:
        until(process.leads, "leading", process)
        apiserver.client.merge(CONFIG, {"spec": {"operatorLogLevel": "Debug"}})
        until(lambda: bool(lines("a pass")), "telling of passes", process)
        assert {line["level"] for line in lines("a pass")} == {"debug"}
        apiserver.client.merge(CONFIG, {"spec": {"operatorLogLevel": None}})
        until(lambda: len(lines("the log level changes")) == 2, "quiet again", process)
    assert [line["now"] for line in lines("the log level changes")] == ["Debug", "Normal"]


class Told:
    """A watch that follows or not."""

    def __init__(self, *, following: bool) -> None:
        self.following = self
        self._set = following

    def is_set(self) -> bool:
        return self._set


def test_liveness_catches_a_pass_that_hangs_and_a_watch_that_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    pulse = Pulse()
    dead: Any = Told(following=False)
    alive: Any = Told(following=True)
    now += STUCK + 1
    assert pulse.stuck() == "", "whoever waits for the lease makes no passes"
    pulse.leads = True
    assert "no pass" in pulse.stuck()
    assert pulse.beat([alive, alive]) == 2
    assert pulse.stuck() == ""
    now += STUCK + 1
    assert pulse.beat([alive, dead]) == 1
    assert "a watch has told nothing" in pulse.stuck()
    pulse.beat([alive, alive])
    assert pulse.stuck() == ""
