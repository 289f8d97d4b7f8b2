"""Which of several replicas does the work: whoever holds the Lease (coordination.k8s.io/v1) now.

The holder writes the Lease every few seconds; when it has not changed for its duration, as seen by the clock of the one
who waits, it may be taken. So clocks of different nodes are never compared. The holder stops believing in itself before
anybody else may take over, also when it cannot reach the API server to see that.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Literal

import structlog

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import ClusterUnreachable, KubeconfigError, KubeError

DURATION = 15
"""Seconds without a sign of life after which another may take over."""

BELIEVED = 10.0
"""Seconds after a sign of life for which the holder believes in itself; less than :data:`DURATION`."""

PAUSE = 2.0
"""Seconds between two tries to take over."""

KEPT = 4.0
"""Seconds between two signs of life: two may fail before the holder stops believing in itself."""

_GROUP_VERSION = "coordination.k8s.io/v1"


class Lease:
    """One candidate; thread-safe."""

    def __init__(
        self,
        client: ClusterClient,
        namespace: str,
        name: str,
        identity: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._clock = clock
        self._held_until = float("-inf")
        self._seen: tuple[object, float] = (None, 0.0)
        self._mine: dict[str, Any] | None = None
        """The Lease as it was written last, which is asked for again only when somebody else has changed it."""
        self._broken = ""

    def held(self) -> bool:
        """True while nobody else can be at work."""
        return self._clock() < self._held_until

    def keep(self, stop: threading.Event) -> None:
        """Hold it, or wait for it, until ``stop``; then give it back."""
        while not stop.is_set():
            stop.wait(KEPT if self.try_once() else PAUSE)
        self.give_back()

    def try_once(self) -> bool:
        """A sign of life, or a try to take over; says whether it is held."""
        begun = self._clock()
        try:
            if self._write(begun):
                self._held_until = begun + BELIEVED
            else:
                self._held_until = float("-inf")
            self._broken = ""
        except (KubeError, ClusterUnreachable, KubeconfigError) as error:
            # what was held stays so for its time: the others do not see either that it has ended
            if str(error) != self._broken:
                structlog.get_logger().warning("the lease could not be asked for", lease=self._name, reason=str(error))
            self._broken = str(error)
        return self.held()

    def give_back(self) -> None:
        """Let another take over at once."""
        held, self._held_until = self.held(), float("-inf")
        if not held:
            return
        try:
            found = self._client.find(self._path)
            if found is not None and _spec(found).get("holderIdentity") == self._identity:
                self._client.replace(self._path, {**found, "spec": {**_spec(found), "holderIdentity": ""}})
        except (KubeError, ClusterUnreachable, KubeconfigError):
            return  # it ends by itself

    @property
    def _path(self) -> str:
        return object_path(_GROUP_VERSION, "leases", self._name, namespace=self._namespace)

    def _write(self, now: float) -> bool:
        mine, self._mine = self._mine, None
        if mine is not None and self._sent("PUT", self._path, {**mine, "spec": self._record(_spec(mine))}):
            return True
        found = self._client.find(self._path)
        if found is None:
            document = {
                "apiVersion": _GROUP_VERSION,
                "kind": "Lease",
                "metadata": {"name": self._name, "namespace": self._namespace},
                "spec": self._record({}),
            }
            return self._sent("POST", object_path(_GROUP_VERSION, "leases", namespace=self._namespace), document)
        spec = _spec(found)
        if spec.get("holderIdentity") not in (self._identity, "", None) and not self._has_ended(spec, now):
            return False
        return self._sent("PUT", self._path, {**found, "spec": self._record(spec)})

    def _sent(self, method: Literal["POST", "PUT"], path: str, document: dict[str, Any]) -> bool:
        try:
            if method == "POST":
                self._mine = self._client.create(path, document)
            else:
                self._mine = self._client.replace(path, document)
        except KubeError as error:
            if error.conflict or error.status == HTTPStatus.NOT_FOUND:
                return False  # another was faster, or somebody deleted it
            raise
        return True

    def _has_ended(self, spec: dict[str, Any], now: float) -> bool:
        sign = (spec.get("holderIdentity"), spec.get("renewTime"))
        if sign != self._seen[0]:
            self._seen = (sign, now)
            return False
        return now - self._seen[1] > float(spec.get("leaseDurationSeconds") or DURATION)

    def _record(self, spec: dict[str, Any]) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        mine = spec.get("holderIdentity") == self._identity
        return {
            **spec,
            "holderIdentity": self._identity,
            "leaseDurationSeconds": DURATION,
            "renewTime": now,
            "acquireTime": spec.get("acquireTime", now) if mine else now,
            "leaseTransitions": int(spec.get("leaseTransitions") or 0) + (not mine and bool(spec)),
        }


def _spec(found: dict[str, Any]) -> dict[str, Any]:
    spec = found.get("spec")
    return spec if isinstance(spec, dict) else {}
