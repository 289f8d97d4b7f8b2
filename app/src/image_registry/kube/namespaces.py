"""Does a namespace exist, and may something new be put into it?

kube-apiserver's own admission does not see requests to an aggregated API or to the registry, so both doors ask here
before they create anything: an image in a missing namespace would have no owner, one in a terminating namespace would
outlive its end.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from image_registry.kube.client import ClusterClient, object_path

REMEMBERED = 10.0
"""Seconds for which an answer is good."""

SIZE = 4096
"""Answers kept."""


class Namespaces:
    """Thread-safe; several threads that ask for the same unknown namespace at once each ask the API server."""

    def __init__(self, client: ClusterClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._answers: OrderedDict[str, tuple[bool, float]] = OrderedDict()

    def is_active(self, name: str) -> bool:
        """True if it exists and is not on its way out. Raises KubeError and ClusterUnreachable."""
        with self._lock:
            active, until = self._answers.get(name, (False, 0.0))
        if until > self._clock():
            return active
        found = self._client.find(object_path("v1", "namespaces", name), timeout=5.0)
        active = found is not None and (found.get("status") or {}).get("phase") != "Terminating"
        with self._lock:
            self._answers[name] = (active, self._clock() + REMEMBERED)
            self._answers.move_to_end(name)
            while len(self._answers) > SIZE:
                self._answers.popitem(last=False)
        return active
