"""Actions on single objects: apply, patch, delete, save. What was there is saved first and comes back on a rollback.

As narrow as they change, they take back: their own fields, and objects that are gone. What somebody else has written
since stays, and is told.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from image_registry.kube.client import object_path
from image_registry.kube.errors import KubeError
from image_registry.kube.listing import items
from image_registry.migration.actions import Context, Outcome, Saved, StepFailed, Untouched
from image_registry.migration.cluster_objects import ClusterObjects, Document, restorable
from image_registry.migration.facts import ObjectName
from image_registry.migration.generations import RIGHTS_GROUP, RIGHTS_RESOURCE
from image_registry.migration.leaving_release import reachable, records_of
from image_registry.migration.legacy_rights import without_writing
from image_registry.migration.plan import Step
from image_registry.migration.rewriting import Change
from image_registry.migration.spelling import Said

ABSENT: Saved = {"absent": True}
_RULES = frozenset({"addRules", "legacyRules", "withoutWriting"})
"""Parameters that are about the rules of a role."""
_NAMES = (("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace"))
SERVER_FAULT = 500
GONE_SECONDS = 60.0
"""For which a deleted object may still be seen."""


def object_of(step: Step) -> ObjectName:
    """The object that a step is about; every step of these actions has one."""
    if step.object is None:
        raise StepFailed(f"step {step.id} names no object: the plan was made by another version, make it anew")
    return step.object


def objects_of(step: Step, context: Context) -> ClusterObjects:
    """Those of the cluster in which the step's object lies."""
    if step.parameters.get("cluster") != "global":
        return ClusterObjects(context.client)
    if context.global_client is None:
        raise StepFailed(
            f"{step.object} lies in the global cluster: name it ({context.spelling(Said.GLOBAL_KUBECONFIG)}), or "
            f"remove the object by hand and accept the step by its name ({accepting(context, step.id)})"
        )
    return ClusterObjects(context.global_client)


def accepting(context: Context, name: str) -> str:
    """How somebody accepts that."""
    return context.spelling(Said.ACCEPT, f"'{name}'")


def _as_it_will_be(step: Step, context: Context) -> Document | None:
    """When the step has its turn; steps before it may have the same object."""
    find = objects_of(step, context).find
    return find(object_of(step)) if _beyond(step) else context.ahead.find(object_of(step), find)


def _remember(step: Step, context: Context, document: Document | None) -> None:
    if not _beyond(step):
        context.ahead.objects[object_of(step)] = document


def _same(one: Document, other: Document | None) -> bool:
    """Whether nothing was written that anybody decides about."""
    return other is not None and restorable(one) == restorable(other)


def _beyond(step: Step) -> bool:
    return step.parameters.get("cluster") == "global"


def _by_hand(step: Step, context: Context) -> bool:
    """Whether it lies where nobody leads us, and somebody has confirmed it by its name."""
    elsewhere = step.parameters.get("cluster") == "global" and context.global_client is None
    return elsewhere and context.accepts(step.id)


def _waited_for_later(step: Step, context: Context) -> bool:
    """Whether it is a record: one may stay until its release is gone, which waits for the roles that we hold."""
    return step in records_of(context.plan) and any("gone" in later.parameters for later in context.plan.steps)


class Apply:
    """``document``, whatever was there before."""

    def foresee(self, step: Step, context: Context) -> str:
        found, name = objects_of(step, context), object_of(step)
        current = found.find(name)
        if current is None:
            return f"makes {name}"
        wanted = found.apply(name, step.document, dry_run=True)
        return "" if _same(wanted, current) else f"changes {name}"

    def before(self, step: Step, context: Context) -> Saved:
        return saved_object(objects_of(step, context), object_of(step))

    def do(self, step: Step, saved: Saved, context: Context) -> Outcome:  # noqa: ARG002
        found, name = objects_of(step, context), object_of(step)
        current = found.find(name)
        made = found.apply(name, step.document)
        applied = [[list(path), at_path(made, path)] for path, _ in _applied(step.document)]
        return Outcome(f"{step.object} is as planned", saved={"applied": applied}, skipped=_same(made, current))

    def undo(self, step: Step, saved: Saved, context: Context) -> Outcome:
        name, found = object_of(step), objects_of(step, context)
        if "object" not in saved or found.find(name) is None:
            return put_back(found, name, saved)
        before, left = saved["object"], list[str]()
        ours = {path: [value] for path, value in _applied(step.document)}
        for path, value in saved.get("applied", ()):
            ours.setdefault(tuple(path), []).append(value)  # as the API server spells it

        def back(current: Document) -> Document:
            left.clear()
            for path, values in ours.items():
                stands, wanted = at_path(current, path), at_path(before, path)
                if stands == wanted:
                    continue
                if stands in values:
                    put_path(current, path, wanted)
                else:
                    left.append("/".join(path))
            return current

        found.change(name, back)
        return Outcome(f"{name}: {_left(left)}" if left else f"{name} is as it was")


class Save:
    """An object as it is, for the way back."""

    def foresee(self, step: Step, context: Context) -> str:  # noqa: ARG002
        return f"writes {step.object} down"

    def before(self, step: Step, context: Context) -> Saved:
        return saved_object(objects_of(step, context), object_of(step))

    def do(self, step: Step, saved: Saved, context: Context) -> Outcome:  # noqa: ARG002
        return Outcome("there is none" if saved == ABSENT else f"{step.object} is written down")

    def undo(self, step: Step, saved: Saved, context: Context) -> Outcome:
        return put_back(objects_of(step, context), object_of(step), saved)


class Delete:
    """One object, which is saved if a rollback makes it again; or with a ``selector`` many that nobody needs back."""

    def foresee(self, step: Step, context: Context) -> str:
        if "selector" in step.parameters:
            number = len(self._selected(step, context))
            return f"removes {number} objects" if number else ""
        reachable(step, context)
        if _by_hand(step, context):
            return ""  # a person has removed it, as somebody confirmed
        name = object_of(step)
        if _as_it_will_be(step, context) is None:
            return ""
        _remember(step, context, None)
        return f"removes {name}"

    def before(self, step: Step, context: Context) -> Saved:
        reachable(step, context)
        if not step.undo or "selector" in step.parameters or _by_hand(step, context):
            return {}  # nobody takes it back, and what a record of the platform says may be a secret
        return saved_object(objects_of(step, context), object_of(step))

    def do(self, step: Step, saved: Saved, context: Context) -> Outcome:  # noqa: ARG002
        if "selector" in step.parameters:
            return self._many(step, context)
        if _by_hand(step, context):
            return Outcome("confirmed by name: a person has removed it", skipped=True)
        found, name = objects_of(step, context), object_of(step)
        try:
            removed = found.remove(name)
        except KubeError as error:
            if error.status < SERVER_FAULT:  # an answer of those who decide, not of a server that does not know itself
                raise Untouched(str(error)) from None
            raise
        if removed and _waited_for_later(step, context):
            return Outcome(f"{name} is deleted; that it is gone is waited for with its release")
        deadline = context.clock() + GONE_SECONDS
        while found.find(name) is not None:
            if context.clock() > deadline:
                raise StepFailed(f"{name} is deleted and still there: look at its finalizers, then run again")
            context.sleep(1)
        return Outcome(f"{name} is removed" if removed else f"{name} was not there", skipped=not removed)

    def undo(self, step: Step, saved: Saved, context: Context) -> Outcome:
        return put_back(objects_of(step, context), object_of(step), saved)

    def _many(self, step: Step, context: Context) -> Outcome:
        found = self._selected(step, context)
        for name in found:
            ClusterObjects(context.client).remove(name)
        return Outcome(f"{len(found)} objects are removed", skipped=not found)

    @staticmethod
    def _selected(step: Step, context: Context) -> list[ObjectName]:
        kind, selector = str(step.parameters["kind"]), str(step.parameters["selector"])
        if "=" not in selector:
            raise StepFailed(f"step {step.id} selects everything, which no plan means: make it anew")
        path = object_path("v1", f"{kind.lower()}s")
        listed = items(context.client, path, limit=200, selectors={"labelSelector": selector})
        return [ObjectName(kind, item["metadata"]["name"], item["metadata"].get("namespace", "")) for item in listed]


class Patch:
    """Single values, each only if what it expects stands there; or rules of a role."""

    def foresee(self, step: Step, context: Context) -> str:
        current = _as_it_will_be(step, context)
        if current is None:
            return ""  # who is gone pulls nothing
        if changed_since(current, step.changes) and context.accepts(changed_name(step)):
            return ""
        lines = [
            f"{change.pointer}: {said(current, change.pointer)} -> {change.after}"
            for change in step.changes
            if said(current, change.pointer) != change.after
        ]
        rules = rules_after(current, step.parameters)
        if rules is not None and rules != (current.get("rules") or []):
            lines.append("rules: " + json.dumps(rules, separators=(",", ":")))
        _remember(step, context, patched(copy.deepcopy(current), step, context))
        return f"changes {step.object}: {'; '.join(lines)}" if lines else ""

    def before(self, step: Step, context: Context) -> Saved:
        name = object_of(step)
        current = objects_of(step, context).find(name)
        if current is None:
            return ABSENT
        found: dict[str, Any] = {"values": {change.pointer: at(current, change.pointer) for change in step.changes}}
        if _RULES & set(step.parameters):
            found["rules"] = current.get("rules") or []
        return found

    def do(self, step: Step, saved: Saved, context: Context) -> Outcome:  # noqa: ARG002
        found, name = objects_of(step, context), object_of(step)
        stands = found.find(name)
        if stands is None:
            return Outcome(f"{name} is not there any more", skipped=True)
        if changed_since(stands, step.changes) and context.accepts(changed_name(step)):
            return Outcome(f"{name} is left as it is, as somebody accepted by its name", skipped=True)
        written = found.change(name, lambda current: patched(current, step, context))
        wrong = [change.pointer for change in step.changes if said(written, change.pointer) != change.after]
        if wrong:
            raise StepFailed(f"{step.object}: {', '.join(wrong)} did not stay as written; something changes it back")
        return Outcome(f"{len(step.changes) or 'rules'} of {step.object} written", skipped=_same(written, stands))

    def undo(self, step: Step, saved: Saved, context: Context) -> Outcome:
        name, found = object_of(step), objects_of(step, context)
        if found.find(name) is None:
            return Outcome(f"{name} is not there any more", skipped=True)
        left: list[str] = []

        def back(current: Document) -> Document:
            left.clear()
            for change in step.changes:
                if said(current, change.pointer) == change.after:
                    put(current, change.pointer, saved.get("values", {}).get(change.pointer, change.before))
                elif said(current, change.pointer) != change.before:
                    left.append(change.pointer)
            if "rules" in saved:
                rules = rules_before(current.get("rules") or [], saved["rules"], step.parameters)
                if rules != (current.get("rules") or []):
                    current["rules"] = rules
            return current

        found.change(name, back)
        return Outcome(f"{name}: {_left(left)}" if left else f"{name} is as it was")


def saved_object(found: ClusterObjects, name: ObjectName) -> Saved:
    """For the way back."""
    if name.kind == "Secret":
        return {"kept": True} if found.find(name) is not None else ABSENT
    current = found.find(name)
    return ABSENT if current is None else {"object": restorable(current)}


def put_back(found: ClusterObjects, name: ObjectName, saved: Saved) -> Outcome:
    """What :func:`saved_object` wrote down, if it is gone. What is there by now was written by somebody else."""
    if "object" in saved:
        current = found.find(name)
        if current is None:
            found.create(name, saved["object"])
            return Outcome(f"{name} is as it was")
        same = restorable(current) == saved["object"]
        return Outcome(f"{name} is as it was" if same else f"{name}: {_left(['it'])}", skipped=True)
    if saved.get("absent"):
        removed = found.remove(name)
        return Outcome(f"{name} is removed", skipped=not removed)
    return Outcome(f"nothing of {name} was saved, so it is left as it is", skipped=True)


def patched(current: Document, step: Step, context: Context) -> Document:
    """As the step wants it; changes ``current``. Raises :class:`StepFailed` where something else stands."""
    for change in step.changes:
        stands = said(current, change.pointer)
        if stands == change.after:
            continue
        if stands != change.before:
            raise StepFailed(
                f"{step.object}: at {change.pointer} stands {stands!r} and not {change.before!r}, so it was changed "
                "since the plan was made: put it back; or change it by hand and accept that by its name "
                f"({accepting(context, changed_name(step))}); or discover and plan anew"
            )
        put(current, change.pointer, _typed(at(current, change.pointer), change))
    rules = rules_after(current, step.parameters)
    if rules is not None:
        current["rules"] = rules
    return current


def changed_name(step: Step) -> str:
    """By which somebody accepts that an object is left as it is, because it was changed since the plan was made."""
    return f"changed:{step.object}"


def changed_since(document: Document, changes: Iterable[Change]) -> list[str]:
    """Where neither stands what was planned from nor what was planned, as sentences."""
    return [
        f"at {change.pointer} stands {stands!r} and not {change.before!r}"
        for change in changes
        if (stands := said(document, change.pointer)) not in (change.before, change.after)
    ]


def rules_after(current: Mapping[str, Any], parameters: Mapping[str, Any]) -> list[Any] | None:
    """Rules of a role as a step leaves them; ``None`` for a step that is not about rules.

    ``addRules`` are added unless they are there; with ``withoutWriting`` nobody writes in the legacy registry by it.

    ``legacyRules`` take the place of all about legacy images: so had it plans of earlier versions.
    """
    rules = list(current.get("rules") or [])
    if parameters.get("withoutWriting"):
        return without_writing(rules)
    if "addRules" in parameters:
        return rules + [rule for rule in _plain(parameters["addRules"]) if rule not in rules]
    if "legacyRules" in parameters:
        wanted = _plain(parameters["legacyRules"])
        return [rule for rule in rules if rule in wanted or not _about_legacy(rule)] + [
            rule for rule in wanted if rule not in rules
        ]
    return None


def rules_before(stand: list[Any], before: list[Any], parameters: Mapping[str, Any]) -> list[Any]:
    """What the step took away comes back, what it added goes; a rule of anybody else is left."""
    made = rules_after({"rules": before}, parameters) or []
    if stand == made:
        return before
    kept = [rule for rule in stand if rule in before or rule not in made]
    return kept + [rule for rule in before if rule not in made and rule not in kept]


def _about_legacy(rule: Mapping[str, Any]) -> bool:
    return RIGHTS_GROUP in (rule.get("apiGroups") or ()) and RIGHTS_RESOURCE in (rule.get("resources") or ())


def _plain(rules: Iterable[Any]) -> list[Any]:
    found: list[Any] = json.loads(json.dumps(list(rules), default=list))
    return found


def _typed(stands: Any, change: Change) -> Any:
    """The new value in the type of the one that stands there; a plan has texts."""
    if change.after in ("true", "false"):
        return change.after == "true"
    if change.after.isdecimal() and (stands is None or isinstance(stands, int)):
        return int(change.after)
    return change.after


def at(document: Any, pointer: str) -> Any:
    """What stands there; ``None`` for nothing."""
    for key in _keys(pointer):
        if isinstance(document, list):
            document = document[int(key)] if key.isdecimal() and int(key) < len(document) else None
        else:
            document = document.get(key) if isinstance(document, dict) else None
    return document


def said(document: Any, pointer: str) -> str:
    """The same as a plan has it: what is not there is ``false`` where a truth belongs, and empty else."""
    found = at(document, pointer)
    if found is None:
        return "false" if pointer.endswith("/suspend") else ""
    return ("true" if found else "false") if isinstance(found, bool) else str(found)


def put(document: Any, pointer: str, value: Any) -> None:
    """Write there; ``None`` takes away. The way to it is there, for what it expects was."""
    *way, last = _keys(pointer)
    for key in way:
        document = document[int(key)] if isinstance(document, list) else document[key]
    if isinstance(document, list):
        document[int(last)] = value
    elif value is None:
        document.pop(last, None)
    else:
        document[last] = value


Path = tuple[str, ...]


def at_path(document: Any, path: Path) -> Any:
    """What stands there; ``None`` for nothing."""
    for key in path:
        document = document.get(key) if isinstance(document, Mapping) else None
    return document


def put_path(document: Document, path: Path, value: Any) -> None:
    """Write there; ``None`` takes away, and with it objects that are empty then."""
    key, *rest = path
    if rest:
        inner = document.setdefault(key, {})
        put_path(inner, tuple(rest), value)
        if value is None and not inner:
            del document[key]
    elif value is None:
        document.pop(key, None)
    else:
        document[key] = value


def _applied(document: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The fields of an applied document, lists whole, without those that say which object it is."""
    for key, value in document.items():
        if (*path, key) in _NAMES:
            continue
        if isinstance(value, Mapping):
            yield from _applied(value, (*path, key))
        else:
            yield (*path, key), value


def _left(what: Iterable[str]) -> str:
    return f"{', '.join(what)} was changed by somebody else since, and is left as it is"


def _keys(pointer: str) -> list[str]:
    return [key.replace("~1", "/").replace("~0", "~") for key in pointer.split("/")[1:]]
