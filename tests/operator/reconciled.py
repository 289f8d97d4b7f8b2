"""The reconciler turned by hand, with the real Helm, on a real kube-apiserver."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from image_registry.kube.client import ClusterClient, object_path
from image_registry.operator.operand import CONFIG
from image_registry.operator.reconciler import Reconciler
from tests.operator.hands import Hands

NAMESPACE = "image-registry-system"
PATIENCE = 60.0


@dataclass
class Cluster:
    """The reconciler under test and the cluster that it works on."""

    client: ClusterClient
    reconciler: Reconciler
    hands: Hands

    def path(self, version: str, resource: str, name: str = "") -> str:
        return object_path(version, resource, name, namespace=NAMESPACE)

    def find(self, version: str, resource: str, name: str) -> dict[str, Any] | None:
        return self.client.find(self.path(version, resource, name))

    def change(self, **spec: Any) -> None:
        self.client.merge(CONFIG, {"spec": spec})

    def config(self) -> dict[str, Any]:
        return self.client.get(CONFIG)

    def said(self) -> dict[str, str]:
        found = self.config().get("status", {}).get("conditions", [])
        return {item["type"]: f"{item['status']} {item['reason']}" for item in found}

    def message(self, kind: str) -> str:
        found = self.config()["status"]["conditions"]
        return next(str(item["message"]) for item in found if item["type"] == kind)

    def until(self, true: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            pause = self.reconciler.turn()
            if true():
                return
            if time.monotonic() > deadline:
                pytest.fail(f"not {what} within {PATIENCE:g} s: {self.config().get('status')}")
            time.sleep(min(pause, 0.3))

    def settle(self) -> None:
        """Until nothing is under way and the status is about this generation."""

        def settled() -> bool:
            config = self.config()
            ours = config.get("status", {}).get("observedGeneration") == config["metadata"]["generation"]
            return ours and self.said()["Progressing"].startswith("False")

        self.until(settled, "settled")

    def revision(self) -> int:
        return int(self.config()["status"]["latestAvailableRevision"])

    def events(self) -> set[str]:
        return {item["reason"] for item in self.client.get(object_path("v1", "events", namespace="default"))["items"]}
