"""Installing this registry, and changing its values, through whoever keeps them: Helm, or the operator's Config.

A change names the values it is about; what stood there before comes back on a rollback, and nothing else is touched.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from image_registry.migration.access_facts import OURS
from image_registry.migration.actions import Context, Outcome, Saved, StepFailed
from image_registry.migration.cluster_objects import ClusterObjects
from image_registry.migration.facts import ObjectName
from image_registry.migration.plan import Step
from image_registry.migration.secret_actions import make_namespace

RBAC = "rbac.authorization.k8s.io/v1"
NOTHING = "(nothing)"
"""In a journal: no value stood there. No value of ours is spelled so."""

KEEPER = "keeper"
"""In a journal: by whom this step was done."""

Path = tuple[str, ...]


class Install:
    """``values`` go under ``config``, ``pruner`` under ``imagePruner``; ``legacyRules`` says who keeps the roles."""

    def foresee(self, step: Step, context: Context) -> str:
        ahead = context.ahead
        first = ahead.values is None
        current = context.settings.current() if first else ahead.values
        wanted = (_asked if first else wanted_values)(step, context, current or {})
        changes = [
            f"{'.'.join(path)}: {_at(current, path)} -> {value}"
            for path, value in leaves(wanted)
            if current is not None and _at(current, path) != value
        ]
        if current is None:
            changes = ["installs this registry"]
        ahead.values = merged(current or {}, wanted)
        if by_hand := context.settings.by_hand(ahead.values):
            raise StepFailed(f"{by_hand}, and run again")
        return "; ".join(changes)

    def before(self, step: Step, context: Context) -> Saved:
        current = context.settings.current()
        kept = {KEEPER: context.settings.keeper}
        if current is None:
            return {**kept, "absent": True, "resting": dict(context.settings.resting())}
        wanted = wanted_values(step, context, current)
        return {**kept, "values": [[list(path), _or_nothing(_at(current, path))] for path, _ in leaves(wanted)]}

    def do(self, step: Step, saved: Saved, context: Context) -> Outcome:  # noqa: ARG002
        current = context.settings.current()
        make_namespace(context, context.plan.target_namespace)
        if step.parameters.get("legacyRules") is False:
            context.settings.take_over([ObjectName("ClusterRole", name, "", RBAC) for name in OURS])
        wanted = merged(current or {}, _asked(step, context, current or {}))
        context.settings.write(wanted, context.tell)
        found = context.settings.current()
        if found is None:
            raise StepFailed("the installation ended and is not there: look at the events of its namespace")
        return Outcome("installed" if current is None else "values written", skipped=current == wanted)

    def undo(self, step: Step, saved: Saved, context: Context) -> Outcome:
        current = context.settings.current()
        if current is None:
            return Outcome("it is not installed", skipped=True)
        if saved.get("absent"):
            context.settings.remove(context.tell, saved.get("resting") or {})
            return Outcome("uninstalled; its storage is kept")
        wanted = copy.deepcopy(dict(current))
        for path, value in saved.get("values", ()):
            _put(wanted, tuple(path), value)
        wanted = merged(wanted, {"config": step.parameters["undoValues"]} if "undoValues" in step.parameters else {})
        context.settings.write(wanted, context.tell)
        return Outcome("values are as they were")


def wanted_values(step: Step, context: Context, current: Mapping[str, Any]) -> dict[str, Any]:
    """What a step asks for, in the chart's language."""
    parameters = step.parameters
    config = dict(parameters.get("values") or {})
    if "readOnly" in parameters:
        config["readOnly"] = parameters["readOnly"]
    found: dict[str, Any] = {"config": copy.deepcopy(config)} if config else {}
    if "pruner" in parameters:
        found["imagePruner"] = copy.deepcopy(dict(parameters["pruner"]))
    if parameters.get("legacyRules") is True:
        found["clusterRoles"] = {"leave": _theirs(context, current)}
    elif parameters.get("legacyRules") is False:
        found["clusterRoles"] = {"leave": []}
    return found


def _asked(step: Step, context: Context, current: Mapping[str, Any]) -> dict[str, Any]:
    """The same, above what somebody gives beside the plan."""
    return merged(context.settings.below(), wanted_values(step, context, current))


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Objects are merged, anything else is replaced."""
    found = copy.deepcopy(dict(below))
    for name, value in above.items():
        known = found.get(name)
        both = isinstance(known, Mapping) and isinstance(value, Mapping)
        found[name] = merged(known or {}, value) if both else copy.deepcopy(value)
    return found


def leaves(values: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value that is no object, with the way to it; an empty object is a value."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, (*path, name))
        else:
            yield (*path, name), value


def _theirs(context: Context, current: Mapping[str, Any]) -> list[str]:
    """ClusterRoles with names of ours that somebody else made."""
    known = _at(current, ("clusterRoles", "leave"))
    if known is not None:
        return list(known)
    found = ClusterObjects(context.client)
    names = (ObjectName("ClusterRole", name, "", RBAC) for name in OURS)
    return [] if current else [name.name for name in names if found.find(name) is not None]


def _at(values: Any, path: Path) -> Any:
    for name in path:
        values = values.get(name) if isinstance(values, Mapping) else None
    return values


def _or_nothing(value: Any) -> Any:
    return NOTHING if value is None else copy.deepcopy(value)


def _put(values: dict[str, Any], path: Path, value: Any) -> None:
    *way, last = path
    for name in way:
        values = values.setdefault(name, {})
    if value == NOTHING:
        values.pop(last, None)
    else:
        values[last] = value
