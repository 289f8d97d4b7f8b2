"""Numbers of the operator, in a registry of their own: no other process of the product has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from image_registry.operator.surroundings import Surroundings

PREFIX = "image_registry_operator"


class OperatorMetrics:
    """Each method takes note of one thing that happened."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._runs = Counter(f"{PREFIX}_helm_runs", "Upgrades by Helm.", ["outcome"], registry=self.registry)
        self._seconds = Histogram(
            f"{PREFIX}_helm_seconds", "Seconds of an upgrade.", buckets=(1, 5, 15, 60, 180, 420), registry=self.registry
        )
        self._turns = Counter(f"{PREFIX}_passes", "Passes over the cluster.", ["outcome"], registry=self.registry)
        self._drift = Counter(f"{PREFIX}_drift_repaired", "Objects that were changed back.", registry=self.registry)
        self._healed = Counter(f"{PREFIX}_releases_healed", "Revisions left pending.", registry=self.registry)
        self._storage = Counter(f"{PREFIX}_storage_reconfigured", "Changes of the storage.", registry=self.registry)
        self._condition = Gauge(f"{PREFIX}_condition", "1 if it holds.", ["type", "reason"], registry=self.registry)
        self._expires = Gauge(
            f"{PREFIX}_certificate_expiry_timestamp_seconds", "When it ends.", ["secret"], registry=self.registry
        )
        self._nodes = Gauge(f"{PREFIX}_nodes_untrusting", "Nodes that cannot pull.", ["state"], registry=self.registry)
        self._routes = Gauge(f"{PREFIX}_route_admitted", "1 if it is served.", ["route"], registry=self.registry)
        self._leads = Gauge(f"{PREFIX}_leader", "1 in the process that works.", registry=self.registry)
        self._watches = Gauge(f"{PREFIX}_watches", "Watches that are told of changes.", registry=self.registry)
        self._last = Gauge(f"{PREFIX}_last_pass_timestamp_seconds", "When a pass succeeded.", registry=self.registry)

    def ran(self, *, failed: bool, seconds: float) -> None:
        """Helm ended."""
        self._runs.labels("failure" if failed else "success").inc()
        self._seconds.observe(seconds)

    def passed(self) -> None:
        """A pass succeeded."""
        self._turns.labels("success").inc()
        self._last.set_to_current_time()

    def failed(self) -> None:
        """A pass did not."""
        self._turns.labels("failure").inc()

    def drifted(self, objects: int) -> None:
        """Objects are changed back."""
        self._drift.inc(objects)

    def healed(self) -> None:
        """A pending revision was taken away."""
        self._healed.inc()

    def storage_changed(self) -> None:
        """Images are kept elsewhere from now on."""
        self._storage.inc()

    def leads(self, *, leader: bool) -> None:
        """Whether this process works."""
        self._leads.set(int(leader))

    def watches(self, following: int) -> None:
        """How many watches are told of changes."""
        self._watches.set(following)

    def surroundings(self, found: Surroundings) -> None:
        """Certificates, routes and nodes."""
        self._expires.clear()
        for fact in found.certificates:
            if fact.expires:
                self._expires.labels(fact.secret).set(fact.expires.timestamp())
        self._routes.clear()
        for route in found.routes:
            self._routes.labels(route.route.name).set(int(route.admitted))
        self._nodes.clear()
        for state in (found.nodes or {}).values():
            self._nodes.labels(state.state).inc()

    def conditions(self, found: Iterable[Mapping[str, Any]]) -> None:
        """What the status says."""
        self._condition.clear()
        for item in found:
            self._condition.labels(item["type"], item["reason"]).set(int(item["status"] == "True"))
