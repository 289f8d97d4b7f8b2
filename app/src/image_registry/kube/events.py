"""Telling people at their object what was done to it or cannot be: Events (core/v1), each once an hour at most."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import structlog

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import ClusterUnreachable, KubeconfigError, KubeError

AGAIN = 3600.0
"""Seconds after which the cluster has forgotten an Event."""

MOST = 2_000
"""Events that are remembered as told."""

LONGEST = 1024
"""Characters of a message that the API server takes."""


class Events:
    """Tells from one thread; what cannot be told is logged, because nothing may fail of it."""

    def __init__(self, client: ClusterClient, component: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._component = component
        self._clock = clock
        self._told: OrderedDict[tuple[str, str, str], float] = OrderedDict()

    def tell(self, about: Mapping[str, Any], kind: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        """``about`` is the whole object, with ``apiVersion`` and ``kind``."""
        metadata = about.get("metadata") or {}
        key = (str(metadata.get("uid")), reason, message)
        told = self._told.get(key)
        if kind == "Warning" and told is not None and self._clock() - told < AGAIN:
            return
        self._told[key] = self._clock()
        self._told.move_to_end(key)
        while len(self._told) > MOST:
            self._told.popitem(last=False)
        namespace = str(metadata.get("namespace") or "default")
        try:
            self._client.create(
                object_path("v1", "events", namespace=namespace), self._event(about, kind, reason, message)
            )
        except (KubeError, ClusterUnreachable, KubeconfigError) as error:
            structlog.get_logger().warning(
                "an event was not written", about=f"{namespace}/{metadata.get('name')}", said=message, reason=str(error)
            )

    def _event(self, about: Mapping[str, Any], kind: str, reason: str, message: str) -> dict[str, Any]:
        metadata = about.get("metadata") or {}
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        involved = {key: metadata.get(key) for key in ("name", "namespace", "uid", "resourceVersion")}
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{str(metadata.get('name'))[:200]}.", "namespace": metadata.get("namespace")},
            "involvedObject": {"apiVersion": about.get("apiVersion"), "kind": about.get("kind"), **involved},
            "type": kind,
            "reason": reason,
            "message": message if len(message) <= LONGEST else f"{message[: LONGEST - 1]}…",
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
