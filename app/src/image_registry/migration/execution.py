"""Executing a plan: step by step, phase by phase, each step written down before it is done and after.

Whoever is interrupted runs again: what was done is passed over, what had begun is done again. A rollback goes the other
way, with what was saved. Nothing here knows what a step does; nothing is decided here that the plan leaves open.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from image_registry.kube.errors import ClusterUnreachable, KubeError
from image_registry.migration.actions import Context, Doer, NotYet, Outcome, StepFailed, Untouched
from image_registry.migration.holding import Held, Hold, holding
from image_registry.migration.identity import AnotherCluster, same_cluster, same_global
from image_registry.migration.journal import Journal, State
from image_registry.migration.phases import ORDER, READ_ONLY, Action, Phase
from image_registry.migration.plan import OLD, Plan, Step, gives_up
from image_registry.migration.spelling import Said, Spelling, command_line
from image_registry.remote.errors import RemoteError

DEFAULT_LAST = Phase.CUTOVER
"""As far as a run goes when nobody says otherwise: what comes after it, time and a person decide."""

EXPECTED = (StepFailed, KubeError, ClusterUnreachable, RemoteError, OSError)
"""What a step may raise; it stops, with this sentence, and can be run again."""

Doers = Mapping[Action, Doer]


class Refused(Exception):
    """Nothing was done. The text says why, and what to do."""


class Stopped(Exception):
    """It ended before its end; the journal knows where. The text says why, and what to do."""


class TooEarly(Stopped):
    """Nothing is wrong: what it waits for takes time. The text says how long."""


def phases_until(last: Phase) -> tuple[Phase, ...]:
    """All that do something, up to ``last``."""
    return tuple(phase for phase in ORDER[: ORDER.index(last) + 1] if phase not in READ_ONLY)


def steps_of(journal: Journal, phases: Iterable[Phase], assumed: frozenset[Phase] = frozenset()) -> list[Step]:
    """What is left of these phases. Raises :class:`Refused` where a phase before any of them has something left.

    The ``assumed`` phases count as done.
    """
    wanted = frozenset(phases)
    left = [step for step in journal.left() if step.phase not in assumed]
    found = [step for step in left if step.phase in wanted]
    last = max((ORDER.index(step.phase) for step in found), default=0)
    missing = next((step for step in left if step.phase not in wanted and ORDER.index(step.phase) < last), None)
    if missing is not None:
        raise Refused(f"phase {missing.phase} comes first, and {missing.title!r} of it is not done: run that phase")
    return found


def without_holes(plan: Plan, phases: Iterable[Phase], spelling: Spelling = command_line) -> frozenset[Phase]:
    """The same phases. Raises :class:`Refused` where one between them is not named and the plan has steps of it."""
    wanted = frozenset(phases)
    places = [ORDER.index(phase) for phase in wanted]
    between = ORDER[min(places, default=0) : max(places, default=0)]
    holes = [phase for phase in between if phase not in wanted and any(plan.phase(phase))]
    if holes:
        raise Refused(
            f"{', '.join(sorted(wanted, key=ORDER.index))} leave out {', '.join(holes)}, which the plan has between "
            f"them: name those too, or the last phase alone ({spelling(Said.UNTIL)})"
        )
    return wanted


def check(context: Context, steps: Iterable[Step]) -> None:
    """Raises :class:`Refused` for what can be known to be in the way before anything is done."""
    blockers = [finding.id for finding in context.plan.blockers]
    if blockers:
        raise Refused(
            f"{len(blockers)} findings stand in the way of this plan ({', '.join(blockers[:5])}): remove their causes "
            "or accept them by name, and plan anew"
        )
    steps = list(steps)
    if steps and context.plan.old and not context.accepts(OLD):
        raise Refused(
            f"this plan is of version {context.plan.version}, made by an earlier one of this program: it lacks steps "
            "that one made now has, as those for a release that the platform applies again by itself. Roll back what "
            f"was done of it, discover and plan anew; or go on as it stands, by its name "
            f"({context.spelling(Said.ACCEPT, OLD)})"
        )
    same_clusters(context, steps)
    by_hand = context.not_accepted(step.id for step in steps if step.action is Action.BY_HAND)
    if by_hand:
        raise Refused(
            f"{len(by_hand)} steps are done by a person: do them, and confirm each by its name "
            f"({context.spelling(Said.ACCEPT)}): {_some(by_hand)}"
        )


def run(
    context: Context,
    journal: Journal,
    doers: Doers,
    phases: Iterable[Phase],
    before_freeze: Callable[[], None] = lambda: None,
) -> int:
    """Do what is left of these phases; how many steps that were.

    ``before_freeze`` is called once, before the first step that people notice. Raises :class:`Refused` and
    :class:`Stopped`, and what that raises. A gate that is open does not keep the other gates from being asked.
    """
    steps = steps_of(journal, without_holes(context.plan, phases, context.spelling))
    check(context, steps)
    decided(context, steps)
    for step in steps:
        doer_of(doers, step)
    with _holding(context, journal) as hold:
        unnoticed = [step for step in steps if ORDER.index(step.phase) < ORDER.index(Phase.FREEZE)]
        done = _run(context, journal, doers, unnoticed, hold)
        if noticed := steps[len(unnoticed) :]:
            before_freeze()
            done += _run(context, journal, doers, noticed, hold)
        return done


def _run(context: Context, journal: Journal, doers: Doers, steps: list[Step], hold: Hold) -> int:
    total, positions = len(context.plan.steps), _positions(context)
    red: list[str] = []
    for step in steps:
        if red and step.action is not Action.GATE:
            break
        _still_held(hold)
        context.tell(f"step {positions[step.id]} of {total} ({step.phase}): {step.title}")
        began = context.clock()
        outcome = _step(context, journal, doers, step)
        open_ = context.not_accepted(outcome.open)
        if open_:
            red += open_
            detail = f"{outcome.detail}; open: {_some(open_)}"
            journal.write(step, State.FAILED, detail=detail, saved=outcome.saved)
        else:
            detail = outcome.detail + (f"; accepted: {_some(outcome.open)}" if outcome.open else "")
            state = State.SKIPPED if outcome.skipped else State.DONE
            journal.write(step, state, detail=detail, saved=outcome.saved)
        context.tell(f"  {'NOT GREEN: ' if open_ else ''}{detail or 'done'} ({context.clock() - began:.1f} s)")
    if red:
        raise not_green(red, context.spelling)
    return len(steps)


def not_green(red: list[str], spelling: Spelling) -> Stopped:
    """How a run ends whose gates are open by these names."""
    return Stopped(
        f"{len(red)} things are not as they must be: {_some(red)}. Remove the causes and run again, or accept each "
        f"by its name ({spelling(Said.ACCEPT)}); the old registry serves until then"
    )


def failed(step: Step, error: Exception, *, back: bool) -> Stopped:
    """How a run ends by a step that cannot be done; ``back`` says that there is a way back also from one of the end."""
    advice = ", or roll back" if back or not gives_up(step) else ""
    return Stopped(f"{step.title!r} failed: {error}. Remove the cause and run again{advice}")


def not_taken_back(step: Step, error: Exception) -> Stopped:
    """How a rollback ends by a step that cannot be undone."""
    return Stopped(f"{step.title!r} could not be taken back: {error}. Remove the cause and roll back again")


def rollback(context: Context, journal: Journal, doers: Doers) -> int:
    """Take back what was done, the last step first; how many steps that were.

    Raises :class:`Refused` behind the point from which there is no way back, and :class:`Stopped`.
    """
    same_clusters(context, ())
    if not to_undo(journal) and not journal.identity:
        return 0  # it was never begun
    decided(context, (step for step, _ in to_undo(journal) if step.action is Action.INSTALL))
    with _holding(context, journal) as hold:
        return _rollback(context, journal, doers, hold)


def _rollback(context: Context, journal: Journal, doers: Doers, hold: Hold) -> int:
    undone, total = 0, len(to_undo(journal))
    for step, saved in list(journal.to_undo()):
        _still_held(hold)
        if not step.undo:
            journal.write(step, State.UNDONE)
            continue
        context.tell(f"back {undone + 1} of {total} ({step.phase}): {step.title}: {step.undo}")
        try:
            outcome = doer_of(doers, step).undo(step, saved, context)
        except EXPECTED as error:
            raise not_taken_back(step, error) from None
        journal.write(step, State.UNDONE, detail=outcome.detail)
        context.tell(f"  {outcome.detail or 'done'}")
        undone += 1
    return undone


def to_undo(journal: Journal) -> list[tuple[Step, Mapping[str, object]]]:
    """What a rollback takes back, in its order; without steps that changed nothing. Raises :class:`Refused`."""
    try:
        return [(step, saved) for step, saved in journal.to_undo() if step.undo]
    except ValueError as error:
        raise Refused(f"{error}: the old registry was given up. Install it again, or mend what is wrong here") from None


@contextmanager
def held(path: Path) -> Iterator[None]:
    """A journal for one process at a time; it is read inside, so that nobody goes on from what another one ended.

    Raises :class:`Refused`.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise unwritable(path, error.strerror) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise busy(path) from None
        yield
    finally:
        os.close(descriptor)


def busy(path: Path) -> Refused:
    """Of a journal that another process has."""
    return Refused(f"{path} is in use by another process: wait for its end")


def unwritable(path: Path, why: str | None) -> Refused:
    """Of a journal that cannot be where it was named."""
    return Refused(f"cannot make {path}.lock: {why}; name a journal in a folder of yours")


def _step(context: Context, journal: Journal, doers: Doers, step: Step) -> Outcome:
    doer, fresh = doer_of(doers, step), not journal.begun(step)
    try:
        saved = journal.saved(step)
        if saved is None:
            saved = doer.before(step, context)
        journal.write(step, State.BEGUN, saved=saved)
        return doer.do(step, saved, context)
    except NotYet as error:
        raise TooEarly(str(error)) from None
    except EXPECTED as error:
        # an earlier try may have done what this one was refused
        untouched = fresh and isinstance(error, Untouched)
        if untouched:
            journal.write(step, State.UNDONE)
        journal.write(step, State.FAILED, detail=str(error))
        raise failed(step, error, back=untouched and not journal.gave_up) from None


def decided(context: Context, steps: Iterable[Step]) -> None:
    """Helm beside an operator would write the same release. Raises :class:`Refused` if there is anything to do."""
    if context.undecided and any(True for _ in steps):
        raise Refused(
            f"{context.undecided}. Ask for the right to get configs.imageregistry.operator.alauda.io, and deployments "
            f"in namespace {context.plan.target_namespace}; or, if you know that there is none, name helm "
            f"({context.spelling(Said.METHOD)})"
        )


@contextmanager
def _holding(context: Context, journal: Journal) -> Iterator[Hold]:
    with ExitStack() as stack:
        try:
            hold = stack.enter_context(holding(Hold(context, journal), journal))
        except Held as error:
            raise Refused(str(error)) from None
        yield hold


def _still_held(hold: Hold) -> None:
    try:
        hold.see_to_it()
    except Held as error:
        raise Stopped(str(error)) from None


def same_clusters(context: Context, steps: Iterable[Step]) -> None:
    """Both of them, by what they are and not by where they are."""
    try:
        same_cluster(context.plan, context.client)
        written = any(_beyond(step) for step in steps)
        same_global(context.plan, context.global_client, written=written, spelling=context.spelling)
    except AnotherCluster as error:
        raise Refused(str(error)) from None


def _beyond(step: Step) -> bool:
    return step.parameters.get("cluster") == "global"


def doer_of(doers: Doers, step: Step) -> Doer:
    """Raises :class:`Refused`."""
    try:
        return doers[step.action]
    except KeyError:
        raise Refused(f"{step.title!r} ({step.action}) cannot be executed by this version") from None


def _positions(context: Context) -> dict[str, int]:
    return {step.id: number for number, step in enumerate(context.plan.steps, 1)}


def _some(names: Iterable[str], most: int = 20) -> str:
    found = list(names)
    return ", ".join(found[:most]) + (f" and {len(found) - most} more" if len(found) > most else "")
