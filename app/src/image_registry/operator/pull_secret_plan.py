"""What the pull Secret of one ServiceAccount and the binding of one namespace need: values in, actions out. Pure.

The name comes first, in the ServiceAccount, and then the Secret of that name: a Pod copies the list of its
ServiceAccount when it is made, and looks for the Secret only when it pulls. So a Pod that is made a moment after its
namespace has the name already; and whoever goes on after a crash finds the name there, and can not make a second one.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from image_registry.operator import pull_secret_content as content
from image_registry.operator.config_values import MANAGED, REMOVED
from image_registry.operator.pull_secret_content import Content
from image_registry.operator.pull_secret_settings import AUDIENCE, Settings

LIFETIME = 3600
"""Seconds that a token is asked for."""

EARLIEST, LATEST = 0.45, 0.6
"""Parts of its life at which a token is renewed: each at its own, or those made together would stay together."""

BINDING = "image-registry-system-image-pullers"
ROLE = "system:image-puller"
MADE_BY = {
    "app.kubernetes.io/managed-by": "cluster-image-registry-operator",
    "app.kubernetes.io/part-of": "image-registry",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A ServiceAccount: ``pulls`` is its list ``imagePullSecrets``, ``reference`` the Secret that we wrote down."""

    namespace: str
    name: str
    uid: str
    version: str
    pulls: tuple[str, ...] = ()
    reference: str = ""
    ending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A Secret that is, or was, one of ours, and says that it belongs to ``account``."""

    namespace: str
    name: str
    uid: str
    version: str
    account: str
    marked: bool
    """Labels, annotations and type are as they are written."""
    owner: str
    """uid of the ServiceAccount that owns it."""
    right_type: bool = True
    content: Content | None = None


@dataclass(frozen=True, slots=True)
class Refer:
    """Write ``reference`` and ``pulls`` into the ServiceAccount, if it is still of this version."""

    account: Account
    reference: str
    pulls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Make:
    """A new Secret with a new token."""

    account: Account
    name: str


@dataclass(frozen=True, slots=True)
class Renew:
    """A new token into a Secret."""

    account: Account
    held: Held
    why: str


@dataclass(frozen=True, slots=True)
class Drop:
    """Delete a Secret."""

    held: Held
    why: str


Action = Refer | Make | Renew | Drop


@dataclass(frozen=True, slots=True)
class Plan:
    """``again``: the time by the cluster's clock at which there will be something to do; 0 for never."""

    actions: tuple[Action, ...] = ()
    again: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What holds for all: ``keys`` are those whose tokens are accepted, ``None`` if that is not known."""

    settings: Settings
    keys: frozenset[str] | None = None
    taken: frozenset[tuple[str, str]] = field(default=frozenset())
    """Secrets, by namespace and name, that are somebody else's."""


def plan(account: Account | None, held: Iterable[Held], around: Surroundings, now: float, suffix: str) -> Plan:
    """``held`` are the Secrets that say they are this ServiceAccount's; ``suffix`` ends the name of a new one."""
    found = sorted(held, key=lambda one: one.name)
    if account is not None and account.ending:
        return Plan()  # the garbage collector takes the Secret with it
    namespace = account.namespace if account is not None else found[0].namespace if found else ""
    settings = around.settings
    if account is not None and settings.wanted_in(namespace):
        return _wanted(account, found, around, now, suffix)
    if settings.state in (MANAGED, REMOVED):
        why = "the ServiceAccount is gone" if account is None else "it is not wanted any more"
        return Plan((*_let_go(account, found), *(Drop(one, why) for one in found)))
    return Plan()


def _wanted(account: Account, found: list[Held], around: Surroundings, now: float, suffix: str) -> Plan:
    chosen = _chosen(account, found, around, now)
    name = chosen.name if chosen is not None else _name(account, around, suffix)
    spare = [one for one in found if one is not chosen]
    actions: list[Action] = []
    left = {one.name for one in spare} | ({account.reference} - {name})
    left = {one for one in left if one and (content.may_be_named(account.name, one))}
    pulls = tuple(one for one in account.pulls if one not in left)
    if name not in pulls:
        pulls = (*pulls, name)
    if account.reference != name or account.pulls != pulls:
        actions.append(Refer(account, name, pulls))
    again = 0.0
    if chosen is None:
        actions.append(Make(account, name))
    elif not chosen.right_type:
        actions += [Drop(chosen, "its type can not be changed"), Make(account, name)]
    elif why := stale(account, chosen, around, now):
        actions.append(Renew(account, chosen, why))
    else:
        again = renewed_at(chosen)
    actions += [Drop(one, "the ServiceAccount has another one") for one in spare]
    return Plan(tuple(actions), again)


def _chosen(account: Account, found: list[Held], around: Surroundings, now: float) -> Held | None:
    """The one that the ServiceAccount names; else one that is there is adopted, the best first."""
    for one in found:
        if one.name == account.reference:
            return one
    worth = {
        one.name: (one.name not in account.pulls, stale(account, one, around, now) != "", one.name) for one in found
    }
    return min(found, key=lambda one: worth[one.name], default=None)


def _name(account: Account, around: Surroundings, suffix: str) -> str:
    known = account.reference
    free = (account.namespace, known) not in around.taken
    return known if free and content.may_be_named(account.name, known) else content.name_of(account.name, suffix)


def _let_go(account: Account | None, found: list[Held]) -> tuple[Refer, ...]:
    if account is None:
        return ()
    ours = {one.name for one in found}
    if account.reference and content.may_be_named(account.name, account.reference):
        ours.add(account.reference)
    pulls = tuple(one for one in account.pulls if one not in ours)
    return (Refer(account, "", pulls),) if account.reference or pulls != account.pulls else ()


def stale(account: Account, held: Held, around: Surroundings, now: float) -> str:
    """Why a Secret needs a new token, in one word; empty if it does not."""
    said = held.content
    if not held.marked or held.owner != account.uid:
        return "marks"
    if said is None or said.secret_uid != held.uid or AUDIENCE not in said.audiences:
        return "content"
    if said.account != account.name or said.account_uid != account.uid:
        return "account"
    if said.hosts != around.settings.hosts:
        return "hosts"
    if around.keys is not None and said.key not in around.keys:
        return "key"
    return "age" if now >= renewed_at(held) else ""


def renewed_at(held: Held) -> float:
    """When a token is due, by the cluster's clock: the same answer in every process, another one for every token."""
    said = held.content
    if said is None:
        return 0.0
    part = zlib.crc32(f"{held.uid} {said.issued:.0f}".encode()) / 2**32
    return said.issued + (said.expires - said.issued) * (EARLIEST + (LATEST - EARLIEST) * part)


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingState:
    """The RoleBinding of a namespace: as it should be, and whether we have made it."""

    right: bool
    ours: bool
    right_role: bool = True


@dataclass(frozen=True, slots=True)
class BindingPlan:
    """Delete it, write it, or both in this order."""

    delete: bool = False
    write: bool = False


def plan_binding(namespace: str, known: BindingState | None, settings: Settings) -> BindingPlan:
    """A binding whose role is another one can only be made anew."""
    if settings.wanted_in(namespace):
        if known is not None and known.right:
            return BindingPlan()
        return BindingPlan(delete=known is not None and not known.right_role, write=True)
    if settings.state in (MANAGED, REMOVED):
        return BindingPlan(delete=known is not None and known.ours)
    return BindingPlan()


def binding(namespace: str) -> dict[str, Any]:
    """``image-registry-system-image-pullers``."""
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": BINDING, "namespace": namespace, "labels": MADE_BY},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": ROLE},
        "subjects": [{"apiGroup": group, "kind": "Group", "name": f"system:serviceaccounts:{namespace}"}],
    }


def binding_state(item: Mapping[str, Any]) -> BindingState:
    """Of a RoleBinding as it is."""
    metadata = item.get("metadata") or {}
    wanted = binding(str(metadata.get("namespace")))
    labels = metadata.get("labels") or {}
    ours = all(labels.get(name) == value for name, value in MADE_BY.items())
    right_role = item.get("roleRef") == wanted["roleRef"]
    right = ours and right_role and item.get("subjects") == wanted["subjects"]
    return BindingState(right=right, ours=ours, right_role=right_role)
