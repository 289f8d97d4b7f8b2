"""What goes with the release of the registry before, and what of it must not be missed for a moment.

The platform's two roles are those of both registries: bindings of every namespace name them. A release that is removed
takes them along, whoever owns them by then. So each is held by a finalizer, which keeps it in force when it is deleted,
until it is let go and made again in one breath, as this registry's own. Who made it anew is seen by its UID: the same
name is not the same object.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from image_registry.kube.errors import KubeError
from image_registry.kube.own_access import Right, allowed
from image_registry.migration.access_facts import OURS
from image_registry.migration.actions import Context, NotYet
from image_registry.migration.cluster_objects import ClusterObjects, restorable
from image_registry.migration.facts import ObjectName
from image_registry.migration.phases import Action, Phase
from image_registry.migration.plan import Plan, Step
from image_registry.migration.spelling import Said

OFTEN = 0.25
"""Seconds between two looks: as long does a role miss that somebody deleted before it was held."""

FINALIZER = "image.alauda.io/migration"

_VERBS = {Action.DELETE: "delete", Action.GIVE_BACK: "update"}
_OF_A_RELEASE = ("helm.sh/", "meta.helm.sh/")


def note_what_leaves(step: Step, context: Context) -> dict[str, Any]:
    """Before the wait: which objects are meant, and the roles as they stand."""
    found = ClusterObjects(context.client)
    uids: dict[str, str] = {}
    roles: dict[str, Any] = {}
    for place in _places(step):
        document = found.find(place)
        if document is not None:
            uids[str(place)] = str(document["metadata"].get("uid", ""))
            if place.kind == "ClusterRole" and place.name in OURS:
                roles[str(place)] = _of_nobody(restorable(document))
    return {"uids": uids, "roles": roles}


def hold_roles(step: Step, saved: Mapping[str, Any], context: Context) -> str:
    """Those that were noted, as far as nobody has made them anew or deletes them already; says which."""
    found, uids = ClusterObjects(context.client), saved.get("uids", {})

    def held(document: dict[str, Any]) -> dict[str, Any]:
        metadata = document["metadata"]
        if metadata.get("deletionTimestamp") or str(metadata.get("uid", "")) != uids.get(str(place)):
            return document
        return {**document, "metadata": {**metadata, "finalizers": [*_others(document), FINALIZER]}}

    places = [place for place in _places(step) if str(place) in saved.get("roles", {})]
    for place in places:
        if found.find(place) is not None:
            found.change(place, held)
    return f"{', '.join(map(str, places))} stay in force" if places else "there are none"


def let_roles_go(step: Step, saved: Mapping[str, Any], context: Context) -> str:
    """Those that :func:`hold_roles` held; one that somebody deletes meanwhile is made again as it stands."""
    found, left = ClusterObjects(context.client), list[str]()
    for place in _places(step):
        name = str(place)
        if name not in saved.get("roles", {}):
            continue
        document = found.find(place)
        if document is None:  # an earlier call was interrupted between the two
            found.create(place, saved["roles"][name])
        elif FINALIZER in (document["metadata"].get("finalizers") or ()):
            found.change(place, _let_go)
            if document["metadata"].get("deletionTimestamp") and not _others(document):
                found.create(place, _let_go(document))
        left.append(name)
    return f"{', '.join(left)} are not held any more" if left else "there are none"


def not_gone(step: Step, saved: Mapping[str, Any], context: Context) -> Iterator[str]:
    """What is still there; a role that is gone is back when this returns."""
    found = ClusterObjects(context.client)
    uids, roles = saved.get("uids", {}), saved.get("roles", {})
    for place in _places(step):
        document, name = found.find(place), str(place)
        if document is not None and name in roles and document["metadata"].get("deletionTimestamp"):
            found.change(place, _let_go)
            document = found.find(place) if _others(document) else None  # somebody else holds it, too
        if document is None:
            if name in roles:
                found.create(place, roles[name])
                context.settings.take_over([place])
                context.tell(f"  {place} went with its release, and is made again as this registry's own")
        elif name not in uids or uids[name] == str(document["metadata"].get("uid", "")):
            yield f"{place} is still there"
    yield from _records_left(context)


def hindered_end(context: Context) -> Iterator[str]:
    """Why what comes next could not be done, asked while nothing is: each as ``<name to accept it by>: <cause>``."""
    for beyond, right in _rights(context):
        client = context.global_client if beyond else context.client
        if client is not None and not context.accepts(f"right:{right}") and not allowed(client, right):
            yield f"right:{right}: you do not have it{' in the global cluster' if beyond else ''}"
    for step in records_of(context.plan):
        client = context.global_client if step.parameters["cluster"] == "global" else context.client
        if client is None or step.object is None or context.accepts(f"delete:{step.object}"):
            continue
        try:
            ClusterObjects(client).remove(step.object, dry_run=True)
        except KubeError as error:
            yield f"delete:{step.object}: {error}"


def _rights(context: Context) -> Iterator[tuple[bool, Right]]:
    """For what the end deletes, gives back and makes again; of the global cluster where the first is true."""
    for verb in ("get", "update", "create"):
        yield False, Right(verb, "rbac.authorization.k8s.io", "clusterroles")
    for step in context.plan.phase(Phase.FINALIZE):
        beyond = step.parameters.get("cluster") == "global"
        client = context.global_client if beyond else context.client
        if step.action not in _VERBS or client is None:
            continue
        name = step.object or ObjectName(str(step.parameters["kind"]), "")
        resource = ClusterObjects(client).resource(name)
        for verb in ("list" if step.object is None else "get", _VERBS[step.action]) if resource else ():
            yield beyond, Right(verb, name.api_version.rpartition("/")[0], resource, namespace=name.namespace)


def records_of(plan: Plan) -> tuple[Step, ...]:
    """Steps that delete the records by which the platform knows its release."""
    return tuple(
        step for step in plan.phase(Phase.FINALIZE) if step.action is Action.DELETE and "cluster" in step.parameters
    )


def gone_by_hand(context: Context, name: str, *commands: str, instead: str = "") -> None:
    """What the global cluster has is removed by a person when both roles are held, and confirmed by ``name``.

    Not before: with that record the platform takes the release, and both roles with it. Raises :class:`NotYet`.
    """
    if not context.accepts(name):
        raise NotYet(
            "nobody leads to the global cluster, which has what makes the release again. Both roles are held now: "
            f"{instead}remove it there ({'; '.join(commands)}), and run again, confirming by this name that nothing of "
            f"the kind is left ({context.spelling(Said.ACCEPT, repr(name))})"
        )


def reachable(step: Step, context: Context) -> None:
    """Raises :class:`NotYet` for what a person has to remove first, as nobody leads us there."""
    if step.parameters.get("cluster") == "global" and context.global_client is None and step.object is not None:
        resource = f"{step.object.kind.lower()}.{step.object.api_version.rpartition('/')[0]}"
        command = f"kubectl --kubeconfig <global> delete {resource} {step.object.name}"
        naming = f"name it ({context.spelling(Said.GLOBAL_KUBECONFIG)}) and run again, or "
        gone_by_hand(context, step.id, command, instead=naming)


def _records_left(context: Context) -> Iterator[str]:
    """Those that are there; one that a person has removed where nobody leads us is not looked at."""
    for step in records_of(context.plan):
        client = context.global_client if step.parameters["cluster"] == "global" else context.client
        document = ClusterObjects(client).find(step.object) if client is not None and step.object else None
        if document is None:
            continue
        metadata = document["metadata"]
        if metadata.get("deletionTimestamp"):
            yield f"{step.object} waits for {', '.join(metadata.get('finalizers') or ()) or 'what belongs to it'}"
        else:
            elsewhere = "; ".join(_elsewhere(context.plan))
            by = f"where a record in the global cluster stands, by that: {elsewhere}. Else " if elsewhere else ""
            yield f"{step.object} was made again: {by}find out by whom, and delete it"


def _elsewhere(plan: Plan) -> tuple[str, ...]:
    """Commands for the global cluster, where discovery did not ask it."""
    return tuple(str(line) for step in plan.phase(Phase.FINALIZE) for line in step.parameters.get("elsewhere") or ())


def _places(step: Step) -> list[ObjectName]:
    return [
        ObjectName(str(kind), str(name), str(namespace), str(api_version))
        for kind, name, namespace, api_version in step.parameters.get("gone") or step.parameters["hold"]
    ]


def _others(document: Mapping[str, Any]) -> list[str]:
    return [each for each in document["metadata"].get("finalizers") or () if each != FINALIZER]


def _let_go(document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "metadata": {**document["metadata"], "finalizers": _others(document)}}


def _of_nobody(document: dict[str, Any]) -> dict[str, Any]:
    """Without the marks of the release: who removes that by its label would take this one as well."""
    metadata = document["metadata"]
    for member in ("labels", "annotations"):
        if member in metadata:
            metadata[member] = {
                key: value for key, value in metadata[member].items() if not key.startswith(_OF_A_RELEASE)
            }
    if "finalizers" in metadata:
        metadata["finalizers"] = _others(document)
    return document
