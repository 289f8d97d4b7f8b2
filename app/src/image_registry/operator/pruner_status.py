"""``ImagePruner.status`` as a whole, from the CronJob and its Jobs. Pure; the specification is never written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from image_registry.operator.conditions import Condition, dated
from image_registry.operator.config_values import UNMANAGED

CRON_JOB = "image-pruner"
LABEL = "created-by=image-pruner"
SUSPENDED_BY = "spec.suspend is true: nothing is pruned"
Object = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The cluster as it is. ``state`` is that of Config, empty without one."""

    cron_job: Mapping[str, Any] | None = None
    jobs: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    message: str = ""
    """Termination message of the newest Job's Pod, if it has ended."""
    state: str = ""
    installed: bool = False
    invalid: str = ""
    refused: str = ""
    """What Helm says of the CronJob."""
    unknown: tuple[str, ...] = ()
    """Fields of the specification that this version does not know."""


def newest(jobs: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The Job that was made last."""
    return max(jobs, key=lambda job: str(job["metadata"].get("creationTimestamp") or ""), default=None)


def end_of(job: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The condition with which a Job ended; ``None`` while it runs."""
    for condition in (job.get("status") or {}).get("conditions") or []:
        if condition.get("type") in ("Complete", "Failed") and condition.get("status") == "True":
            return dict(condition)
    return None


def status(pruner: Mapping[str, Any], seen: Seen, now: datetime) -> Object:
    """What is to be written; equal to what is there if nothing has changed."""
    before = pruner.get("status") or {}
    generation = int((pruner.get("metadata") or {}).get("generation") or 0)
    run = _last_run(seen, before)
    known = {str(item.get("type")): item for item in before.get("conditions") or []}
    failed = _failed(seen, known)
    found = [_available(seen), _scheduled(seen, pruner.get("spec") or {}), failed, _degraded(seen, failed, run)]
    found += _ignored(seen)
    shown: Object = {
        "observedGeneration": generation,
        "conditions": dated(found, before.get("conditions") or [], generation, now),
        "schedule": _schedule(seen),
    }
    if run:
        shown["lastRun"] = run
    if succeeded := _last_success(seen, before):
        shown["lastSuccessfulTime"] = succeeded
    return shown


def _suspended(seen: Seen) -> bool:
    return bool(((seen.cron_job or {}).get("spec") or {}).get("suspend"))


def _schedule(seen: Seen) -> str:
    return "" if seen.cron_job is None or _suspended(seen) else str(seen.cron_job["spec"]["schedule"])


def _available(seen: Seen) -> Condition:
    if seen.cron_job is None and not seen.installed:
        return Condition(
            "Available", "False", "NoRegistry",
            "there is no registry yet, and so nothing to prune: set spec.managementState of Config/cluster to Managed",
        )  # fmt: skip
    if seen.cron_job is None:
        return Condition("Available", "False", "Error", f"CronJob {CRON_JOB} does not exist; {_cure(seen.state)}")
    if seen.state == UNMANAGED:
        message = f"Config/cluster is {UNMANAGED}: CronJob {CRON_JOB} stays as it is, and changes of spec wait"
        return Condition("Available", "True", "Unmanaged", message)
    if not seen.state:
        message = f"there is no Config/cluster: CronJob {CRON_JOB} stays as it is, and changes of spec wait"
        return Condition("Available", "True", "Unmanaged", message)
    return Condition("Available", "True", "AsExpected", f"CronJob {CRON_JOB} exists")


def _cure(state: str) -> str:
    """Who makes the CronJob that is missing: nobody, while there is no Config or it is left alone."""
    if state == UNMANAGED:
        return f"Config/cluster is {UNMANAGED}: set its spec.managementState to Managed, or make it by `helm upgrade`"
    if not state:
        return "there is no Config/cluster, so nobody makes it: make Config/cluster, or the CronJob by `helm upgrade`"
    return "it is made anew within a minute"


def _scheduled(seen: Seen, spec: Mapping[str, Any]) -> Condition:
    if seen.cron_job is None:
        return Condition("Scheduled", "False", "NotScheduled", f"there is no CronJob {CRON_JOB}")
    if _suspended(seen):
        return Condition("Scheduled", "False", "Suspended", _why_suspended(seen, spec))
    return Condition("Scheduled", "True", "Scheduled", f"images are pruned at {_schedule(seen)}")


def _why_suspended(seen: Seen, spec: Mapping[str, Any]) -> str:
    """The CronJob counts, and the specification is not always why."""
    if spec.get("suspend"):
        return SUSPENDED_BY
    said = f"CronJob {CRON_JOB} is suspended, though spec.suspend is not true: nothing is pruned"
    if seen.unknown:
        return f"{said}, because this version does not know {', '.join(seen.unknown)}"
    if seen.invalid:
        return f"{said} until spec can be followed: {seen.invalid}"
    if seen.state == UNMANAGED or not seen.state:
        return f"{said}; spec waits until Config/cluster is Managed"
    return f"{said}; spec is followed within a minute"


def _ignored(seen: Seen) -> list[Condition]:
    """Only where there is something to say."""
    if not seen.unknown:
        return []
    message = (
        f"this version does not know {', '.join(seen.unknown)}, which may be there to keep images: nothing is pruned; "
        "upgrade the operator, or take the field out of ImagePruner/cluster"
    )
    return [Condition("FieldsIgnored", "True", "UnknownFields", message)]


def _failed(seen: Seen, known: Mapping[str, Mapping[str, Any]]) -> Condition:
    last = newest(job for job in seen.jobs if end_of(job) is not None)
    if last is None:
        before = known.get("Failed")
        if before is None:
            return Condition("Failed", "False", "NeverRun", "no run has ended yet")
        return Condition("Failed", before["status"], str(before["reason"]), str(before["message"]))
    end, name = end_of(last) or {}, last["metadata"]["name"]
    if end["type"] == "Complete":
        return Condition("Failed", "False", "Complete", f"Job {name} ended well")
    why = end.get("message") or end.get("reason")
    namespace = last["metadata"].get("namespace") or "image-registry-system"
    message = f"Job {name} failed: {why}; see kubectl -n {namespace} logs job/{name}"
    return Condition("Failed", "True", str(end.get("reason") or "JobFailed"), message)


def _degraded(seen: Seen, failed: Condition, run: Mapping[str, Any]) -> Condition:
    if seen.invalid:
        message = f"{seen.invalid}; until then CronJob {CRON_JOB} stays as it was"
        return Condition("Degraded", "True", "SpecInvalid", message)
    if seen.refused:
        return Condition("Degraded", "True", "SyncError", seen.refused)
    if failed.status == "True":
        said = f": {run['message']}" if run.get("state") == "Failed" and run.get("message") else ""
        return Condition("Degraded", "True", "JobFailed", f"{failed.message}{said}"[:4096])
    return Condition("Degraded", "False", "AsExpected", "nothing is wrong")


def _last_run(seen: Seen, before: Mapping[str, Any]) -> Object:
    job = newest(seen.jobs)
    if job is None:
        return dict(before.get("lastRun") or {})
    end, times = end_of(job), job.get("status") or {}
    found: Object = {"job": job["metadata"]["name"], "state": end["type"] if end else "Running"}
    if times.get("startTime"):
        found["startTime"] = times["startTime"]
    if end and (ended := times.get("completionTime") or end.get("lastTransitionTime")):
        found["completionTime"] = ended
    known = before.get("lastRun") or {}
    if end and seen.message:
        found |= said_in(seen.message)
    elif end and (known.get("job"), known.get("state")) == (found["job"], found["state"]):
        found |= {name: known[name] for name in ("message", "freedBytes") if name in known}
    return found


def said_in(message: str) -> Object:
    """The parts of a termination message: ours is JSON, anything else (a killed process, say) is shown as it is."""
    try:
        document = json.loads(message)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        return {"message": message[:4096]}
    found: Object = {"message": str(document.get("message") or "")[:4096]}
    freed = document.get("freedBytes")
    return found | ({"freedBytes": freed} if isinstance(freed, int) and freed >= 0 else {})


def _last_success(seen: Seen, before: Mapping[str, Any]) -> str:
    ended = [str((job.get("status") or {}).get("completionTime") or "") for job in seen.jobs]
    ended.append(str(((seen.cron_job or {}).get("status") or {}).get("lastSuccessfulTime") or ""))
    ended.append(str(before.get("lastSuccessfulTime") or ""))
    return max(ended)
