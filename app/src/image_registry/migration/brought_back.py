"""What the freeze and the cutover have taken away or changed, and somebody brought back since.

A release that is applied again, a person, or a GitOps tool writes an object as it was: an Ingress that went, a job that
prunes, replicas of what was stopped. No step is done twice by itself, so it is looked at before anything depends on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile

from image_registry.migration.actions import Context
from image_registry.migration.cluster_objects import ClusterObjects
from image_registry.migration.gates import Item
from image_registry.migration.object_actions import changed_name, changed_since, said
from image_registry.migration.phases import ORDER, Action, Phase
from image_registry.migration.plan import Step


def brought_back(step: Step, context: Context) -> Iterator[Item]:
    """Objects of all steps from the freeze up to this one that are not as those left them.

    Roles and workloads are not among them: others look at what they allow, and at what they name.
    """
    found = ClusterObjects(context.client)
    for done in takewhile(lambda each: each.id != step.id, context.plan.steps):
        if ORDER.index(done.phase) < ORDER.index(Phase.FREEZE) or done.object is None or "batch" in done.parameters:
            continue
        if done.action is Action.DELETE and "cluster" not in done.parameters:
            there = context.ahead.find(done.object, found.find) is not None
            cause = "this migration has removed it, and it is there again: remove it" if there else ""
        elif done.action is Action.PATCH and done.changes:
            cause = _unlike(done, context, found)
        else:
            continue
        yield Item(f"undone:{done.object}", str(done.object), cause)


def _unlike(done: Step, context: Context, found: ClusterObjects) -> str:
    current = context.ahead.find(done.object, found.find) if done.object else None
    if current is None or "narrowed" in done.parameters:
        return ""  # an Ingress that is narrowed goes then, and that is another step
    if changed_since(current, done.changes) and context.accepts(changed_name(done)):
        return ""  # it was never changed, as somebody accepted by that name
    changed = [change for change in done.changes if said(current, change.pointer) != change.after]
    stands = "; ".join(f"at {each.pointer} stands {said(current, each.pointer)!r} again" for each in changed)
    return f"{stands}: write {', '.join(each.after for each in changed)} there" if changed else ""
