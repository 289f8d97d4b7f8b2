"""Numbers about pruning, beside the operator's own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge

from image_registry.operator.conditions import TIME
from image_registry.operator.operator_metrics import PREFIX

ABSENT, SUSPENDED, SCHEDULED = 0, 1, 2


class PrunerMetrics:
    """Takes everything from a status, so that a restart of the operator changes no number but the counter."""

    def __init__(self, registry: CollectorRegistry) -> None:
        name = f"{PREFIX}_image_pruner"
        self._installed = Gauge(
            f"{name}_install_status", "0: no CronJob, 1: suspended, 2: scheduled.", registry=registry
        )
        self._success = Gauge(
            f"{name}_last_success_timestamp_seconds", "When a run last ended well; 0: never.", registry=registry
        )
        self._failed = Gauge(f"{name}_last_run_failed", "1 if the last run that ended failed.", registry=registry)
        self._freed = Gauge(f"{name}_freed_bytes", "Bytes that the last run gave back.", registry=registry)
        self._runs = Counter(f"{name}_runs", "Runs that ended.", ["outcome"], registry=registry)

    def ended(self, *, failed: bool) -> None:
        """A run was seen to have ended that had not before."""
        self._runs.labels("failure" if failed else "success").inc()

    def show(self, status: Mapping[str, Any]) -> None:
        """What the status says."""
        conditions = {item["type"]: item for item in status.get("conditions") or []}
        scheduled = conditions.get("Scheduled", {})
        states = {"Scheduled": SCHEDULED, "Suspended": SUSPENDED}
        self._installed.set(states.get(str(scheduled.get("reason")), ABSENT))
        self._failed.set(int(conditions.get("Failed", {}).get("status") == "True"))
        self._freed.set((status.get("lastRun") or {}).get("freedBytes", 0))
        if text := status.get("lastSuccessfulTime"):
            self._success.set(datetime.strptime(text, TIME).replace(tzinfo=UTC).timestamp())
