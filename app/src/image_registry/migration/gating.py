"""GATE: read, compare, write down each item, and name those that are not as they must be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from image_registry.kube.client import object_path
from image_registry.kube.reviews import AccessReviewer
from image_registry.migration import gate_reading, gates
from image_registry.migration.actions import Context, Outcome, Saved, StepFailed
from image_registry.migration.ahead import NotGreen
from image_registry.migration.cluster_objects import ClusterObjects
from image_registry.migration.content import RepositoryContent
from image_registry.migration.exceptions import Exceptions
from image_registry.migration.freezing import still_closed, still_frozen
from image_registry.migration.frozen_content import OLDER, frozen, older_than_freeze, renames
from image_registry.migration.gates import Item, Seen, Tally
from image_registry.migration.item_results import ACCEPTED, GOOD, OPEN, ItemResult, ResultFile, results_path
from image_registry.migration.object_actions import changed_name, changed_since
from image_registry.migration.phases import Action, Phase
from image_registry.migration.plan import Step
from image_registry.migration.registry_access import Registry, each_second, target_of
from image_registry.migration.remaining_uses import remaining_uses
from image_registry.migration.rewriting import repository_of, wanted_of
from image_registry.migration.route_gate import routes_let_in

ALWAYS = frozenset({"objects", "routes"})
"""Gates whose answer is the same before the phases that come first."""

PORTION = 2000
"""Things that are read together."""

Compare = Callable[[RepositoryContent, str, Mapping[str, Seen]], Iterator[Item]]
Look = Callable[[Registry, str, str], Seen]
CONTENT: dict[str, tuple[Callable[[RepositoryContent], Iterable[str]], Look, Compare]] = {
    "tags": (lambda repository: repository.tags, gate_reading.tag, gates.tags),
    "manifests": (lambda repository: repository.manifests, gate_reading.manifest, gates.manifests),
    "blobs": (lambda repository: repository.blobs, gate_reading.blob, gates.blobs),
}


class Gate:
    """A :class:`~image_registry.migration.actions.Doer`; it changes nothing, so there is nothing to take back."""

    def foresee(self, step: Step, context: Context) -> str:
        """It is asked now where no step before it can change the answer."""
        gate = step.parameters.get("gate")
        always = gate in ALWAYS or (gate == "applied" and step.phase is Phase.FREEZE)  # later ones ask for tags, too
        if not always or not _there(step, context):
            context.ahead.first()
        tally, said, _ = _asked(step, context)
        open_ = tuple(dict.fromkeys(tally.open))
        if context.not_accepted(open_):
            raise NotGreen(said, open_)
        return said

    def before(self, step: Step, context: Context) -> Saved:
        del step, context
        return {}

    def do(self, step: Step, saved: Saved, context: Context) -> Outcome:
        del saved
        began = context.clock()
        tally, said, path = _asked(step, context)
        return Outcome(
            f"{said}, in {context.clock() - began:.1f} s; each in {path}", open=tuple(dict.fromkeys(tally.open))
        )

    def undo(self, step: Step, saved: Saved, context: Context) -> Outcome:
        del step, saved, context
        return Outcome("nothing was changed", skipped=True)


def _asked(step: Step, context: Context) -> tuple[Tally, str, Path]:
    """What was found, as a sentence too, and the file that has it item by item."""
    exceptions, tally = Exceptions(context), Tally()
    with ResultFile(results_path(context.folder, step), anew=True) as results:
        for found in _items(step, context):
            results.add(_judged(found, exceptions, tally))
    good = tally.items - len(tally.open) - tally.accepted
    said = f"{tally.items} looked at: {good} good, {tally.accepted} accepted, {len(tally.open)} open"
    return tally, said, results.path


def _there(step: Step, context: Context) -> bool:
    """Routes are tried in the namespace of this registry, which an earlier step makes."""
    namespace = step.parameters.get("namespace")
    return not namespace or context.client.find(object_path("v1", "namespaces", str(namespace))) is not None


def _judged(found: Iterable[Item], exceptions: Exceptions, tally: Tally) -> Iterator[ItemResult]:
    for item in found:
        tally.items += 1
        accepted = exceptions.by(item.id, item.repository, item.subjects, item.wrong) if item.cause else ""
        outcome = GOOD if not item.cause else ACCEPTED if accepted else OPEN
        if outcome == OPEN:
            tally.open.append(item.id)
        tally.accepted += outcome == ACCEPTED
        yield ItemResult(
            image=item.about,
            outcome=outcome,
            cause=item.cause,
            target=item.target,
            id=item.id if item.cause else "",
            accepted=accepted,
        )


def _items(step: Step, context: Context) -> Iterator[list[Item]]:
    """Portions of what the gate compares."""
    name = step.parameters["gate"]
    match name:
        case "tags" | "manifests" | "blobs":
            yield from _content(name, context)
        case "limits":
            plan = context.plan.limits
            yield list(
                gates.limits(plan.ranges, plan.unconverted, gate_reading.limit_ranges(context.client, plan.ranges))
            )
        case "frozen":
            yield from _portions(still_frozen(step, context))
        case "applied":
            yield from _portions(still_closed(step, context))
        case "objects":
            yield list(changed_objects(context))
        case _ if name in AT_ONCE:
            yield list(AT_ONCE[name](step, context))
        case _:
            raise StepFailed(f"this version knows no gate {name!r}: make the plan anew")


def _portions(found: Iterator[Item]) -> Iterator[list[Item]]:
    while portion := list(islice(found, PORTION)):
        yield portion


def _content(name: str, context: Context) -> Iterator[list[Item]]:
    if why := older_than_freeze(context):
        yield [Item(OLDER, "the list that is compared with", why)]
    keys, look, compare = CONTENT[name]
    registry, names, tell = target_of(context), renames(context), each_second(context)
    rest, done = iter(frozen(context).repositories()), 0
    while portion := list(_some(rest, keys)):
        targets = {repository.name: names.get(repository.name, repository.name) for repository in portion}
        asked = [
            (repository.name, key) for repository in portion if targets[repository.name] for key in keys(repository)
        ]
        seen = gate_reading.read_each(asked, partial(_look, look, registry, targets))
        if any(found.error for found in seen.values()):
            registry.see_to_login("this registry")
        for repository in portion:
            found = {key: seen[repository.name, key] for key in keys(repository) if (repository.name, key) in seen}
            yield list(compare(repository, targets[repository.name], found))
        done += len(asked)
        tell(f"gate {name}: {done} looked at")


def _look(look: Look, registry: Registry, targets: Mapping[str, str], key: tuple[str, str]) -> Seen:
    return look(registry, targets[key[0]], key[1])


def _some(
    rest: Iterator[RepositoryContent], keys: Callable[[RepositoryContent], Iterable[str]]
) -> Iterator[RepositoryContent]:
    number = 0
    for repository in islice(rest, PORTION):
        yield repository
        number += len(list(keys(repository)))
        if number >= PORTION:
            return


def changed_objects(context: Context) -> Iterator[Item]:
    """A cutover that stops in the middle of a batch, because somebody had changed an object, is one too late."""
    found = ClusterObjects(context.client)
    for step in context.plan.phase(Phase.CUTOVER):
        if step.action is Action.PATCH and step.object is not None:
            stands = found.find(step.object)
            changed = changed_since(stands, step.changes) if stands is not None else []
            why = f"{'; '.join(changed)}: put it back, or change it by hand and accept that" if changed else ""
            yield Item(changed_name(step), str(step.object), why)


def _hosts(step: Step, context: Context) -> Iterator[Item]:
    registry = target_of(context)
    wanted, images = step.parameters["hosts"], [*step.parameters["images"], *_pushed_since(step, context)]
    found = gate_reading.read_each(wanted, partial(gate_reading.host, context.client, registry.door))
    found |= gate_reading.read_each(images, partial(gate_reading.image, registry))
    before = {new: old for old, new in renames(context).items() if new}
    for item in gates.hosts(wanted, images, found):
        _, _, image = item.id.partition("image:")
        repository = repository_of(image)
        subjects = (wanted_of(image),) if image else ()
        yield replace(item, repository=before.get(repository, repository), subjects=subjects)


def _pushed_since(step: Step, context: Context) -> Iterator[str]:
    """Images that workloads name and the survey did not know, if they were there at the freeze."""
    unknown: dict[str, list[tuple[str, str]]] = {}
    for repository, tag, image in step.parameters.get("unknown", ()):
        unknown.setdefault(repository, []).append((tag, image))
    for found in frozen(context).repositories() if unknown else ():
        yield from (image for tag, image in unknown.get(found.name, ()) if tag in found.tags or tag in found.manifests)


def _access(step: Step, context: Context) -> Iterator[Item]:
    asked = list(dict.fromkeys(gates.questions(step.parameters["bindings"])))
    found = gate_reading.read_each(asked, partial(gate_reading.may, AccessReviewer(context.client)))
    return gates.access(asked, found)


def _pull_secrets(step: Step, context: Context) -> Iterator[Item]:
    wanted: Mapping[str, Any] = step.parameters["namespaces"]
    registry, secrets = target_of(context), gate_reading.logins(context.client, wanted)
    images = {found.partition("/")[2].partition("/")[0]: found for found in _images(context)}
    pairs = [(namespace, host) for namespace, hosts in wanted.items() for host in hosts]
    keyrings = {
        namespace: [each for at, found in secrets.items() if at[0] == namespace for each in found]
        for namespace in wanted
    }
    found = gate_reading.read_each(
        pairs, lambda pair: gate_reading.login(registry, keyrings[pair[0]], pair[1], images.get(pair[0], ""))
    )
    yield from gates.pull_secrets(wanted, found)
    listed = step.parameters.get("accounts") or ()
    of_account = gate_reading.accounts(context.client, {namespace for namespace, _, _ in listed})
    # where the namespace has no login at all, that is told once
    asked = [
        (namespace, account, host)
        for namespace, account, hosts in listed
        for host in hosts
        if found[namespace, host].value
    ]

    def own(key: tuple[str, str, str]) -> Seen:
        namespace, account, host = key
        names = of_account.get((namespace, account), ())
        mine = [each for name in names for each in secrets.get((namespace, name), ())]
        return gate_reading.login(registry, mine, host, images.get(namespace, ""))

    yield from gates.account_secrets(asked, gate_reading.read_each(asked, own))


def _images(context: Context) -> Iterator[str]:
    """What workloads will name, as the gate of the hosts has it."""
    for step in context.plan.steps:
        yield from step.parameters.get("images", ()) if step.parameters.get("gate") == "hosts" else ()


AT_ONCE: dict[str, Callable[[Step, Context], Iterator[Item]]] = {
    "hosts": _hosts,
    "access": _access,
    "pull-secrets": _pull_secrets,
    "consumers": remaining_uses,
    "routes": routes_let_in,
}
"""Gates about so few things that they are looked at together."""
