"""Everything that later phases need and that can be known before the first one that people notice, as one list.

A phase refuses by itself what it cannot do. Behind the freeze that costs a pause in which nobody can push, and each of
the next ones may refuse something else. So it is looked at together, while nothing has happened. What was accepted by
its name is passed over; what can only be known later is left to the phase.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from image_registry.kube.client import object_path
from image_registry.kube.errors import KubeError
from image_registry.kube.listing import items
from image_registry.kube.own_access import Right, allowed
from image_registry.migration.actions import Context, StepFailed
from image_registry.migration.binding import claim_in_the_way
from image_registry.migration.cluster_objects import ClusterObjects
from image_registry.migration.execution import Stopped
from image_registry.migration.freezing import NOT_COMPARED
from image_registry.migration.frozen_content import OPTIONS, surveyed
from image_registry.migration.gating import changed_objects
from image_registry.migration.journal import Journal
from image_registry.migration.moved_hosts import moved_hosts, moves_away
from image_registry.migration.phases import Action, Phase
from image_registry.migration.plan import Step
from image_registry.migration.registry_access import Registry, source_of, target_of
from image_registry.migration.release_holding import applied_again
from image_registry.migration.spelling import Said, Spelling
from image_registry.remote.errors import RemoteError

UNTIL_CUTOVER = (
    Phase.PREPARE,
    Phase.FREEZE,
    Phase.ATTACH,
    Phase.COPY,
    Phase.BACKFILL,
    Phase.GATES,
    Phase.CUTOVER,
)
VERBS = {
    Action.APPLY: ("get", "create", "patch"),
    Action.PATCH: ("get", "update"),
    Action.HOLD: ("get", "update"),
    Action.DELETE: ("get", "delete", "create"),  # a rollback makes it again
    Action.SAVE: ("get",),
    Action.COPY_SECRET: ("get", "create", "update"),
    Action.BIND: ("get", "create", "delete"),
}
ALWAYS = (
    Right("list", "rbac.authorization.k8s.io", "clusterroles"),
    Right("list", "rbac.authorization.k8s.io", "roles"),
    Right("list", "", "pods"),
    Right("list", "", "secrets"),
    Right("list", "", "serviceaccounts"),
    Right("create", "authorization.k8s.io", "subjectaccessreviews"),
    Right("get", "imageregistry.operator.alauda.io", "configs"),  # whether an operator looks after this registry
)
"""What the look at the freeze, the waits and the gates need, whatever the plan has."""


@dataclass(frozen=True, slots=True)
class Hindrance:
    """``id`` is the name by which it is accepted; the phase that it is about knows it by the same."""

    id: str
    cause: str

    def __str__(self) -> str:
        return f"{self.id}: {self.cause}"


def hindrances(context: Context, journal: Journal) -> tuple[Hindrance, ...]:
    """What stands in the way of phases up to the cutover; empty once the freeze is done. Nothing is written.

    Raises ``ClusterUnreachable``.
    """
    left = [step for step in journal.left() if step.phase in UNTIL_CUTOVER]
    if not any(step.phase is Phase.FREEZE for step in left):
        return ()
    found: dict[str, Hindrance] = {}
    looks: dict[str, Callable[[], Iterator[Hindrance]]] = {
        "by-hand": lambda: _by_hand(left),
        "installation": lambda: _installation(context),
        "survey": lambda: _survey(context),
        "source": lambda: _source(context, left),
        "target": lambda: _target(context, left),
        "claim": lambda: _claim(context, left),
        "releases": lambda: _releases(context, left),
        "objects": lambda: _objects(context),
        "hosts": lambda: _hosts(context, left),
        "rights": lambda: _rights(context, left),
    }
    for name, look in looks.items():
        context.tell(f"before the freeze: {name}")
        try:
            found.update((entry.id, entry) for entry in look())
        except KubeError as error:
            found[f"unread:{name}"] = Hindrance(f"unread:{name}", f"it could not be looked at: {error}")
    return tuple(entry for entry in found.values() if not context.accepts(entry.id))


def nothing_in_the_way(context: Context, journal: Journal) -> None:
    """Raises :class:`Stopped` with the whole list, and ``ClusterUnreachable``."""
    if found := hindrances(context, journal):
        raise Stopped(listed(found, context.spelling))


def listed(found: Sequence[Hindrance], spelling: Spelling) -> str:
    """What people are told who would go on, with a line for each."""
    things = "1 thing stands" if len(found) == 1 else f"{len(found)} things stand"
    return (
        f"{things} in the way of later phases, and nobody has noticed anything yet. Remove the causes, or accept by "
        f"name ({spelling(Said.ACCEPT)}):" + "".join(f"\n- {entry}" for entry in found)
    )


def _by_hand(left: list[Step]) -> Iterator[Hindrance]:
    for step in left:
        if step.action is Action.BY_HAND:
            yield Hindrance(step.id, f"{step.title}: do that, and confirm it by this name")


def _installation(context: Context) -> Iterator[Hindrance]:
    if why := context.settings.unusable():
        yield Hindrance("installation", why)


def _survey(context: Context) -> Iterator[Hindrance]:
    try:
        surveyed(context)
    except StepFailed as error:
        yield Hindrance("survey", str(error))


def _source(context: Context, left: list[Step]) -> Iterator[Hindrance]:
    stopped = any(step.phase is Phase.ATTACH and step.parameters.get("alone") for step in context.plan.steps)
    asked = not stopped or any(step.action is Action.COPY_IMAGES for step in left)
    naming = context.spelling(Said.SOURCE_URL)
    if context.source is None:
        if any(step.action is Action.COPY_IMAGES for step in left):
            yield Hindrance("source", f"images are copied from the registry before, and it was not named ({naming})")
        elif asked:
            yield Hindrance(NOT_COMPARED, f"the registry before was not named ({naming}), and the last gate asks it")
        return
    if asked and (host := moves_away(context.source.url, moved_hosts(context))):
        yield Hindrance(
            NOT_COMPARED,
            f"the last gate asks the registry before, and {host} leads to this one by then: name its Service "
            f"({context.spelling(Said.SOURCE_URL, 'http://<address>')})",
        )
    try:
        source_of(context).survey(OPTIONS).ping()
    except (RemoteError, StepFailed, ValueError) as error:
        yield Hindrance("source", f"the registry before, or the login for it: {error}")


def _target(context: Context, left: list[Step]) -> Iterator[Hindrance]:
    """Only one that runs can be asked: of a volume that is kept it does so behind the freeze."""
    if any(step.phase is Phase.PREPARE and step.action is Action.INSTALL for step in left):
        return
    if not any(step.phase is Phase.COPY for step in left):
        return
    try:
        target: Registry = target_of(context)
        why = target.silent() or target.lets_in()
    except (RemoteError, StepFailed) as error:
        why = str(error)
    if why:
        yield Hindrance("target", f"this registry, or the login for it: {why}")


def _claim(context: Context, left: list[Step]) -> Iterator[Hindrance]:
    """A claim that took the name since the plan: of somebody's installation, for example."""
    for step in left:
        if step.action is Action.BIND and (why := claim_in_the_way(step, context)):
            yield Hindrance(f"claim:{step.object}", why)


def _releases(context: Context, left: list[Step]) -> Iterator[Hindrance]:
    """One that is applied again though a step took care of that; before that step it is what the plan knows."""
    if any(step.action is Action.HOLD for step in left):
        return
    for step in left:
        if step.parameters.get("gate") == "applied":
            yield from (Hindrance(item.id, item.cause) for item in applied_again(step, context) if item.cause)


def _objects(context: Context) -> Iterator[Hindrance]:
    for item in changed_objects(context):
        if item.cause:
            yield Hindrance(item.id, item.cause)


def _hosts(context: Context, left: list[Step]) -> Iterator[Hindrance]:
    """A host that somebody else's Ingress has, too, is answered by whoever the controller thinks was first."""
    routes = {str(route["hostname"]) for route in context.plan.values.get("routes") or ()}
    if not routes:
        return
    ours = {(step.object.namespace, step.object.name) for step in left if step.object and step.object.kind == "Ingress"}
    for ingress in items(context.client, object_path("networking.k8s.io/v1", "ingresses"), limit=200):
        place = (ingress["metadata"]["namespace"], ingress["metadata"]["name"])
        if place in ours or place[0] == context.plan.target_namespace:
            continue
        for rule in (ingress.get("spec") or {}).get("rules") or ():
            if rule.get("host") in routes:
                yield Hindrance(f"host-taken:{rule['host']}", f"Ingress {'/'.join(place)} has it, too: take it away")


def _rights(context: Context, left: list[Step]) -> Iterator[Hindrance]:
    wanted = defaultdict[tuple[str, str, str], set[str]](set)
    objects = ClusterObjects(context.client)
    for step in left:
        if step.object is None or step.parameters.get("cluster") == "global":
            continue
        resource = objects.resource(step.object)
        for verb in VERBS.get(step.action, ()) if resource else ():
            group = step.object.api_version.rpartition("/")[0]
            wanted[verb, group, resource].add(step.object.namespace)
    for verb in ("get", "create", "update", "delete"):  # at the end, and after a whole rollback, it is given back
        wanted[verb, "coordination.k8s.io", "leases"].add(context.plan.source_namespace)
    wanted["get", "", "services"].add(context.plan.target_namespace)
    wanted["list", "discovery.k8s.io", "endpointslices"].add(context.plan.target_namespace)  # whether it serves
    for right in ALWAYS:
        wanted[right.verb, right.group, right.resource].add("")
    for (verb, group, resource), namespaces in sorted(wanted.items()):
        if allowed(context.client, Right(verb, group, resource)):
            continue
        for namespace in sorted(namespaces):
            right = Right(verb, group, resource, namespace=namespace)
            if not namespace or not allowed(context.client, right):
                yield Hindrance(f"right:{right}", "you do not have it: ask for it, or let somebody run this who does")
