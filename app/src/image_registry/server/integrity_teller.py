"""Tells the cluster what verifications and scrubs have found, in one ConfigMap of the registry's namespace.

Every worker does: what is told follows from the database, so they say the same, and who comes late with an older state
has the newer one at its next look. A worker may write this one object and no other, and reads none of it. What cannot
be told is told later, and nothing waits for it; whoever reads the object meanwhile reads what was known last.
"""

from __future__ import annotations

import random
import threading
import time

import structlog

from image_registry.imagestreams.errors import MetadataUnavailable
from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import ClusterUnreachable, KubeconfigError, KubeError
from image_registry.upkeep import integrity
from image_registry.upkeep.findings import judge
from image_registry.upkeep.ledger import Ledger

INTERVAL = 30.0
"""Seconds between two looks at which runs there are: one small question to the database."""

AGAIN = 120.0
"""Seconds after which the same is told again, at the latest: somebody may have deleted or edited it."""


class IntegrityTeller:
    """A daemon thread of a worker."""

    def __init__(self, ledger: Ledger, client: ClusterClient, namespace: str, interval: float = INTERVAL) -> None:
        self._ledger, self._client, self._interval = ledger, client, interval
        self._path = object_path("v1", "configmaps", integrity.CONFIG_MAP, namespace=namespace)
        self._judged: frozenset[str] | None = None
        self._known: dict[str, str] = {}
        self._told: dict[str, str] | None = None
        self._due, self._said = 0.0, ""
        self._look_now = threading.Event()
        self._thread = threading.Thread(target=self._run, name="integrity", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Look at once."""
        self._look_now.set()

    def once(self) -> None:
        """Look, and tell what is new or was not told for long. What fails is logged once and tried at the next look."""
        try:
            self._look()
            self._tell()
        except (MetadataUnavailable, KubeError, ClusterUnreachable, KubeconfigError) as error:
            if str(error) != self._said:
                structlog.get_logger().warning("what is known of the images is told later", reason=str(error))
            self._said = str(error)
        else:
            self._said = ""

    def _look(self) -> None:
        """Runs that have an end do not change: they are read when there are others."""
        looked = self._ledger.looked()
        if looked != self._judged:
            self._known = judge(self._ledger.looks()).integrity.data()
            self._judged = looked

    def _tell(self) -> None:
        if self._known == self._told and time.monotonic() < self._due:
            return
        self._client.merge(self._path, {"data": self._known})
        if self._known != self._told:
            structlog.get_logger().info("the cluster is told how the images are", **self._known)
        self._told = self._known
        self._due = time.monotonic() + AGAIN * random.uniform(2 / 3, 1)  # noqa: S311 - not all workers at once

    def _run(self) -> None:
        while True:
            try:
                self.once()
            except Exception:  # noqa: BLE001 - one bad look must not be the last
                structlog.get_logger().exception("looking at what was found failed; it is tried again")
            self._look_now.wait(self._interval)
            self._look_now.clear()
