"""Nothing that was acknowledged is lost, whatever dies."""

from __future__ import annotations

import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest

from tests.clients.layout import image
from tests.clients.programs import Crane, Refused
from tests.cluster.kubernetes import NAMESPACE, ROOT, CommandFailed, Kubectl, Team

pytestmark = pytest.mark.lab

COMPONENT = "app.kubernetes.io/name"
COMPONENTS = ("image-registry", "image-api-server", "image-registry-db")


def kill(kubectl: Kubectl, component: str) -> None:
    """SIGKILL to the first process of each of the component's containers, from the node, as the kernel would do it."""
    for pod in kubectl.json("-n", NAMESPACE, "get", "pods", "-l", f"{COMPONENT}={component}")["items"]:
        for status in pod["status"]["containerStatuses"]:
            identifier = status["containerID"].removeprefix("containerd://")
            task = ["ctr", "--namespace", "k8s.io", "tasks", "kill", "--signal", "SIGKILL", identifier]
            subprocess.run(
                [ROOT / "lab/lab", "shell", pod["spec"]["nodeName"], *task], check=True, capture_output=True, timeout=30
            )


def restarts(kubectl: Kubectl, component: str) -> int:
    """How often the component's containers have begun anew."""
    pods = kubectl.json("-n", NAMESPACE, "get", "pods", "-l", f"{COMPONENT}={component}")["items"]
    return sum(status["restartCount"] for pod in pods for status in pod["status"].get("containerStatuses", []))


@dataclass
class Pushing:
    """Pushes one new image after the other until told to stop, and remembers what was acknowledged."""

    crane: Crane
    team: Team
    folder: Path
    acknowledged: dict[str, str] = field(default_factory=dict)
    refused: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._push)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def await_more(self, count: int, seconds: float = 180) -> None:
        """Until ``count`` more pushes were acknowledged."""
        wanted, deadline = len(self.acknowledged) + count, time.monotonic() + seconds
        while len(self.acknowledged) < wanted:
            assert time.monotonic() < deadline, f"only {len(self.acknowledged)} pushes; {self.refused} were refused"
            time.sleep(0.05)

    def _push(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            reference = f"{self.team.namespace}/app:{number}"
            made = image(self.folder / str(number), layers=3, size=300_000)
            try:
                self.acknowledged[reference] = self.crane.push(made, reference)
            except Refused:
                self.refused += 1
                time.sleep(0.2)

    def check(self, kubectl: Kubectl) -> None:
        """Every acknowledged push can be pulled, layers and all, and is an object."""
        tags = {
            item["metadata"]["name"]: item["image"]["metadata"]["name"]
            for item in kubectl.json("-n", self.team.namespace, "get", "imagestreamtags")["items"]
        }
        for reference, digest in self.acknowledged.items():
            assert self.crane.pull(reference) == digest
            assert tags[reference.partition("/")[2]] == digest


@pytest.mark.parametrize("component", COMPONENTS)
def test_kill_9_during_pushes_loses_nothing_that_was_acknowledged(
    component: str, crane: Crane, team: Team, kubectl: Kubectl, tmp_path: Path
) -> None:
    before = restarts(kubectl, component)
    with Pushing(crane, team, tmp_path) as pushing:
        pushing.await_more(3)
        kill(kubectl, component)
        pushing.await_more(3)
        kubectl.await_pods(f"{COMPONENT}={component}")
    assert restarts(kubectl, component) > before
    pushing.check(kubectl)


def test_deleting_every_pod_and_waiting_gives_the_same_images_back(
    crane: Crane, team: Team, kubectl: Kubectl, tmp_path: Path
) -> None:
    with Pushing(crane, team, tmp_path) as pushing:
        pushing.await_more(5)
    before = objects(kubectl, team)
    pods = kubectl.names("pods", "-n", NAMESPACE, "-l", f"{COMPONENT} in ({','.join(COMPONENTS)})")
    kubectl("-n", NAMESPACE, "delete", "pod", *pods)
    for component in COMPONENTS:
        kind = "statefulset" if component.endswith("-db") else "deployment"
        kubectl("-n", NAMESPACE, "rollout", "status", f"{kind}/{component}", "--timeout=180s")
    assert not pods & (kubectl.names("pods", "-n", NAMESPACE) - {"image-registry-db-0"})
    deadline = time.monotonic() + 60
    while True:
        try:
            assert objects(kubectl, team) == before
            break
        except CommandFailed:
            assert time.monotonic() < deadline
            time.sleep(1)
    pushing.check(kubectl)


def objects(kubectl: Kubectl, team: Team) -> list[object]:
    """Streams and tags of the team, and their images, word by word."""
    tags: list[object] = kubectl.json("-n", team.namespace, "get", "imagestreams,imagestreamtags")["items"]
    return tags
