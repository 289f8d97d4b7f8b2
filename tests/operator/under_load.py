"""People who pull and push all the time, and one who asks the Image API: what an upgrade must not be noticed by."""

from __future__ import annotations

import itertools
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import urllib3

from image_registry.kube import endpoint
from tests.clients.programs import Crane, Refused

API_SERVICE = "/apis/apiregistration.k8s.io/v1/apiservices/v1.image.alauda.io"
API = "/apis/image.alauda.io/v1/imagestreams"
PAUSE = 0.5
"""Seconds between two pulls and between two pushes: a lab on two cores has to start the new version beside them."""


@dataclass
class Load:
    """Runs while it is used; afterwards ``failed`` should be empty, and every one of ``pushed`` must be there."""

    crane: Crane
    kubeconfig: Path
    archive: str
    namespace: str
    pulled: int = 0
    pushed: dict[str, str] = field(default_factory=dict)
    """Digest by reference, as they were acknowledged."""
    failed: list[str] = field(default_factory=list)
    outages: list[float] = field(default_factory=list)
    """Seconds from the first question that the Image API did not answer well to its next good answer."""
    asked: int = 0
    slowest: float = 0.0
    """Seconds of the good answer that took longest."""
    refusals: list[str] = field(default_factory=list)
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

    def lost(self) -> list[str]:
        """What was acknowledged and is not there as it was pushed."""
        return [target for target, digest in self.pushed.items() if self.crane.pull(target) != digest]

    def figures(self) -> str:
        """For people."""
        return (
            f"{self.pulled} pulls and {len(self.pushed)} pushes, {len(self.failed)} failed; Image API asked "
            f"{self.asked} times, {len(self.outages)} outages, the longest {max(self.outages, default=0.0):.2f} s, "
            f"the slowest answer {self.slowest:.2f} s"
        )

    def _pulls(self) -> None:
        def pull() -> None:
            self.crane.pull(f"{self.namespace}/hello:1")
            self.pulled += 1

        self._again_and_again(pull)

    def _pushes(self) -> None:
        numbers = itertools.count()

        def push() -> None:
            target = f"{self.namespace}/load{next(numbers)}:1"
            said = self.crane.run("push", self.archive, self.crane.at(target))
            self.pushed[target] = said.strip().rpartition("@")[2]

        self._again_and_again(push)

    def _again_and_again(self, work: Callable[[], None]) -> None:
        while not self._stop.is_set():
            began = time.strftime("%H:%M:%S")
            try:
                work()
            except (Refused, subprocess.TimeoutExpired) as error:
                self.failed.append(f"{began} {error}")
            self._stop.wait(PAUSE)

    def _asks(self) -> None:
        """Each question is asked once: what a client tries again by itself would be hidden."""
        where = endpoint.from_kubeconfig(self.kubeconfig)
        connections = urllib3.PoolManager(ssl_context=where.context(), retries=False, timeout=10)
        since = 0.0
        while not self._stop.is_set():
            began = time.monotonic()
            why = self._refusal(connections, where.server)
            now = time.monotonic()
            self.asked += 1
            if why:
                self.refusals.append(f"{time.strftime('%H:%M:%S')} {why}")
                since = since or began
            else:
                self.slowest = max(self.slowest, now - began)
                if since:
                    self.outages.append(now - since)
                    since = 0.0
            self._stop.wait(0.1)
        if since:
            self.outages.append(time.monotonic() - since)

    def _refusal(self, connections: urllib3.PoolManager, server: str) -> str:
        try:
            status = connections.request("GET", server + API_SERVICE).json()["status"]
            for condition in status["conditions"]:
                if condition["type"] == "Available" and condition["status"] != "True":
                    return f"{condition['reason']}: {condition['message']}"
            answer = connections.request("GET", server + API)
        except (urllib3.exceptions.HTTPError, ValueError, KeyError) as error:
            return repr(error)
        return "" if answer.status == 200 else f"{answer.status} {answer.data[:300]!r}"
