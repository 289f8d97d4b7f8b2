"""A namespace with very many tags is deleted without help, also while somebody pushes to it."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import pytest

from image_registry_lab.places import Places, cache
from tests.at_once import at_once
from tests.clients.layout import Layout, image
from tests.clients.programs import Crane, Refused
from tests.cluster.kubernetes import CommandFailed, Kubectl, Team
from tests.cluster.raw import RawApi

pytestmark = pytest.mark.lab

STREAMS, TAGS = 4, 2_500
"""Streams, and tags of each: ten thousand together."""

BOUND = 60
"""Seconds in which the namespace must be gone, with what else runs on two cores."""

PATIENCE = 60
"""Seconds until somebody who pushes has pushed a few times: only with them does the promise begin."""

CONTROLLERS = Places(cache()).logs / "kube-controller-manager.log"


def fill(api: RawApi, team: Team, crane: Crane, layout: Layout) -> None:
    """Let every stream have its tags: all mean the one image that is pushed to it."""
    for number in range(STREAMS):
        digest = crane.push(layout, f"{team.namespace}/large-{number}:v0")
        path = f"/apis/image.alauda.io/v1/namespaces/{team.namespace}/imagestreams/large-{number}"
        stream = api("GET", path).json()
        (first,) = stream["status"]["tags"]
        assert first["items"][0]["image"] == digest
        stream["status"]["tags"] = [{**first, "tag": f"v{tag}"} for tag in range(TAGS)]
        answer = api("PUT", f"{path}/status", stream, timeout=60)
        assert answer.status == 200, answer.body[:500]
        assert len(answer.json()["status"]["tags"]) == TAGS


class Pushing:
    """Pushes new tags until it is told to stop; counts what worked and keeps what was said to the rest."""

    def __init__(self, crane: Crane, team: Team, layout: Layout) -> None:
        self._crane, self._team, self._layout = crane, team, layout
        self._over = threading.Event()
        self.done = 0
        self.refusals: list[str] = []

    def run(self) -> None:
        while not self._over.is_set():
            try:
                self._crane.push(self._layout, f"{self._team.namespace}/pushed-{self.done % 5}:v{self.done}")
                self.done += 1
            except Refused as error:
                self.refusals.append(str(error))
                time.sleep(0.2)

    def stop(self) -> None:
        self._over.set()


@pytest.mark.parity(5)
def test_a_namespace_of_ten_thousand_tags_goes_while_somebody_pushes(
    kubectl: Kubectl, team: Team, crane: Crane, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    api = RawApi(kubectl.kubeconfig, tmp_path)
    layout = image(tmp_path / "image")
    fill(api, team, crane, layout)
    said = CONTROLLERS.stat().st_size
    pushing = Pushing(crane, team, layout)
    took: list[float] = []

    def delete() -> None:
        try:
            deadline = time.monotonic() + PATIENCE
            while pushing.done < 3:
                assert time.monotonic() < deadline, pushing.refusals
                time.sleep(0.1)
            began = time.monotonic()
            kubectl("delete", "namespace", team.namespace, f"--timeout={BOUND}s", timeout=BOUND + 10)
            took.append(time.monotonic() - began)
        finally:
            pushing.stop()

    at_once([pushing.run, delete], patience=PATIENCE + BOUND + 40)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{STREAMS * TAGS:,} tags and {pushing.done} pushes: the namespace was gone after {took[0]:.1f} s\n"
        )
    answer = api("GET", f"/apis/image.alauda.io/v1/imagestreams?fieldSelector=metadata.namespace%3D{team.namespace}")
    assert answer.json()["items"] == []
    with pytest.raises(CommandFailed, match="NotFound"):
        kubectl("get", "namespace", team.namespace)
    with CONTROLLERS.open("rb") as log:
        log.seek(said)
        lines = [line for line in log.read().decode(errors="replace").splitlines() if "image.alauda.io" in line]
    assert [line for line in lines if line.startswith(("E", "W")) or "rror" in line] == []
