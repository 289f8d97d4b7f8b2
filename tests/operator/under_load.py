"""People who pull and push all the time, and one who asks the Image API: what an upgrade must not be noticed by."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from image_registry.kube.client import ClusterClient
from image_registry.kube.errors import ClusterUnreachable, KubeError
from tests.clients.programs import Crane, Refused

API_SERVICE = "/apis/apiregistration.k8s.io/v1/apiservices/v1.image.alauda.io"
PAUSE = 1.0
"""Seconds between two pulls and between two pushes: a lab on two cores has to start the new version beside them."""

API = "/apis/image.alauda.io/v1/imagestreams"


@dataclass
class Load:
    """Runs while it is used; afterwards ``failed`` should be empty, and every one of ``pushed`` must be there."""

    crane: Crane
    client: ClusterClient
    archive: str
    namespace: str
    pulled: int = 0
    pushed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    outages: list[float] = field(default_factory=list)
    """Seconds from the first no of the Image API, or of its APIService, to the next yes."""
    asked: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=one, daemon=True) for one in (self._pulls, self._pushes, self._asks)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _pulls(self) -> None:
        def pull() -> None:
            self.crane.pull(f"{self.namespace}/hello:1")
            self.pulled += 1

        self._again_and_again(pull)

    def _pushes(self) -> None:
        numbers = itertools.count()

        def push() -> None:
            target = f"{self.namespace}/load{next(numbers)}:1"
            self.crane.run("push", self.archive, self.crane.at(target))
            self.pushed.append(target)

        self._again_and_again(push)

    def _again_and_again(self, work: Callable[[], None]) -> None:
        while not self._stop.is_set():
            began = time.strftime("%H:%M:%S")
            try:
                work()
            except Refused as error:
                self.failed.append(f"{began} {error}")
            time.sleep(PAUSE)

    def _asks(self) -> None:
        since = 0.0
        while not self._stop.is_set():
            try:
                conditions = self.client.get(API_SERVICE)["status"]["conditions"]
                well = any(item["type"] == "Available" and item["status"] == "True" for item in conditions)
                self.client.get(API)
            except (KubeError, ClusterUnreachable):
                well = False
            now = time.monotonic()
            self.asked += 1
            if not well and not since:
                since = now
            elif well and since:
                self.outages.append(now - since)
                since = 0.0
            time.sleep(0.1)
        if since:
            self.outages.append(time.monotonic() - since)
