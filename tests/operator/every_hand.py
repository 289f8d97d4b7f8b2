"""Controllers of a whole cluster, where there are none: the named fake of ``hands`` for all namespaces."""

from __future__ import annotations

from typing import Any

from image_registry.kube.client import object_path
from tests.operator.hands import Hands


class EveryHands(Hands):
    """The named fake of controllers, for all namespaces; what is deleted is not in use."""

    def _look(self) -> None:
        super()._look()
        for item in self._all("apps/v1", "statefulsets"):
            wanted, seen = item["spec"]["replicas"], item["metadata"]["generation"]
            if (item.get("status") or {}).get("observedGeneration") != seen:
                names = ("replicas", "readyReplicas", "updatedReplicas", "currentReplicas", "availableReplicas")
                status = {"observedGeneration": seen, **dict.fromkeys(names, wanted)}
                revision = {"currentRevision": "1", "updateRevision": "1"}
                self._status("apps/v1", "statefulsets", item, {**status, **revision})
        for item in self._all("apps/v1", "daemonsets"):
            seen = item["metadata"]["generation"]
            if (item.get("status") or {}).get("observedGeneration") != seen:
                names = ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady")
                self._status("apps/v1", "daemonsets", item, {"observedGeneration": seen, **dict.fromkeys(names, 0)})
        for version, resource in (("v1", "persistentvolumeclaims"), ("v1", "persistentvolumes")):
            for item in self._all(version, resource):
                if item["metadata"].get("deletionTimestamp"):
                    place = object_path(
                        version, resource, item["metadata"]["name"], namespace=item["metadata"].get("namespace", "")
                    )
                    self._client.merge(place, {"metadata": {"finalizers": None}})
                elif resource == "persistentvolumes" and item["status"].get("phase") != "Bound":
                    path = object_path(version, resource, item["metadata"]["name"])
                    self._client.merge(f"{path}/status", {"status": {"phase": "Bound"}})

    def _status(self, version: str, resource: str, item: dict[str, Any], status: dict[str, Any]) -> None:
        path = object_path(version, resource, item["metadata"]["name"], namespace=item["metadata"]["namespace"])
        self._client.merge(f"{path}/status", {"status": status})
