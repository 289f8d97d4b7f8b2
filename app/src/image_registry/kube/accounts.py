"""Is this ServiceAccount still there, and still the same one?"""

from __future__ import annotations

import time
from collections.abc import Callable

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.remembered import Remembered


class ServiceAccounts:
    """Thread-safe; answers are remembered for :data:`~image_registry.kube.remembered.REMEMBERED` seconds."""

    def __init__(self, client: ClusterClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._known = Remembered(client, clock)

    def uid(self, namespace: str, name: str) -> str:
        """Its uid, empty if it does not exist. Raises KubeError and ClusterUnreachable."""
        return self._known.at(_path(namespace, name)).uid

    def forget(self, namespace: str = "", name: str = "") -> None:
        """Ask again about this account, or about all."""
        self._known.forget(_path(namespace, name) if name else "")


def _path(namespace: str, name: str) -> str:
    return object_path("v1", "serviceaccounts", name, namespace=namespace)
