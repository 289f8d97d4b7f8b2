"""Events of Config: what the operator did and what a person has to do, where ``kubectl describe`` shows it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import structlog

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import ClusterUnreachable, KubeError

COMPONENT = "cluster-image-registry-operator"
NAMESPACE = "default"
"""Where Events of objects without a namespace are, as the API server demands."""

AGAIN = timedelta(minutes=10)
"""How long the same sentence is not said again."""


class Events:
    """Never in the way: an Event that cannot be written is only logged."""

    def __init__(self, client: ClusterClient, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._client = client
        self._clock = clock
        self._said: dict[tuple[str, str], datetime] = {}

    def say(self, about: Mapping[str, Any], kind: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        """Write one Event about Config, unless it was written a short while ago."""
        now = self._clock()
        self._said = {key: when for key, when in self._said.items() if now - when < AGAIN}
        if (reason, message) in self._said:
            return
        self._said[reason, message] = now
        structlog.get_logger().info("event", kind=kind, reason=reason, message=message)
        time = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"cluster.{secrets.token_hex(8)}", "namespace": NAMESPACE},
            "involvedObject": {
                "apiVersion": about.get("apiVersion"),
                "kind": about.get("kind"),
                "name": about["metadata"]["name"],
                "uid": about["metadata"]["uid"],
            },
            "type": kind,
            "reason": reason,
            "message": message[:1024],
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "firstTimestamp": time,
            "lastTimestamp": time,
            "count": 1,
        }
        try:
            self._client.create(object_path("v1", "events", namespace=NAMESPACE), body)
        except (KubeError, ClusterUnreachable) as error:
            structlog.get_logger().warning("an event could not be written", reason=str(error))
