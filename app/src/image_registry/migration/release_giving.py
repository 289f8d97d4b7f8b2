"""GIVE_BACK: a release that was held and stays is applied again as before, when the migration is over."""

from __future__ import annotations

from collections.abc import Mapping

from image_registry.migration.actions import Context, Outcome, Saved, StepFailed
from image_registry.migration.cluster_objects import ClusterObjects
from image_registry.migration.object_actions import object_of
from image_registry.migration.plan import Step
from image_registry.migration.release_holding import HoldRelease


class GiveBack:
    """A :class:`~image_registry.migration.actions.Doer`; ``held`` of the parameters is the step that took it away."""

    def foresee(self, step: Step, context: Context) -> str:
        name, find = object_of(step), ClusterObjects(context.client).find
        holding, current = _holding(step, context), context.ahead.find(name, find)
        if current is None:
            return ""
        # one that is not held yet has what it will be given back
        wanted = _wanted(context.saved(holding) or HoldRelease().before(holding, context))
        stands: dict[str, str] = current["metadata"].get("annotations") or {}
        missing = {key: value for key, value in wanted.items() if key not in stands}
        if not missing:
            return ""
        metadata = {**current["metadata"], "annotations": {**missing, **stands}}
        context.ahead.objects[name] = {**current, "metadata": metadata}
        return f"changes {name}: gives back {', '.join(f'{key}={value}' for key, value in missing.items())}"

    def before(self, step: Step, context: Context) -> Saved:  # noqa: ARG002
        return {}

    def do(self, step: Step, saved: Saved, context: Context) -> Outcome:  # noqa: ARG002
        holding = _holding(step, context)
        held, current = context.saved(holding), ClusterObjects(context.client).find(object_of(step))
        stands = ((current or {}).get("metadata") or {}).get("annotations") or {}
        outcome = HoldRelease().undo(holding, held, context)
        return Outcome(outcome.detail, skipped=outcome.skipped or not _wanted(held).keys() - stands.keys())

    def undo(self, step: Step, saved: Saved, context: Context) -> Outcome:  # noqa: ARG002
        return Outcome("what held it is taken back by its own step", skipped=True)


def _holding(step: Step, context: Context) -> Step:
    found = next((each for each in context.plan.steps if each.id == step.parameters["held"]), None)
    if found is None:
        raise StepFailed(f"step {step.id} is about {step.parameters['held']}, which the plan has not: make it anew")
    return found


def _wanted(saved: Saved) -> Mapping[str, str]:
    found: Mapping[str, str] = saved.get("annotations") or {}
    return found
