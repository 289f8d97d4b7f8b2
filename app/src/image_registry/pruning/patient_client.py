"""Requests of a run that changes things: sent again when the server could not serve, never over somebody's change."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from image_registry.kube.client import ClusterClient
from image_registry.kube.errors import ClusterUnreachable, KubeError

CONFLICTS = 5
"""How often a stream is read again that somebody else changes all the time."""

PAUSES = (1.0, 3.0, 9.0)
"""Seconds before a request is sent again that the server could not serve just then."""


class PatientClient:
    """Of one run. Every method raises KubeError, ClusterUnreachable."""

    def __init__(self, client: ClusterClient, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client, self._sleep = client, sleep

    def ask(self, method: Any, path: str, body: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """The answer, ``None`` for what is not there; again after a while when the server cannot serve just then."""
        for pause in (*PAUSES, None):
            try:
                return self._client.request(method, path, body)
            except KubeError as error:
                if error.not_found:
                    return None
                if not error.passing or pause is None:
                    raise
            except ClusterUnreachable:
                if pause is None:
                    raise
            self._sleep(pause)
        return None

    def remove(self, path: str, may_go: Callable[[dict[str, Any]], bool]) -> bool:
        """Delete what may go as it is now; false if it stays. What is not there any more is gone.

        Raises ValueError where somebody else changes it all the time.
        """
        for _ in range(CONFLICTS):
            document = self.ask("GET", path)
            if document is None:
                return True
            if not may_go(document):
                return False
            metadata = document["metadata"]
            preconditions = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
            try:
                self.ask("DELETE", path, {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": preconditions})
            except KubeError as error:
                if not error.conflict:
                    raise
                if _needed(error):
                    return False
                continue
            return True
        raise ValueError("somebody else changes it all the time; run again")


def _needed(error: KubeError) -> bool:
    """A conflict because something needs it, not because it has changed."""
    return "delete that first" in error.message or "delete its tags" in error.message
