"""Who watches misses nothing and hears nothing twice, whatever restarts meanwhile."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from tests.cluster.informer import Informer
from tests.cluster.kubernetes import NAMESPACE, CommandFailed, Kubectl, Team
from tests.cluster.raw import RawApi

pytestmark = pytest.mark.lab

NAME = "app.kubernetes.io/name"
PATIENCE = 120
WATCHES = 200
SETTLE = 8
"""Seconds in which all of them begin, on two cores."""
SOON = 5.0
"""Seconds; a quiet machine needs a fraction of one, and tests are seldom alone."""


@pytest.mark.parity(7)
def test_an_informer_sees_every_stream_through_restarts_of_servers_and_database(
    kubectl: Kubectl, team: Team, tmp_path: Path
) -> None:
    api = RawApi(kubectl.kubeconfig, tmp_path)
    path = f"/apis/image.alauda.io/v1/namespaces/{team.namespace}/imagestreams"
    informer = Informer(api, path)
    informer.start()
    for number in range(36):
        if number == 9:
            kubectl("-n", NAMESPACE, "delete", "pods", "-l", f"{NAME}=image-api-server", "--wait=false")
        if number == 21:
            kubectl("-n", NAMESPACE, "delete", "pods", "-l", f"{NAME}=image-registry-db", "--wait=false")
        body = {"apiVersion": "image.alauda.io/v1", "kind": "ImageStream", "metadata": {"name": f"app{number}"}}
        insist(api, "POST", path, body, {201, 409})
        if number % 3 == 0:
            insist(api, "DELETE", f"{path}/app{number}", None, {200, 404})
    kubectl("-n", NAMESPACE, "rollout", "status", "deployment/image-api-server", "--timeout=180s")
    wanted = {f"app{number}" for number in range(36) if number % 3}
    deadline = time.monotonic() + PATIENCE
    while set(informer.objects) != wanted and time.monotonic() < deadline:
        time.sleep(0.2)
    informer.leave()
    listed = api("GET", path).json()["items"]
    assert informer.objects == {item["metadata"]["name"]: item for item in listed}
    assert set(informer.objects) == wanted
    assert informer.doubled == []
    assert informer.lists == 1, "it never had to begin again"
    assert informer.watches > 1


def insist(api: RawApi, method: str, path: str, body: dict[str, object] | None, good: set[int]) -> None:
    """As a controller does: until it works."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            answer = api(method, path, body)
            if answer.status in good:
                return
            said = f"{answer.status} {answer.body[:200]!r}"
        except OSError as error:
            said = str(error)
        if time.monotonic() > deadline:
            raise CommandFailed(f"{method} {path}: {said}")
        time.sleep(0.2)


def test_two_hundred_who_watch_hear_of_a_change_together(kubectl: Kubectl, team: Team, tmp_path: Path) -> None:
    api = RawApi(kubectl.kubeconfig, tmp_path)
    path = f"/apis/image.alauda.io/v1/namespaces/{team.namespace}/imagestreams"
    heard: list[float] = []

    def listen() -> None:
        version = api("GET", path).json()["metadata"]["resourceVersion"]
        for _ in api.lines(f"{path}?watch=true&resourceVersion={version}&timeoutSeconds=40", timeout=60):
            heard.append(time.monotonic())
            return

    listeners = [threading.Thread(target=listen, daemon=True) for _ in range(WATCHES)]
    for listener in listeners:
        listener.start()
    time.sleep(SETTLE)
    body = {"apiVersion": "image.alauda.io/v1", "kind": "ImageStream", "metadata": {"name": "app"}}
    began = time.monotonic()
    insist(api, "POST", path, body, {201})
    for listener in listeners:
        listener.join(max(0.0, began + 30 - time.monotonic()))
    assert len(heard) == WATCHES
    assert max(heard) - began < SOON
