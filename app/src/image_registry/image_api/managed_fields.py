"""Who set which member of an object, and what follows from it: server-side apply (Kubernetes API, "Server-Side Apply").

Every write through the API leaves its manager in ``metadata.managedFields``. Somebody who applies says all that he
means: what he said before and does not say any more goes, unless another manager has it too; what another manager has
set to something else is a conflict, which names that manager, unless he forces it.

What the registry itself does to a stream (a push, an import) has no manager: it is ``status``, which nobody applies.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from image_registry.image_api.field_sets import (
    NOTHING,
    Fields,
    Path,
    children,
    element,
    everything,
    from_tree,
    is_atomic,
    is_set,
    key_of,
    owned,
    readable,
    to_tree,
)
from image_registry.image_api.forms import of_kind, resolve
from image_registry.image_api.resources import GROUP_VERSION
from image_registry.image_api.schema_words import Schema
from image_registry.image_api.status import Cause, Conflict

BEFORE = "before-first-apply"
"""Manager of whatever an object had before anybody applied to it and nobody was known to have set."""

ANCIENT = "ancient-changes"
MOST_UPDATERS = 10
"""Managers of updates that are told apart; the oldest of more become one."""

_NOBODYS = frozenset(
    ("f:metadata", f"f:{name}")
    for name in (
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "selfLink",
        "managedFields",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    )
)
"""Members that no manager sets."""

_ALWAYS_THERE = frozenset({("f:apiVersion",), ("f:kind",), ("f:metadata",), ("f:spec",), ("f:status",)})


@dataclass(frozen=True, slots=True)
class Manager:
    """One entry of ``managedFields``."""

    name: str
    operation: str
    fields: Fields
    time: str
    subresource: str = ""
    version: str = GROUP_VERSION

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """Writes of the same identity belong to the same entry."""
        return self.name, self.operation, self.version, self.subresource

    def described(self) -> str:
        """As conflicts name it."""
        text = json.dumps(self.name)
        if self.subresource:
            text += f" with subresource {json.dumps(self.subresource)}"
        if self.operation == "Update":
            text += f" using {self.version}" + (f" at {self.time}" if self.time else "")
        return text

    def document(self) -> dict[str, Any]:
        """A ``ManagedFieldsEntry``."""
        entry = {
            "manager": self.name,
            "operation": self.operation,
            "apiVersion": self.version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": to_tree(self.fields),
        }
        return entry | ({"subresource": self.subresource} if self.subresource else {})


def read(entries: Sequence[Mapping[str, Any]]) -> tuple[Manager, ...]:
    """From ``managedFields``."""
    return tuple(
        Manager(
            str(entry.get("manager", "")),
            str(entry.get("operation", "")),
            frozenset(from_tree(entry.get("fieldsV1"))),
            str(entry.get("time", "")),
            str(entry.get("subresource", "")),
            str(entry.get("apiVersion", "")),
        )
        for entry in entries
    )


def updated(
    before: Mapping[str, Any], after: Mapping[str, Any], kind: str, name: str, now: str, subresource: str = ""
) -> list[dict[str, Any]]:
    """``managedFields`` of ``after``, which ``name`` made of ``before`` by creating, replacing or patching it."""
    schema = of_kind(kind)
    changed, gone = _compared(before, after, schema, subresource)
    managers = _reset(before, after)
    me = Manager(name, "Update", NOTHING, now, subresource)
    mine = next((manager for manager in managers if manager.identity == me.identity), me)
    others = [_without(manager, changed | gone) for manager in managers if manager.identity != me.identity]
    fields = (mine.fields - gone) | changed
    kept = replace(mine, fields=fields, time=now if changed or fields != mine.fields else mine.time)
    return _documents([*others, kept])


def applied(
    live: Mapping[str, Any],
    wanted: Mapping[str, Any],
    kind: str,
    name: str,
    now: str,
    *,
    force: bool,
    subresource: str = "",
) -> dict[str, Any]:
    """The object after ``name`` applied ``wanted`` to ``live``, which is empty if there is none yet.

    Raises ``Conflict`` whose causes name the managers.
    """
    schema = of_kind(kind)
    managers = read(live.get("metadata", {}).get("managedFields", ()))
    if not managers and live:
        fields = frozenset(owned(live, schema)) - _foreign(owned(live, schema), subresource)
        managers = (Manager(BEFORE, "Update", fields, now),)
    me = Manager(name, "Apply", NOTHING, now, subresource)
    mine = next((manager for manager in managers if manager.identity == me.identity), me)
    others = [manager for manager in managers if manager.identity != me.identity]
    meant = owned(wanted, schema)
    # an empty spec that is sent is meant: nothing else of it is in the set
    fields = frozenset(meant - _foreign(meant, subresource) | (meant & {("f:spec",)}))
    result: dict[str, Any] = _merged(live, wanted, schema)
    given_up = mine.fields - fields - frozenset().union(*(manager.fields for manager in others))
    _prune(result, given_up, fields, others, schema)
    changed, gone = _compared(live, result, schema, subresource)
    conflicts = [(manager, path) for manager in others for path in sorted(manager.fields & changed & fields)]
    if conflicts and not force:
        raise _conflict(conflicts)
    others = [_without(manager, changed | gone) for manager in others]
    kept = replace(mine, fields=fields, time=now if fields != mine.fields or changed or gone else mine.time)
    result["metadata"]["managedFields"] = _documents([*others, kept])
    return result


def _compared(
    before: Mapping[str, Any], after: Mapping[str, Any], schema: Schema, subresource: str
) -> tuple[Fields, Fields]:
    """Paths that were added or changed, and paths that are gone."""
    old, new = everything(before, schema), everything(after, schema)
    changed = {path for path, value in new.items() if path not in old or old[path] != value}
    gone = old.keys() - new.keys()
    return frozenset(changed - _foreign(changed, subresource)), frozenset(gone)


def _foreign(paths: set[Path], subresource: str) -> set[Path]:
    """What a write through this door cannot set."""
    other = "f:spec" if subresource == "status" else "f:status"
    return {path for path in paths if path in _ALWAYS_THERE or path[:2] in _NOBODYS or path[0] == other}


def _reset(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Manager, ...]:
    """The managers so far; a single empty entry sent by a client asks to forget them all."""
    sent = after.get("metadata", {}).get("managedFields")
    if sent == [{}]:
        return ()
    return read(before.get("metadata", {}).get("managedFields", ()))


def _without(manager: Manager, paths: Fields) -> Manager:
    return replace(manager, fields=manager.fields - paths)


def _documents(managers: Sequence[Manager]) -> list[dict[str, Any]]:
    """Those who apply first, then those who update by time; who owns nothing is not named."""
    found = [manager for manager in managers if manager.fields]
    appliers = sorted((one for one in found if one.operation == "Apply"), key=lambda one: one.name)
    updaters = sorted((one for one in found if one.operation != "Apply"), key=lambda one: (one.time, one.name))
    if len(updaters) > MOST_UPDATERS:
        old, updaters = updaters[: -MOST_UPDATERS + 1], updaters[-MOST_UPDATERS + 1 :]
        fields = frozenset().union(*(manager.fields for manager in old))
        updaters.insert(0, Manager(ANCIENT, "Update", fields, old[-1].time))
    return [manager.document() for manager in (*appliers, *updaters)]


def _merged(live: Any, wanted: Any, schema: Schema) -> Any:
    """What both say; where they differ ``wanted`` is right."""
    if is_atomic(schema) or live is None:
        return copy.deepcopy(wanted)
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        result = copy.deepcopy(dict(live))
        known, others = schema.get("properties", {}), schema.get("additionalProperties", {})
        for name, value in wanted.items():
            result[name] = _merged(live.get(name), value, resolve(known.get(name, others)))
        return result
    if isinstance(wanted, list) and isinstance(live, list):
        items, key = resolve(schema["items"]), key_of(schema)
        result_list = copy.deepcopy(live)
        places = {element(entry, key): place for place, entry in enumerate(live)}
        for entry in wanted:
            place = places.get(element(entry, key))
            if place is None:
                result_list.append(copy.deepcopy(entry))
            elif not is_set(schema):
                result_list[place] = _merged(live[place], entry, items)
        return result_list
    return copy.deepcopy(wanted)


def _prune(document: dict[str, Any], given_up: Fields, kept: Fields, others: Sequence[Manager], schema: Schema) -> None:
    """Take away what the manager does not say any more and nobody else has."""
    needed = set(kept).union(*(manager.fields for manager in others))
    holding = {path[:length] for path in needed for length in range(1, len(path) + 1)}
    gone = {path for path in given_up if path not in holding}
    if gone:
        above = {path[:length] for path in gone for length in range(1, len(path))}
        _prune_below(document, schema, (), gone, above, holding)


def _prune_below(value: Any, schema: Schema, path: Path, gone: set[Path], above: set[Path], holding: set[Path]) -> None:
    for name, member, described in list(children(value, schema)):
        here = (*path, name)
        remove = here in gone
        if not remove and here in above:
            before = bool(member)
            _prune_below(member, described, here, gone, above, holding)
            # what was there only to hold what is gone goes with it
            remove = before and not member and here not in holding and len(here) > 1
        if remove and isinstance(value, dict):
            del value[name.removeprefix("f:")]
        elif remove and isinstance(value, list):
            value.remove(member)


def _conflict(conflicts: Sequence[tuple[Manager, Path]]) -> Conflict:
    causes = [
        Cause("FieldManagerConflict", f"conflict with {manager.described()}", readable(path))
        for manager, path in conflicts
    ]
    if len(causes) == 1:
        told = f"{causes[0].message}: {causes[0].field}"
    else:
        by_manager: dict[str, list[str]] = {}
        for cause in causes:
            by_manager.setdefault(cause.message.replace("conflict", "conflicts", 1), []).append(cause.field)
        told = "\n".join(
            f"{manager}:\n" + "\n".join(f"- {path}" for path in paths) for manager, paths in by_manager.items()
        )
    word = "conflict" if len(causes) == 1 else "conflicts"
    return Conflict(f"Apply failed with {len(causes)} {word}: {told}", causes=causes)
