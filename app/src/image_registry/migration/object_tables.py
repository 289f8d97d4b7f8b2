"""Object by object: what is there, what a migration changes of it, by which steps, and how far each of them is. Pure.

The tables of the pages for people. What they say is in the documents, too: an inventory names the object of each fact,
a plan and its progress that of each step.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from image_registry.migration.facts import ConsumerFact, Inventory, ObjectName
from image_registry.migration.journal import State
from image_registry.migration.phases import Action
from image_registry.migration.plan import Plan, Step
from image_registry.migration.progress import Progress, StepProgress
from image_registry.migration.rewriting import KINDS, Change, ObjectRewrite

MOST_ROWS = 500
"""Of a table; the documents have all of them."""

MOST_WORKLOADS = 5000
"""Of all namespaces together."""

PLANNED = "planned"
_OTHERS = ("jobs", "gone", "remains")
"""Parameters of steps that are about several objects."""


@dataclass(frozen=True, slots=True)
class StepMark:
    """A step that is about an object; ``state`` is ``planned`` on a page that was made with the plan."""

    id: str
    title: str
    state: str = PLANNED
    detail: str = ""
    """What came of it, where it has failed."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Row:
    """``facts`` are what is so now, ``said`` what somebody has to know of what becomes of it."""

    object: ObjectName
    facts: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    said: str = ""
    steps: tuple[StepMark, ...] = ()

    @property
    def failed(self) -> bool:
        return any(step.state == State.FAILED for step in self.steps)

    @property
    def done(self) -> bool:
        """Whether each of its steps is over."""
        return bool(self.steps) and all(step.state in (State.DONE, State.SKIPPED) for step in self.steps)


@dataclass(frozen=True, slots=True)
class Table:
    """``rows`` are those that are shown, every number is of all; ``remark`` is about those that are not in it."""

    title: str
    count: int
    rows: tuple[Row, ...] = ()
    remark: str = ""
    done: int = 0
    failed: int = 0


class Steps:
    """Which steps of a plan are about an object."""

    def __init__(self, plan: Plan | None, progress: Progress | None = None) -> None:
        self._known = {step.id: step for phase in progress.phases for step in phase.steps} if progress else {}
        self._of: dict[tuple[str, str, str], list[Step]] = defaultdict(list)
        for step in plan.steps if plan else ():
            for key in dict.fromkeys(_objects_of(step)):
                self._of[key].append(step)
        self._selecting = [step for step in plan.steps if "selector" in step.parameters] if plan else []

    def of(self, name: ObjectName, *, managed: bool = False) -> tuple[StepMark, ...]:
        """In their order; with those that take all of a kind that the platform ``managed``."""
        found = list(self._of.get((name.kind, name.namespace, name.name), ()))
        if managed:
            found += [step for step in self._selecting if step.parameters.get("kind") == name.kind]
        return tuple(self._mark(step) for step in found)

    def _mark(self, step: Step) -> StepMark:
        known: StepProgress | None = self._known.get(step.id)
        if known is None:
            return StepMark(step.id, step.title)
        failed = known.state == State.FAILED
        return StepMark(step.id, step.title, known.state, known.detail if failed else "", known.seconds)


def _objects_of(step: Step) -> Iterable[tuple[str, str, str]]:
    if step.object is not None:
        yield step.object.kind, step.object.namespace, step.object.name
    for parameter in _OTHERS:
        for kind, name, namespace, *_ in step.parameters.get(parameter, ()):
            yield kind, namespace, name


def rewrites_one(step: Step) -> bool:
    """Whether it lets one object name this registry, or says that somebody has to: the tables of workloads have it."""
    batched = "batch" in step.parameters and step.object is not None
    return batched or (step.action is Action.BY_HAND and step.id.startswith("cutover/by-hand/"))


def shown(title: str, rows: Iterable[Row], *, most: int = MOST_ROWS, remark: str = "") -> Table:
    """What has failed first, if not everything is shown."""
    found = list(rows)
    if len(found) > most:
        found.sort(key=lambda row: not row.failed)
    done, failed = sum(row.done for row in found), sum(row.failed for row in found)
    return Table(title, len(found), tuple(found[:most]), remark, done, failed)


def by_namespace(rows: Iterable[Row], remarks: Mapping[str, str] | None = None) -> tuple[Table, ...]:
    """A table for each namespace, of which the last ones may have only numbers, and what has failed."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.object.namespace].append(row)
    for namespace in remarks or ():
        groups.setdefault(namespace, [])
    found, room, of_failed = [], MOST_WORKLOADS, MOST_ROWS
    for namespace, group in sorted(groups.items()):
        failed = min(sum(row.failed for row in group), of_failed)
        title, remark = namespace or "of the whole cluster", (remarks or {}).get(namespace, "")
        table = shown(title, group, most=max(room, failed), remark=remark)
        room, of_failed = max(0, room - len(table.rows)), of_failed - failed
        found.append(table)
    return tuple(found)


def workloads(inventory: Inventory, plan: Plan | None, steps: Steps) -> tuple[Table, ...]:
    """Whoever names images of the registry before, by namespace; what others make and keep is a number."""
    changed = {rewrite.object: rewrite for rewrite in plan.rewrites} if plan else {}
    made: dict[str, int] = defaultdict(int)
    rows = []
    for consumer in inventory.consumers:
        if consumer.controller.partition(" ")[0] in KINDS:
            made[consumer.object.namespace] += 1
        else:
            rows.append(_workload(consumer, changed.get(consumer.object), steps, planned=plan is not None))
    remarks = {name: f"and {number} that one of them has made, and makes anew" for name, number in made.items()}
    return by_namespace(rows, remarks)


def rewritten(plan: Plan, steps: Steps) -> tuple[Table, ...]:
    """The same of a plan alone: whoever has to change."""
    return by_namespace(_rewrite(rewrite, steps) for rewrite in plan.rewrites)


def others(plan: Plan, steps: Steps) -> tuple[Table, ...]:
    """Everything else that a step of a plan is about, a table for each kind."""
    kinds: dict[str, dict[ObjectName, None]] = defaultdict(dict)
    for step in plan.steps:
        if step.object is not None and not rewrites_one(step):
            kinds[step.object.kind][step.object] = None
    return tuple(
        shown(kind, (Row(name, steps=steps.of(name)) for name in sorted(names)))
        for kind, names in sorted(kinds.items())
    )


def _rewrite(rewrite: ObjectRewrite, steps: Steps) -> Row:
    return Row(rewrite.object, changes=rewrite.changes, said=rewrite.by_hand, steps=steps.of(rewrite.object))


def _workload(consumer: ConsumerFact, rewrite: ObjectRewrite | None, steps: Steps, *, planned: bool) -> Row:
    changes = {change.pointer: change for change in rewrite.changes} if rewrite else {}
    stays = tuple(f"{use.place or use.pointer}: {use.image}" for use in consumer.uses if use.pointer not in changes)
    said = rewrite.by_hand if rewrite else _why_not(consumer, planned=planned)
    kept = (f"kept by {consumer.kept_by}",) if consumer.kept_by and not said else ()
    found = tuple(changes[use.pointer] for use in consumer.uses if use.pointer in changes)
    return Row(consumer.object, (*stays, *kept), found, said, steps.of(consumer.object))


def _why_not(consumer: ConsumerFact, *, planned: bool) -> str:
    """Why an object is not changed."""
    if consumer.unreadable:
        return consumer.unreadable
    if consumer.over:
        return "it has ended and pulls no image any more"
    if not consumer.uses:
        return "it runs such an image under another name"
    return "stays: the host that it names leads to this registry after the cutover" if planned else ""
