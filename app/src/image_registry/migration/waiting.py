"""Waiting for something that can be looked at, and steps that a person does.

What takes minutes is waited for; what takes a day is looked at each time somebody runs the plan, and goes on from when
it began. What a person may do only between two steps ends a run there, and the next one goes on by its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.listing import items
from image_registry.migration.actions import Context, NotYet, Outcome, Saved, StepFailed
from image_registry.migration.cluster_objects import ClusterObjects
from image_registry.migration.coming_back import (
    forget_readiness,
    not_rolled,
    not_serving,
    note_readiness,
    passed_over,
    start_again,
)
from image_registry.migration.facts import ObjectName
from image_registry.migration.frozen_content import note_freeze
from image_registry.migration.leaving_release import (
    OFTEN,
    gone_by_hand,
    hindered_end,
    hold_roles,
    let_roles_go,
    not_gone,
    note_what_leaves,
)
from image_registry.migration.moved_hosts import all_hosts, moved_hosts
from image_registry.migration.plan import Step
from image_registry.migration.push_rights import narrow_again, pushing_roles, told
from image_registry.migration.reading import at
from image_registry.migration.spelling import Said

PAUSE = 2.0
_WORKLOAD = "'rollout:Deployment team/app'"
_BAD = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_FORM = "%Y-%m-%dT%H:%M:%SZ"


class Wait:
    """By what the parameters name: a batch of workloads, objects that go, refused pushes, a day without faults."""

    def foresee(self, step: Step, context: Context) -> str:
        """What can be asked in its turn is asked; the rest takes time."""
        if step.parameters.get("restartable"):
            return self._watched(step, context)
        if "hold" in step.parameters and not context.ahead.writes:
            _nothing_hinders(context)
        if "beyond" in step.parameters:
            gone_by_hand(context, step.id, *step.parameters["beyond"])
            return ""
        return f"waits: {step.title}"

    def before(self, step: Step, context: Context) -> Saved:
        if "readiness" in step.parameters:  # the step begins anew: what an earlier migration saw is long over
            forget_readiness(context, str(step.parameters["readiness"]))
        if "beyond" in step.parameters:
            gone_by_hand(context, step.id, *step.parameters["beyond"])
        noted = note_what_leaves(step, context) if {"hold", "gone"} & set(step.parameters) else {}
        return {"began": _now(), **noted}

    def do(self, step: Step, saved: Saved, context: Context) -> Outcome:
        parameters = step.parameters
        if parameters.get("restartable"):
            return self._observe(step, saved, context)
        if "batch" in parameters:
            return self._until(context, step, lambda: _rolling(context, str(parameters["batch"])))
        if "serving" in parameters:
            return Outcome("a rollback waits until it serves")
        if "readiness" in parameters:
            unready = note_readiness(context, str(parameters["readiness"]))
            said = "; ".join(f"{name} ({why})" for name, why in unready.items())
            return Outcome(f"not ready before, so not waited for: {said}" if said else "all of them are ready")
        if "jobs" in parameters:
            return self._until(context, step, lambda: jobs_at_work(context.client, parameters["jobs"]))
        if "hold" in parameters:
            _nothing_hinders(context)
            return Outcome(hold_roles(step, saved, context))
        if "beyond" in parameters:
            return Outcome("confirmed by name")
        if "gone" in parameters:
            hold_roles(step, saved, context)  # a plan of an earlier version has no step for it
            return self._until(context, step, lambda: not_gone(step, saved, context), pause=OFTEN)
        if "remains" in parameters:
            remains = [str(place) for place in _standing(context, parameters["remains"])]
            said = f"not removed, and nobody else will: {', '.join(remains)}" if remains else "nothing is left"
            beyond = "; ".join(parameters.get("elsewhere") or ())
            also = f"; on the global cluster, which was not asked, or the platform installs it again: {beyond}"
            again = "; ".join(parameters.get("rendered") or ())
            whose = f"; applied again by the platform, take what is about the registry before out of it: {again}"
            return Outcome(said + (also if beyond else "") + (whose if again else ""), saved={"remains": remains})
        return self._refused(step, context)

    def undo(self, step: Step, saved: Saved, context: Context) -> Outcome:
        parameters = step.parameters
        if "serving" in parameters:
            if context.accepts(step.id):
                return Outcome("nobody looked at it, as somebody accepted by name")
            start_again(step, context)
            return self._until(context, step, lambda: not_serving(step, context))
        if "readiness" in parameters:
            namespace = str(parameters["readiness"])
            outcome = self._until(context, step, lambda: not_rolled(context, namespace, back=True))
            forget_readiness(context, namespace)
            return outcome
        if "hold" in parameters:
            return Outcome(let_roles_go(step, saved, context))
        return Outcome(skipped=True)

    def _until(self, context: Context, step: Step, look: Any, *, pause: float = PAUSE) -> Outcome:
        began, last = context.clock(), ""
        longest = float(step.parameters.get("seconds", 600))
        while True:
            missing = list(look())
            if not missing:
                return Outcome(f"after {context.clock() - began:.0f} s")
            said = "; ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
            if context.clock() - began > longest:
                advice = _advice(step, context)
                raise StepFailed(f"after {longest:.0f} s: {said}{advice}")
            if said != last:
                context.tell(f"  waiting: {said}")
                last = said
            context.sleep(pause)

    def _refused(self, step: Step, context: Context) -> Outcome:
        """The legacy registry asks for rights anew at every request, so an upload ends where its right does."""
        again = list(map(str, narrow_again(context)))
        _nobody_pushes(context)
        context.sleep(float(step.parameters.get("seconds", 60)))
        _nobody_pushes(context)
        note_freeze(context)
        closed = f"; taken away once more, because it had come back, from {', '.join(again)}" if again else ""
        return Outcome(f"nobody but administrators may push to the old registry{closed}")

    def _observe(self, step: Step, saved: Saved, context: Context) -> Outcome:
        missing = list(_failing(context))
        if missing:
            raise StepFailed(
                f"Pods wait for images: {'; '.join(missing[:5])}; one that waited before is accepted by its name "
                f"({context.spelling(Said.ACCEPT, 'pod:<namespace>/<name>')})"
            )
        began = datetime.strptime(str(saved["began"]), _FORM).replace(tzinfo=UTC)
        left = float(step.parameters["seconds"]) - (datetime.now(UTC) - began).total_seconds()
        if left > 0 and not context.accepts(step.id):
            raise NotYet(
                f"no Pod waits for an image; watched since {saved['began']}, {left / 3600:.1f} h are left: run again "
                f"then, or end it now by its name ({context.spelling(Said.ACCEPT, step.id)})"
            )
        return Outcome(f"watched since {saved['began']}: no Pod waits for an image")

    def _watched(self, step: Step, context: Context) -> str:
        if not context.ahead.writes:
            return self._observe(step, context.ahead.saved or {"began": _now()}, context).detail
        if context.accepts(step.id):
            context.ahead.first()
        hours = float(step.parameters["seconds"]) / 3600
        raise NotYet(f"Pods are watched from then on for {hours:.1f} h, or ended by {_accepting(context, step)}")


class ByHand:
    """Somebody says that it is done, by the step's name; that is asked before anything of a run is done."""

    def foresee(self, step: Step, context: Context) -> str:
        return "" if context.accepts(step.id) else f"is done by a person, and confirmed by {_accepting(context, step)}"

    def before(self, step: Step, context: Context) -> Saved:  # noqa: ARG002
        return {}

    def do(self, step: Step, saved: Saved, context: Context) -> Outcome:  # noqa: ARG002
        if not context.accepts(step.id):
            raise StepFailed(f"{step.title}: do that, and confirm it by its name ({_accepting(context, step)})")
        return Outcome("confirmed by name")

    def undo(self, step: Step, saved: Saved, context: Context) -> Outcome:  # noqa: ARG002
        return Outcome(skipped=True)


def _nothing_hinders(context: Context) -> None:
    if hindered := list(dict.fromkeys(hindered_end(context))):
        raise StepFailed(
            f"what comes next could not be done, and nothing of it is: {'; '.join(hindered)} (or accept one by its "
            f"name: {context.spelling(Said.ACCEPT)})"
        )


def _nobody_pushes(context: Context) -> None:
    if writing := pushing_roles(context.client):
        raise StepFailed(
            "roles still give the right to push to the old registry, made since the plan or given back since this "
            f"freeze began, as by a release that was applied again: {told(writing, context)}. Keep whoever writes them "
            "from doing so, take the right away by the command, and run again; or roll back and plan anew"
        )


def _now() -> str:
    return datetime.now(UTC).strftime(_FORM)


def _accepting(context: Context, step: Step) -> str:
    return context.spelling(Said.ACCEPT, f"'{step.id}'")


def _advice(step: Step, context: Context) -> str:
    """How somebody goes on all the same; empty for what nobody should."""
    if {"batch", "readiness"} & set(step.parameters):
        return f" (or accept a workload by its name: {context.spelling(Said.ACCEPT, _WORKLOAD)})"
    return f" (or accept that by its name: {_accepting(context, step)})" if "serving" in step.parameters else ""


def _rolling(context: Context, namespace: str) -> Iterator[str]:
    """Workloads of a batch that are not yet what they were changed to, and their Pods that wait for an image."""
    yield from not_rolled(context, namespace)
    passed = tuple(f"Pod {name.namespace}/{name.name}-" for name in passed_over(context, namespace))
    yield from (said for said in _failing(context, namespace) if not said.startswith(passed))


def _failing(context: Context, namespace: str = "") -> Iterator[str]:
    """Containers that wait for an image of ours, in one namespace, or of either registry in all of them."""
    ours = tuple(f"{host}/" for host in (moved_hosts(context) if namespace else all_hosts(context)))
    for pod in items(context.client, object_path("v1", "pods", namespace=namespace), limit=200):
        for status in (
            *(at(pod, "status", "containerStatuses") or ()),
            *(at(pod, "status", "initContainerStatuses") or ()),
        ):
            reason = at(status, "state", "waiting", "reason")
            if reason in _BAD and str(status.get("image", "")).startswith(ours):
                place = f"{pod['metadata'].get('namespace', namespace)}/{pod['metadata']['name']}"
                if context.accepts(f"pod:{place}"):
                    continue
                yield f"Pod {place}: {reason} for {status['image']}"


def jobs_at_work(client: ClusterClient, names: Any) -> Iterator[str]:
    """Jobs with running Pods, of those named or made by a CronJob that is named: suspending it ends none."""
    wanted = {(str(kind), str(name), str(namespace)) for kind, name, namespace in names}
    for namespace in sorted({place for _, _, place in wanted}):
        for job in items(client, object_path("batch/v1", "jobs", namespace=namespace), limit=200):
            owners = at(job, "metadata", "ownerReferences") or ()
            known = {("Job", job["metadata"]["name"], namespace)}
            known |= {(owner.get("kind"), owner.get("name"), namespace) for owner in owners}
            if known & wanted and at(job, "status", "active"):
                yield f"Job {namespace}/{job['metadata']['name']} is at work"


def _standing(context: Context, names: Any) -> Iterator[ObjectName]:
    """Those that are there."""
    found = ClusterObjects(context.client)
    for kind, name, namespace, api_version in names:
        place = ObjectName(str(kind), str(name), str(namespace), str(api_version))
        if found.find(place) is not None:
            yield place
