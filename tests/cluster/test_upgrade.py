"""An upgrade of the release is not noticed by the rest of the cluster."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest

from image_registry.kube.client import ClusterClient
from image_registry.kube.errors import ClusterUnreachable, KubeError
from tests.cluster.kubernetes import NAMESPACE, Helm, Kubectl

pytestmark = pytest.mark.lab

API_SERVICE = "/apis/apiregistration.k8s.io/v1/apiservices/v1.image.alauda.io"


@dataclass
class Watch:
    """Asks many times a second whether the Image API answers, and keeps each no."""

    client: ClusterClient
    path: str
    asked: int = 0
    failures: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self._run) for _ in range(2)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                status = self.client.get(API_SERVICE)["status"]["conditions"]
                if not any(item["type"] == "Available" and item["status"] == "True" for item in status):
                    self.failures.append(f"the APIService says {status}")
                self.client.get(self.path)
            except (KubeError, ClusterUnreachable) as error:
                self.failures.append(str(error))
            self.asked += 1
            time.sleep(0.05)


@pytest.mark.parity(1)
@pytest.mark.parametrize("path", ["/apis/image.alauda.io/v1", "/apis/image.alauda.io/v1/imagestreams"])
def test_the_image_api_answers_all_through_an_upgrade(path: str, kubectl: Kubectl, lab_kubeconfig: Path) -> None:
    pods = kubectl.names("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=image-api-server")
    change = ["--set-string", f"podAnnotations.test-of-upgrades={secrets.token_hex(4)}"]
    with Watch(ClusterClient.from_kubeconfig(lab_kubeconfig), path) as watch:
        Helm(lab_kubeconfig).upgrade("--reuse-values", "--wait", *change)
        deadline = time.monotonic() + 120
        while pods & kubectl.names("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=image-api-server"):
            assert time.monotonic() < deadline, "the old Pods do not leave"
            time.sleep(0.5)
    assert watch.asked > 50
    assert watch.failures == []
