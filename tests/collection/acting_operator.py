"""What the operator would say of its objects, where there is none: a named fake that answers each change at once.

Of what it would do it does one thing: the Deployment, where there is one, mounts the claim that the Config names.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any, Self

from image_registry.kube.client import ClusterClient
from image_registry.kube.errors import ClusterUnreachable, KubeError

DEPLOYMENT = "/apis/apps/v1/namespaces/image-registry-system/deployments/image-registry"
ROOT = "/apis/imageregistry.operator.alauda.io/v1"
WELL = {"Available": ("True", "Ready"), "Progressing": ("False", "Ready"), "Degraded": ("False", "AsExpected")}
SCHEDULED = {"Available": ("True", "AsExpected"), "Scheduled": ("True", "Scheduled")}


class ActingOperator:
    """Says that all is well, or what ``says`` holds, of each generation; ``idle`` it says nothing."""

    def __init__(self, client: ClusterClient) -> None:
        self._client = client
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="acting operator", daemon=True)
        self.says: dict[str, tuple[str, str]] = dict(WELL)
        self.idle = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._over.wait(0.05):
            if self.idle:
                continue
            try:
                self._answer(f"{ROOT}/configs/cluster", self.says)
                self._answer(f"{ROOT}/imagepruners/cluster", SCHEDULED)
            except (KubeError, ClusterUnreachable):
                continue

    def _answer(self, path: str, says: dict[str, tuple[str, str]]) -> None:
        item = self._client.find(path)
        if item is None:
            return
        status = item.get("status") or {}
        said = {one["type"]: (one["status"], one["reason"]) for one in status.get("conditions") or []}
        generation = item["metadata"]["generation"]
        if status.get("observedGeneration") == generation and said == says:
            return
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        told: dict[str, Any] = {
            "observedGeneration": generation,
            "conditions": [
                {
                    "type": kind,
                    "status": value,
                    "reason": reason,
                    "message": f"{kind}: {reason}",
                    "lastTransitionTime": now,
                }
                for kind, (value, reason) in says.items()
            ],
        }
        spec = item["spec"]
        if path.endswith("configs/cluster"):
            self._mount((spec.get("storage") or {}).get("pvc"))
            told["storage"] = spec.get("storage")
            told["routes"] = [
                {"name": one["name"], "hostname": one["hostname"], "kind": "Ingress", "admitted": True}
                for one in spec.get("routes") or []
            ]
        self._client.merge(f"{path}/status", {"status": told})

    def _mount(self, settings: dict[str, Any] | None) -> None:
        found = self._client.find(DEPLOYMENT)
        if found is None or settings is None:
            return
        name = settings.get("claim") or "image-registry-storage"
        for volume in found["spec"]["template"]["spec"].get("volumes") or []:
            if volume.get("persistentVolumeClaim", {"claimName": name})["claimName"] != name:
                volume["persistentVolumeClaim"]["claimName"] = name
                self._client.replace(DEPLOYMENT, found)
