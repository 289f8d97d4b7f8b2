"""Who may push to the registry before, and how that right is taken away where somebody has given it back.

The freeze narrows roles once. A release that is applied again writes them as its chart has them: with the right to
push, and without the rights on image streams that were added. So both are told in one command, and where a role is
again what this migration has found, word for word, it is narrowed again without asking anybody.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from image_registry.kube.client import ClusterClient, object_path
from image_registry.migration.access_facts import RBAC, may_write, read_roles, role_fact
from image_registry.migration.actions import Context, StepFailed
from image_registry.migration.cluster_objects import ClusterObjects, Document
from image_registry.migration.facts import ObjectName, RoleFact
from image_registry.migration.gates import Item
from image_registry.migration.object_actions import rules_after
from image_registry.migration.phases import Phase
from image_registry.migration.reading import Reader


def pushing_roles(client: ClusterClient) -> list[RoleFact]:
    """Roles with the right to push to the registry before. Raises :class:`StepFailed` if they cannot be read."""
    reader = Reader(client)
    found = [role for role in read_roles(reader) if may_write(role)]
    if reader.unread:
        raise StepFailed(f"roles cannot be read ({reader.unread[0].why}), so nobody knows that pushes are refused")
    return found


def roles_that_push(context: Context) -> Iterator[Item]:
    """Each of them, with the command that takes the right away; where one only looks, as earlier steps leave them."""
    for role in pushing_roles(context.client):
        there = context.ahead.find(role.object, lambda name: _document(name, context))
        if there is None or not _gives(there, role.object):
            continue
        whose = f"; the release {role.owner} writes it: keep that from being applied again" if role.owner else ""
        yield Item(
            f"role:{role.object}",
            str(role.object),
            "it gives the right to push to the registry before: take that away and run again "
            f"({_command(there, role.object, context)}){whose}",
        )


def narrow_again(context: Context) -> list[ObjectName]:
    """Narrow those that the freeze had narrowed and that have rules again that this migration has written down."""
    narrowed = []
    frozen = {step.object for step in context.plan.phase(Phase.FREEZE) if step.parameters.get("withoutWriting")}
    for name in [role.object for role in pushing_roles(context.client) if role.object in frozen]:
        known = [context.saved(step).get("rules") for step in context.plan.steps if step.object == name]
        if (_document(name, context) or {}).get("rules") in known:
            ClusterObjects(context.client).change(name, partial(_narrowed, name=name, known=known, context=context))
            narrowed.append(name)
    return narrowed


def _narrowed(current: Document, *, name: ObjectName, known: list[Any], context: Context) -> Document:
    return {**current, "rules": _closed(current, name, context)} if current.get("rules") in known else current


def told(roles: list[RoleFact], context: Context) -> str:
    """What they are and how the right is taken away, as a clause; the first of many."""
    said = []
    for role in roles[:5]:
        whose = f" (written by the release {role.owner})" if role.owner else ""
        how = _command(_document(role.object, context) or {}, role.object, context)
        said.append(f"{role.object}{whose}: {how}")
    return "; ".join(said) + (f" and {len(roles) - 5} more" if len(roles) > 5 else "")


def _document(name: ObjectName, context: Context) -> Document | None:
    return context.client.find(object_path(RBAC, f"{name.kind.lower()}s", name.name, namespace=name.namespace))


def _gives(document: Mapping[str, Any], name: ObjectName) -> bool:
    found = role_fact(document, name.kind)
    return found is not None and may_write(found)


def _closed(document: Mapping[str, Any], name: ObjectName, context: Context) -> list[Any]:
    """Its rules as prepare and the freeze leave them: with what prepare adds, and without the right to push."""
    rules = list(document.get("rules") or [])
    for step in context.plan.steps:
        if step.object == name and "addRules" in step.parameters:
            rules = rules_after({"rules": rules}, step.parameters) or rules
    return rules_after({"rules": rules}, {"withoutWriting": True}) or []


def _command(document: Mapping[str, Any], name: ObjectName, context: Context) -> str:
    patch = [{"op": "replace", "path": "/rules", "value": _closed(document, name, context)}]
    where = f" -n {name.namespace}" if name.namespace else ""
    words = shlex.quote(json.dumps(patch, separators=(",", ":")))
    what = f"{name.kind.lower()} {name.name}"
    return f"kubectl patch {what}{where} --type=json -p {words}"
