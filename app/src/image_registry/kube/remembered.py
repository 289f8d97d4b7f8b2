"""What the cluster said about an object a moment ago: its uid, and whether it is going away."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from image_registry.kube.client import ClusterClient
from image_registry.kube.no_waiting import require_waiting

REMEMBERED = 10.0
"""Seconds for which an answer is good."""

SIZE = 4096
"""Answers kept of each kind."""

TIMEOUT = 5.0
"""Seconds: somebody waits for the answer."""


@dataclass(frozen=True, slots=True)
class Presence:
    """An object as far as access depends on it; ``uid`` is empty if there is none."""

    uid: str = ""
    phase: str = ""


class Remembered:
    """Thread-safe; several threads that ask for the same unknown object at once each ask the API server."""

    def __init__(self, client: ClusterClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._answers: OrderedDict[str, tuple[Presence, float]] = OrderedDict()
        self._generation = 0

    def at(self, path: str) -> Presence:
        """The object at ``path``. Raises KubeError and ClusterUnreachable."""
        with self._lock:
            known = self._answers.get(path)
            generation = self._generation
        if known is not None and known[1] > self._clock():
            return known[0]
        require_waiting()
        found = self._client.find(path, timeout=TIMEOUT)
        presence = Presence()
        if found is not None:
            phase = (found.get("status") or {}).get("phase")
            presence = Presence(str((found.get("metadata") or {}).get("uid") or ""), str(phase or ""))
        with self._lock:
            if generation == self._generation:
                self._answers[path] = (presence, self._clock() + REMEMBERED)
                self._answers.move_to_end(path)
                while len(self._answers) > SIZE:
                    self._answers.popitem(last=False)
        return presence

    def forget(self, path: str = "") -> None:
        """Ask again about this object, or about all; an answer that is under way is given, but not remembered."""
        with self._lock:
            self._generation += 1
            if path:
                self._answers.pop(path, None)
            else:
                self._answers.clear()
