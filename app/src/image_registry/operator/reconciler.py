"""Makes the cluster what ``Config/cluster`` says, again and again: look, plan, do one thing, tell.

Nothing is remembered that matters: every pass begins with what is in the cluster, so a restart, a lost watch or
somebody else's edit change only when the next pass happens. Helm runs beside the passes, so that conditions are
current while it waits, and is told to end when the specification has changed under it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from image_registry.kube.errors import KubeError
from image_registry.kube.release_record import Release
from image_registry.operator import certificate_facts, config_values, release_plan
from image_registry.operator.apply_problems import problem_of
from image_registry.operator.conditions import Condition, Observed, Problem
from image_registry.operator.config_status import status, warnings
from image_registry.operator.config_values import REMOVED, UNMANAGED
from image_registry.operator.helm import HelmRunner, Running
from image_registry.operator.known_fields import Language
from image_registry.operator.operand import Operand
from image_registry.operator.operator_events import Events
from image_registry.operator.operator_metrics import OperatorMetrics
from image_registry.operator.pruner import Pruner
from image_registry.operator.release_plan import Plan
from image_registry.operator.surroundings import Surroundings

PERIOD = 30.0
"""Seconds between two passes when nothing is told: deletions and edits are repaired within a minute."""

BUSY = 2.0
"""Seconds between two passes while something is under way."""

COMPARED = timedelta(seconds=10)
"""How long a comparison of the operand's objects counts: their statuses wake us often while Pods start."""

SEEN = ("Available", "StorageExists")
"""Conditions about what was seen in the cluster: they stay what they were while it cannot be looked at."""

FIRST_PAUSE, LONGEST_PAUSE = 10.0, 300.0
"""Seconds before what failed is tried again."""


@dataclass(slots=True)
class Attempt:
    """Helm, running towards ``wanted`` for the reason ``why``."""

    running: Running
    wanted: Mapping[str, Any]
    why: str
    started: datetime


@dataclass(slots=True)
class Failure:
    """What failed last: the same is tried again after a pause, anything else at once."""

    wanted: Mapping[str, Any]
    problem: Problem
    pause: float
    until: datetime


@dataclass(slots=True)
class Reconciler:
    """One pass is :meth:`turn`. ``base`` are the chart values that the operator was installed with."""

    operand: Operand
    helm: HelmRunner
    events: Events
    metrics: OperatorMetrics
    base: Mapping[str, Any]
    pruner: Pruner
    language: Language | None = None
    """What a specification may hold; without it all of it is passed on."""
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    pull_secrets: Callable[[], Condition | None] = lambda: None
    """How managed pull Secrets are; nothing where nobody makes them."""
    talk: Callable[[str], None] = lambda _: None
    """Told in each pass how much this process is to tell; empty: as it was started."""
    _attempt: Attempt | None = None
    _failure: Failure | None = None
    _compared: datetime | None = None
    _drift: tuple[str, ...] = ()
    _unknown: tuple[str, ...] = ()
    _repaired: tuple[str, ...] = ()
    """What was changed back last and has not been seen to be right since."""
    _truce: float = 0.0

    def turn(self) -> float:
        """Look, plan, act, tell; returns the seconds until the next turn. Raises KubeError, ClusterUnreachable."""
        config = self.operand.config()
        self.talk(str(((config or {}).get("spec") or {}).get(config_values.LOG_LEVEL) or ""))
        if config is None:
            self.stop()
            self.pruner.tell(None, None, None, self.clock())
            return PERIOD
        spec, now = config.get("spec") or {}, self.clock()
        if self.language is not None:
            spec, self._unknown = self.language.understood(spec)
            config = {**config, "spec": spec}
        try:
            self._finish(config, now)  # before its record is read, which else might be older than its end
            history = self.operand.releases()
            release = history[0] if history else None
            applying = self._attempt.wanted if self._attempt else None
            roles = self.operand.whose_roles(self.base, history)
            base = {**self.base, **roles, **self.pruner.look(config, self.base, release)}
            drift = self._changes(spec, release, now)
            claims = self.operand.owned_claims(config, (release.values.get("config") or {}) if release else {})
            plan = release_plan.plan(spec, release, base, drift, now, applying, owned=bool(claims))
            structlog.get_logger().debug("a pass", action=plan.action, why=plan.why, drift=list(drift))
            self._act(config, plan, release, now)
            if release_plan.deletes_storage(plan, spec, release):
                self._delete(config, claims)
            self._tell(config, plan, release, release_plan.left_place(history), now, claims)
            self.pruner.tell(config, release, self._failure.problem if self._failure else None, now)
        except KubeError as error:
            if not error.forbidden:
                raise
            self._tell_forbidden(config, error, now)
        return self._pause(spec, now)

    def stop(self) -> None:
        """End Helm if it runs; the record that it leaves is healed by whoever comes next."""
        if self._attempt is not None:
            self._attempt.running.end()
            self._attempt = None

    def _changes(self, spec: Mapping[str, Any], release: Release | None, now: datetime) -> tuple[str, ...]:
        """What somebody changed of the operand's objects; asked about while nothing of ours is under way."""
        if config_values.state_of(spec) == UNMANAGED or release is None or not release.deployed or self._attempt:
            self._drift, self._compared = (), None
        elif self._compared is None or now - self._compared >= COMPARED:
            self._drift, self._compared = self.operand.drift(release), now
        return self._drift

    def _act(self, config: Mapping[str, Any], plan: Plan, release: Release | None, now: datetime) -> None:
        if plan.action == "stop":
            structlog.get_logger().info("helm is told to end", reason=plan.why)
            self.stop()
        elif plan.action == "heal" and release is not None:
            self.operand.forget(release)
            self.metrics.healed()
            self.events.say(config, "Warning", "ReleaseHealed", f"{plan.why}: it is taken out of Helm's history")
        elif plan.action == "apply" and not self._waits(plan, now):
            if self._drift and release is not None:
                if self._is_fought_over(config, plan, now):
                    return
                self.operand.mend(release, self._drift)
            self._begin(config, plan, now)
        elif plan.action == "rest":
            self._failure, self._repaired, self._truce = None, (), 0.0

    def _delete(self, config: Mapping[str, Any], claims: Sequence[Mapping[str, Any]]) -> None:
        """What Helm has let go of: the registry is Removed and its storage is Managed."""
        for claim in claims:
            if not claim["metadata"].get("deletionTimestamp"):
                self.operand.delete_claim(claim)
                said = f"claim {claim['metadata']['name']} is deleted, because spec.storage.managementState is Managed"
                self.events.say(config, "Warning", "StorageDeleted", said)

    def _waits(self, plan: Plan, now: datetime) -> bool:
        failure = self._failure
        return failure is not None and failure.wanted == plan.values and now < failure.until

    def _is_fought_over(self, config: Mapping[str, Any], plan: Plan, now: datetime) -> bool:
        """Whether the very same was just changed back and is changed again: then it is tried less and less often."""
        if self._drift != self._repaired or (self._failure is not None and self._failure.wanted == plan.values):
            return False
        self._truce = min(max(self._truce * 2, FIRST_PAUSE), LONGEST_PAUSE)
        cure = "see who writes it in metadata.managedFields, or set spec.managementState to Unmanaged"
        names = ", ".join(self._drift)
        problem = Problem(
            "DriftNotRepaired", f"{names} differs again right after it was changed back; {cure}", passing=True
        )
        self._failure = Failure(plan.values, problem, self._truce, now + timedelta(seconds=self._truce))
        self.events.say(config, "Warning", problem.reason, problem.message)
        return True

    def _begin(self, config: Mapping[str, Any], plan: Plan, now: datetime) -> None:
        if plan.keep_claim:
            self.operand.keep_claim(plan.keep_claim)
        if plan.moved_from:
            self.metrics.storage_changed()
            place = config_values.place_of(plan.values["config"])
            said = f"images are now kept in {place}; {config_values.left_behind(plan.moved_from)}"
            self.events.say(config, "Warning", "StorageChanged", said)
        if self._drift:
            self.metrics.drifted(len(self._drift))
            self._repaired = self._drift
        for lost in (one for one in self._drift if one.startswith("PersistentVolumeClaim ")):
            cure = "an empty one is made: restore its content from a backup, or push the images again"
            self.events.say(config, "Warning", "StorageLost", f"{lost} is gone with all that was in it; {cure}")
        self.events.say(config, "Normal", "DriftRepaired" if self._drift else "Applying", plan.why)
        self._compared = None
        self._attempt = Attempt(self.helm.upgrade(plan.values), plan.values, plan.why, now)

    def _finish(self, config: Mapping[str, Any], now: datetime) -> None:
        """Take note of how Helm ended, if it has."""
        attempt = self._attempt
        outcome = attempt.running.outcome() if attempt is not None else None
        if attempt is None or outcome is None:
            return
        self._attempt = None
        self.metrics.ran(failed=bool(outcome.error), seconds=(now - attempt.started).total_seconds())
        if not outcome.error:
            self._failure = None
            self.events.say(config, "Normal", "Applied", f"done: {attempt.why}")
            return
        problem = problem_of(outcome, self.operand.namespace)
        before = self._failure.pause if self._failure and self._failure.wanted == attempt.wanted else 0.0
        pause = min(max(before * 2, FIRST_PAUSE), LONGEST_PAUSE)
        self._failure = Failure(attempt.wanted, problem, pause, now + timedelta(seconds=pause))
        self.events.say(config, "Warning", problem.reason, problem.message)

    def _tell(
        self,
        config: Mapping[str, Any],
        plan: Plan,
        release: Release | None,
        moved_from: str,
        now: datetime,
        claims: Sequence[Mapping[str, Any]],
    ) -> None:
        spec = config.get("spec") or {}
        workloads = self.operand.workloads()
        shown = dict(spec)
        if config_values.storage_of(shown) is None and release is not None:
            shown["storage"] = (release.values.get("config") or {}).get("storage") or {}
        applied = (release.values.get("config") or {}) if release is not None else {}
        around = self.operand.lookout.look(applied, workloads, now) if release is not None else Surroundings()
        observed = Observed(
            deployments=self.operand.servers(workloads),
            claim=self.operand.claim(shown),
            image_api=self.operand.image_api() if config_values.state_of(spec) != REMOVED else "",
            applying=self._under_way(plan),
            problem=self._failure.problem if self._failure else None,
            moved_from=moved_from,
            pull_secrets=self.pull_secrets(),
            further=(*around.conditions, *self._missing_roles(config, spec)),
            refusing=certificate_facts.refusing(around.certificates),
            goes=tuple(str(claim["metadata"]["name"]) for claim in claims),
            unknown=self._unknown,
            namespace=self.operand.namespace,
        )
        self._write({**config, "spec": shown}, observed, release, workloads, now, around)

    def _missing_roles(self, config: Mapping[str, Any], spec: Mapping[str, Any]) -> tuple[Condition, ...]:
        found = self.operand.missing_roles
        if found is None or config_values.state_of(spec) == UNMANAGED:
            return ()
        told = (config.get("status") or {}).get("conditions") or []
        if all(item.get("type") != found.type for item in told):
            self.events.say(config, "Warning", found.reason, found.message)
        return (found,)

    def _under_way(self, plan: Plan) -> str:
        """What is not done yet: also between an upgrade that was ended and the next one nothing is as it should be."""
        if self._attempt is not None:
            return f"helm upgrade runs: {self._attempt.why}"
        return "" if plan.action == "rest" else plan.why

    def _tell_forbidden(self, config: Mapping[str, Any], error: KubeError, now: datetime) -> None:
        cure = (
            "give the operator's ServiceAccount what its chart gives it: helm upgrade cluster-image-registry-operator"
        )
        problem = Problem("PermissionDenied", f"{error}; {cure}")
        self.events.say(config, "Warning", problem.reason, problem.message)
        self.metrics.failed()
        before = config.get("status") or {}
        seen = {item["type"]: item for item in before.get("conditions") or [] if item["type"] in SEEN}
        namespace = self.operand.namespace
        observed = Observed(deployments={}, problem=problem, namespace=namespace)
        found = status(config, observed, None, [], now, namespace)
        told_of = {item["type"] for item in found["conditions"]}
        kept = [item for item in before.get("conditions") or [] if item["type"] not in told_of]
        found["conditions"] = [*(seen.get(item["type"], item) for item in found["conditions"]), *kept]
        told = {name: found[name] for name in ("observedGeneration", "conditions")}
        self.operand.write_status(config, {**found, **before, **told})
        self.metrics.conditions(found["conditions"])

    def _write(
        self,
        config: Mapping[str, Any],
        observed: Observed,
        release: Release | None,
        workloads: list[dict[str, Any]],
        now: datetime,
        around: Surroundings,
    ) -> None:
        found = status(config, observed, release, list(workloads), now, self.operand.namespace, around.routes)
        self.operand.write_status(config, found)
        self.metrics.conditions(found["conditions"])
        self.metrics.surroundings(around)
        for reason, message in warnings(found["conditions"]):
            self.events.say(config, "Warning", reason, message)
        if not (config.get("spec") or {}).get("managementState"):
            message = next(item["message"] for item in found["conditions"] if item["type"] == "Removed")
            self.events.say(config, "Normal", "Removed", message)

    def _pause(self, spec: Mapping[str, Any], now: datetime) -> float:
        if self._attempt is not None:
            return BUSY
        if config_values.state_of(spec) != UNMANAGED and self._failure is not None:
            return max(BUSY, min(PERIOD, (self._failure.until - now).total_seconds()))
        return PERIOD
