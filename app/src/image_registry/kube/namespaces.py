"""Does a namespace exist, may something new be put into it, and is it still the one that it was?

kube-apiserver's own admission does not see requests to an aggregated API or to the registry, so both doors ask here
before they create anything: an image in a missing namespace would have no owner, one in a terminating namespace would
outlive its end.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.remembered import Presence, Remembered

TERMINATING = "Terminating"


class Namespaces:
    """Thread-safe; answers are remembered for :data:`~image_registry.kube.remembered.REMEMBERED` seconds."""

    def __init__(self, client: ClusterClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._known = Remembered(client, clock)

    def is_active(self, name: str) -> bool:
        """True if it exists and is not on its way out. Raises KubeError and ClusterUnreachable."""
        found = self._at(name)
        return found != Presence() and found.phase != TERMINATING

    def phase(self, name: str) -> str:
        """``Active`` or ``Terminating``, empty if it does not exist. Raises KubeError and ClusterUnreachable."""
        found = self._at(name)
        return "" if found == Presence() else found.phase or "Active"

    def uid(self, name: str) -> str:
        """Its uid, empty if it does not exist. Raises KubeError and ClusterUnreachable."""
        return self._at(name).uid

    def forget(self, name: str = "") -> None:
        """Ask again about this namespace, or about all."""
        self._known.forget(object_path("v1", "namespaces", name) if name else "")

    def _at(self, name: str) -> Presence:
        return self._known.at(object_path("v1", "namespaces", name))
