"""HOLD: a release that the platform applies again by itself is let alone, from the first step on and until the end.

What is applied again comes back as its chart has it: the right to push, replicas of what was stopped, an Ingress that
went. So the annotation that asks for it goes before any of these is written, and comes back when all of them are as
they were. Whether it stays away is looked at before the freeze, with it, and before the registry is stopped; somebody
makes the release, too, and may write the annotation again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from image_registry.migration.actions import Context, Outcome, Saved, StepFailed
from image_registry.migration.cluster_objects import ClusterObjects, Document
from image_registry.migration.facts import ObjectName
from image_registry.migration.gates import Item
from image_registry.migration.object_actions import object_of
from image_registry.migration.plan import Step
from image_registry.migration.release_facts import syncs_of

LOOK_AGAIN = 12.0
"""Seconds after which it is looked at again: whoever reconciles an object answers a change of it within a few."""


class HoldRelease:
    """A :class:`~image_registry.migration.actions.Doer`; ``annotations`` of the parameters are what goes."""

    def foresee(self, step: Step, context: Context) -> str:
        name, found = object_of(step), ClusterObjects(context.client)
        current = context.ahead.find(name, found.find)
        there = _standing(step, current or {})
        if current is None or not there:
            return ""
        context.ahead.objects[name] = _without(current, step)
        return f"changes {name}: takes away {_spelled(there)}"

    def before(self, step: Step, context: Context) -> Saved:
        current = ClusterObjects(context.client).find(object_of(step))
        return {"annotations": _standing(step, current or {})}

    def do(self, step: Step, saved: Saved, context: Context) -> Outcome:
        name, found = object_of(step), ClusterObjects(context.client)
        current = found.find(name)
        there = _standing(step, current or {})
        left = _standing(step, found.change(name, lambda document: _without(document, step))) if there else {}
        if not left and (there or (current and saved.get("annotations"))):  # also if an earlier try has taken it away
            context.sleep(LOOK_AGAIN)
            left = _standing(step, found.find(name) or {})
        if left:
            raise StepFailed(
                f"{name}: {_spelled(left)} was written again within {LOOK_AGAIN:.0f} s, so this platform cannot be "
                "held from this cluster; nothing is frozen yet. Let whoever runs the platform keep it from applying "
                "this release until the migration is over (on the global cluster, where it is made), or roll back; "
                f"{_cure(name, left)}"
            )
        if not there:
            return Outcome(f"{name} is {'not there' if current is None else 'not applied again'}", skipped=True)
        return Outcome(f"{name} has no {_spelled(there)} any more, and had none after {LOOK_AGAIN:.0f} s")

    def undo(self, step: Step, saved: Saved, context: Context) -> Outcome:
        name, found = object_of(step), ClusterObjects(context.client)
        if found.find(name) is None:
            return Outcome(f"{name} is not there any more", skipped=True)
        wanted: dict[str, str] = dict(saved.get("annotations") or {})
        left = dict[str, str]()

        def back(current: Document) -> Document:
            left.clear()
            stands = current["metadata"].get("annotations") or {}
            left.update({key: stands[key] for key in wanted if stands.get(key, wanted[key]) != wanted[key]})
            if wanted:
                current["metadata"]["annotations"] = {**wanted, **stands}
            return current

        found.change(name, back)
        told = f"{name}: {_spelled(left)} was written by somebody else since, and is left as it is"
        return Outcome(told if left else f"{name} is as it was")


def applied_again(step: Step, context: Context) -> Iterator[Item]:
    """Each release of the plan that the platform applies again by itself."""
    found = ClusterObjects(context.client)
    for place in step.parameters.get("releases") or ():
        name = ObjectName(*map(str, place))
        current = context.ahead.find(name, found.find) or {}
        again = [sync for sync in syncs_of(current) if sync.on]
        cause = ""
        if again and not current["metadata"].get("deletionTimestamp"):
            written = ", ".join(dict.fromkeys(who for sync in again for who in sync.written_by)) or "nobody knows whom"
            there = {sync.annotation: sync.value for sync in again}
            cause = (
                f"the platform applies it again by itself, and takes back what this migration does: it has "
                f"{_spelled(there)}, written by {written}; {_cure(name, there)}"
            )
        yield Item(f"applied:{name}", str(name), cause)


def _standing(step: Step, document: Document) -> dict[str, str]:
    annotations = (document.get("metadata") or {}).get("annotations") or {}
    return {key: str(annotations[key]) for key in step.parameters["annotations"] if key in annotations}


def _without(document: Document, step: Step) -> Document:
    gone: Any = step.parameters["annotations"]
    annotations = {key: value for key, value in document["metadata"].get("annotations", {}).items() if key not in gone}
    return {**document, "metadata": {**document["metadata"], "annotations": annotations}}


def _cure(name: ObjectName, there: dict[str, str]) -> str:
    group = name.api_version.rpartition("/")[0]
    place = f"kubectl -n {name.namespace} annotate {name.kind.lower()}s.{group} {name.name}"
    return (
        f"take that away ({place} {' '.join(f'{key}-' for key in there)}), keep whoever writes it from doing so until "
        "the migration is over, and run again"
    )


def _spelled(annotations: dict[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in annotations.items())
