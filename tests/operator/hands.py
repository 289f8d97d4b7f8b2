"""What controllers and kubelets would do, where there are none: Jobs are done, Pods ready, claims bound."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any, Self

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import ClusterUnreachable, KubeError


class Hands:
    """Busy in a thread of its own; ``broken`` Jobs fail, ``idle`` ones never end."""

    others: frozenset[str] = frozenset()
    """Names of Jobs that somebody else does."""
    pause = 0.2
    """Seconds between two looks."""

    def __init__(self, client: ClusterClient, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._stop = threading.Event()
        self.broken = False
        self.idle = False
        self._thread = threading.Thread(target=self._run, name="hands", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._stop.wait(self.pause):
            try:
                self._look()
            except (KubeError, ClusterUnreachable):
                continue

    def _look(self) -> None:
        for job in self._all("batch/v1", "jobs"):
            if (
                not self.idle
                and job["metadata"]["name"] not in self.others
                and not (job.get("status") or {}).get("conditions")
            ):
                self._status("batch/v1", "jobs", job, self._job())
        for deployment in self._all("apps/v1", "deployments"):
            wanted = deployment["spec"]["replicas"]
            status = {
                "observedGeneration": deployment["metadata"]["generation"],
                "replicas": wanted,
                "updatedReplicas": wanted,
                "readyReplicas": wanted,
                "availableReplicas": wanted,
            }
            known = deployment.get("status") or {}
            if any((known.get(name) or 0) != value for name, value in status.items()):
                self._status("apps/v1", "deployments", deployment, status)
        for claim in self._all("v1", "persistentvolumeclaims"):
            if (claim.get("status") or {}).get("phase") != "Bound":
                self._status("v1", "persistentvolumeclaims", claim, {"phase": "Bound"})

    def _job(self) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        words = ("FailureTarget", "Failed") if self.broken else ("SuccessCriteriaMet", "Complete")
        conditions = [
            {"type": word, "status": "True", "reason": "BackoffLimitExceeded", "message": "", "lastTransitionTime": now}
            for word in words
        ]
        ended = {"failed": 1} if self.broken else {"succeeded": 1, "completionTime": now}
        return {"startTime": now, "conditions": conditions, **ended}

    def _all(self, version: str, resource: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._client.get(object_path(version, resource, namespace=self._namespace))[
            "items"
        ]
        return found

    def _status(self, version: str, resource: str, item: dict[str, Any], status: dict[str, Any]) -> None:
        path = object_path(version, resource, item["metadata"]["name"], namespace=self._namespace)
        self._client.merge(f"{path}/status", {"status": status})
