# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who has a role of the registry, and which bindings have to change so that others have it.

Private to this collection. Pure. A binding that people made is used again, so that their names stay few; one that a
program keeps as it is (a chart's, the operator's) is never changed, because the program would take that back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

GROUP = "rbac.authorization.k8s.io"
VERSION = f"{GROUP}/v1"
MANAGED_BY = "app.kubernetes.io/managed-by"

ROLES = {
    "puller": "system:image-puller",
    "pusher": "system:image-pusher",
    "deleter": "system:image-deleter",
    "pruner": "system:image-pruner",
    "signer": "system:image-signature-writer",
    "viewer": "image.alauda.io:view",
    "editor": "image.alauda.io:edit",
    "catalog_reader": "system:image-registry-catalog-reader",
    "metrics_reader": "system:image-registry-metrics-reader",
}
"""ClusterRoles that the chart makes."""

Document = dict[str, Any]


class InvalidSubject(ValueError):
    """The text names nobody; it says how to write it."""


class ForeignBinding(ValueError):
    """The binding that is asked for is not ours to write; the text says whose it is and what to do instead."""


@dataclass(frozen=True)
class Order:
    """What is asked for; ``namespace`` is empty for the whole cluster."""

    role: str
    namespace: str
    subjects: tuple[Document, ...]
    state: str
    binding: str

    @property
    def kind(self) -> str:
        """Of its bindings."""
        return "RoleBinding" if self.namespace else "ClusterRoleBinding"


def subjects(
    namespace: str, users: Iterable[str], groups: Iterable[str], accounts: Iterable[str]
) -> Iterator[Document]:
    """As bindings have them. Raises :class:`InvalidSubject`."""
    for name in users:
        parts = name.split(":")
        if name.startswith("system:serviceaccount:") and len(parts) == len("abcd") and all(parts):
            yield {"kind": "ServiceAccount", "namespace": parts[2], "name": parts[3]}
        else:
            yield {"kind": "User", "apiGroup": GROUP, "name": name}
    for name in groups:
        yield {"kind": "Group", "apiGroup": GROUP, "name": name}
    for text in accounts:
        place, _slash, name = text.rpartition("/")
        if not name or not (place or namespace):
            raise InvalidSubject(
                f"service account {text!r}: write <namespace>/<name>; a name alone is one of the option namespace"
            )
        yield {"kind": "ServiceAccount", "namespace": place or namespace, "name": name}


def gives(binding: Document, role: str) -> bool:
    """Whether it is one of this ClusterRole."""
    found = binding.get("roleRef") or {}
    return bool(found.get("kind") == "ClusterRole" and found.get("name") == role)


def of_a_program(binding: Document) -> bool:
    """Whether somebody writes it again as it was."""
    metadata = binding.get("metadata") or {}
    return MANAGED_BY in (metadata.get("labels") or {}) or bool(metadata.get("ownerReferences"))


def named(subject: Document) -> str:
    """For people, and to compare: the same subject has the same name."""
    place = f"{subject['namespace']}/" if subject.get("namespace") else ""
    return f"{subject['kind']} {place}{subject['name']}"


def holders(bindings: Iterable[Document]) -> list[str]:
    """Everybody who has the role by these."""
    return sorted({named(subject) for binding in bindings for subject in binding.get("subjects") or ()})


def plan(bindings: list[Document], order: Order, taken: set[str]) -> dict[str, list[Document]]:
    """Subjects by the name of a binding, for those that have to change; one without subjects goes.

    ``bindings`` are those of the role, ``taken`` names of all. Raises :class:`ForeignBinding`.
    """
    if order.binding and order.state != "absent":
        _refuse_foreign(bindings, order, taken)
    ours = [binding for binding in bindings if not of_a_program(binding)]
    wanted = {named(subject): subject for subject in order.subjects}
    found = {
        str(binding["metadata"]["name"]): {named(each): each for each in binding.get("subjects") or ()}
        for binding in ours
    }
    after = {name: dict(have) for name, have in found.items()}
    for have in after.values():
        for key in list(have):
            if (order.state == "absent") == (key in wanted) and order.state != "present":
                del have[key]
    if order.state != "absent":
        missing = {key: subject for key, subject in wanted.items() if key not in holders(bindings)}
        if missing:
            target = _target(after, order, taken)
            after[target] = {**after.get(target, {}), **missing}
    return {name: list(have.values()) for name, have in after.items() if list(have) != list(found.get(name, {}))}


def _refuse_foreign(bindings: list[Document], order: Order, taken: set[str]) -> None:
    """Who is written into a binding of another role gets that role, and a program writes its own again."""
    for binding in bindings:
        if binding["metadata"]["name"] == order.binding and of_a_program(binding):
            raise ForeignBinding(
                f"{order.kind} {order.binding} is kept by a program (a chart, the operator), which would take this "
                "back: name another one, or leave binding out"
            )
    if order.binding in taken and order.binding not in {binding["metadata"]["name"] for binding in bindings}:
        raise ForeignBinding(_of_another_role(order))


def _of_another_role(order: Order, name: str = "") -> str:
    return (
        f"{order.kind} {name or order.binding} gives another role than {order.role}, and whoever is written into it "
        "would get that one: name another binding, or leave binding out"
    )


def _target(ours: dict[str, Any], order: Order, taken: set[str]) -> str:
    """The binding that takes more: the named one, one of people, or a new one named like the role."""
    if order.binding:
        return order.binding
    if ours:
        return min(ours)
    name, number = order.role, 1
    while name in taken:
        name, number = f"{order.role}-{number}", number + 1
    return name


def wished(order: Order, name: str, after: list[Document], current: Document | None) -> Document | None:
    """The binding as it shall be; None without subjects. Raises :class:`ForeignBinding` for one that has changed."""
    if current is not None and not gives(current, order.role):
        raise ForeignBinding(_of_another_role(order, name))
    if not after:
        return None
    base: Document = current or {
        "apiVersion": VERSION,
        "kind": order.kind,
        "metadata": {"name": name, **({"namespace": order.namespace} if order.namespace else {})},
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": order.role},
    }
    return {**base, "subjects": after}
