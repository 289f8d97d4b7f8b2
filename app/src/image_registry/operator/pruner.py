"""``ImagePruner/cluster``: what it asks for goes into the values of the release, what its Jobs do into its status.

The CronJob is made by the operand's chart like everything else; this part only reads it. A pruner that fails is told
here and does not make Config degraded: pulls and pushes go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import structlog

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import KubeError
from image_registry.kube.release_record import Release
from image_registry.operator import config_values, pruner_values
from image_registry.operator.conditions import Problem
from image_registry.operator.config_status import instead
from image_registry.operator.config_values import MANAGED
from image_registry.operator.known_fields import Language
from image_registry.operator.operand import GROUP_VERSION
from image_registry.operator.operator_events import Events
from image_registry.operator.pruner_metrics import PrunerMetrics
from image_registry.operator.pruner_status import CRON_JOB, LABEL, Seen, end_of, newest, status

COLLECTION = object_path(GROUP_VERSION, "imagepruners")
PRUNER = object_path(GROUP_VERSION, "imagepruners", "cluster")


class Pruner:
    """Thread-confined: the reconciler's. Everything raises KubeError and ClusterUnreachable."""

    def __init__(
        self,
        client: ClusterClient,
        namespace: str,
        events: Events,
        metrics: PrunerMetrics,
        language: Language | None = None,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._events = events
        self._metrics = metrics
        self._language = language
        self._object: dict[str, Any] | None = None
        self._unknown: tuple[str, ...] = ()

    def look(self, config: Mapping[str, Any], base: Mapping[str, Any], release: Release | None) -> config_values.Object:
        """Read the object live, make it where it is missing and wanted; returns what it asks of the chart."""
        applied = dict(release.values) if release is not None else None
        if applied is not None and applied.get(pruner_values.VALUE) is not None:  # a newer version may have said it
            applied[pruner_values.VALUE], _ = pruner_values.known(applied[pruner_values.VALUE], self._language)
        self._object = self._client.find(PRUNER)
        if self._object is None and config_values.state_of(config.get("spec") or {}) == MANAGED:
            self._object = self._make(pruner_values.first_spec(base, applied))
        spec, self._unknown = None, ()
        if self._object is not None:
            spec, self._unknown = pruner_values.known(self._object.get("spec") or {}, self._language)
        return pruner_values.values(spec, applied)

    def tell(
        self, config: Mapping[str, Any] | None, release: Release | None, problem: Problem | None, now: datetime
    ) -> None:
        """Write what the CronJob and its Jobs show."""
        if config is None:
            self._object = self._client.find(PRUNER)
        pruner = self._object
        if pruner is None:
            return
        jobs = self._client.get(self._path("batch/v1", "jobs"), query={"labelSelector": LABEL}).get("items") or []
        before = pruner.get("status") or {}
        seen = Seen(
            cron_job=self._client.find(self._path("batch/v1", "cronjobs", CRON_JOB)),
            jobs=jobs,
            message=self._message(jobs, before.get("lastRun") or {}),
            state=config_values.state_of(config.get("spec") or {}) if config is not None else "",
            installed=release is not None,
            invalid=pruner_values.problem_of(pruner.get("spec") or {}),
            refused=problem.message if problem is not None and CRON_JOB in problem.message else "",
            unknown=self._unknown,
        )
        found = status(pruner, seen, now)
        self._write(pruner, found)
        self._metrics.show(found)
        self._say(pruner, before, found)

    def _make(self, spec: Mapping[str, Any]) -> dict[str, Any] | None:
        body = {
            "apiVersion": GROUP_VERSION,
            "kind": "ImagePruner",
            "metadata": {"name": "cluster"},
            "spec": dict(spec),
        }
        try:
            made = self._client.create(COLLECTION, body)
        except KubeError as error:
            if error.not_found or error.conflict:  # an older definition, or somebody was quicker
                return self._client.find(PRUNER)
            if error.forbidden:
                raise
            structlog.get_logger().warning("ImagePruner/cluster could not be made", reason=str(error))
            return None
        self._events.say(made, "Normal", "Created", "there was no ImagePruner: it was made with what is in force")
        return made

    def _message(self, jobs: list[dict[str, Any]], known: Mapping[str, Any]) -> str:
        """What the Pod of the newest Job said when it ended; asked for once."""
        job = newest(jobs)
        end = end_of(job) if job is not None else None
        if job is None or end is None:
            return ""
        name = str(job["metadata"]["name"])
        if (known.get("job"), known.get("state")) == (name, end["type"]) and "message" in known:
            return ""
        query = {"labelSelector": f"job-name={name}"}
        for pod in self._client.get(self._path("v1", "pods"), query=query).get("items") or []:
            for container in (pod.get("status") or {}).get("containerStatuses") or []:
                ended = (container.get("state") or {}).get("terminated") or {}
                if text := str(ended.get("message") or ended.get("reason") or ""):
                    return text
        return ""

    def _write(self, pruner: Mapping[str, Any], found: Mapping[str, Any]) -> None:
        before = pruner.get("status") or {}
        if before != found:
            self._client.merge(f"{PRUNER}/status", {"status": instead(before, found)})

    def _say(self, pruner: Mapping[str, Any], before: Mapping[str, Any], found: Mapping[str, Any]) -> None:
        run, known = found.get("lastRun") or {}, before.get("lastRun") or {}
        if run.get("state") in ("Complete", "Failed") and (run["job"], run["state"]) != (
            known.get("job"),
            known.get("state"),
        ):
            failed = run["state"] == "Failed"
            self._metrics.ended(failed=failed)
            text = run.get("message") or "it left no message"
            if failed:
                self._events.say(pruner, "Warning", "PruneFailed", f"Job {run['job']} failed: {text}")
            else:
                self._events.say(pruner, "Normal", "Pruned", f"Job {run['job']} ended well: {text}")
        for item in found["conditions"]:
            if item["type"] == "Degraded" and item["reason"] in ("SpecInvalid", "SyncError"):
                self._events.say(pruner, "Warning", item["reason"], item["message"])

    def _path(self, group_version: str, resource: str, name: str = "") -> str:
        return object_path(group_version, resource, name, namespace=self._namespace)
