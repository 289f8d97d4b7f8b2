"""How far a migration is, from its plan and its journal: a document. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from image_registry.migration.facts import ObjectName
from image_registry.migration.journal import Journal, State
from image_registry.migration.phases import ORDER, READ_ONLY, Action, Phase
from image_registry.migration.plan import Plan, Step, gives_up
from image_registry.migration.step_results import StepResults

WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class StepProgress:
    """``seconds`` between the two lines of the journal, which has no fractions."""

    id: str
    title: str
    state: str
    detail: str = ""
    began: str = ""
    seconds: float = 0.0
    estimate: float = 0.0
    object: ObjectName | None = None
    """What it is about; ``None`` for a step about the registry as a whole, or about many objects."""


@dataclass(frozen=True, slots=True)
class PhaseProgress:
    name: str
    state: str
    """``waiting``, ``under way``, ``failed`` or ``done``."""
    done: int
    steps: tuple[StepProgress, ...]
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Progress:
    plan: str
    source: str
    way: str
    done: int
    total: int
    phases: tuple[PhaseProgress, ...]
    by_hand: tuple[str, ...] = ()
    """Identities of steps that a person has to do and nobody has confirmed; at the end, objects that remain."""
    exceptions: tuple[str, ...] = ()
    """Findings that were accepted with the plan."""
    gaps: tuple[str, ...] = ()
    can_roll_back: bool = True
    results: tuple[StepResults, ...] = ()
    """What became of single images and things, for steps that are about them."""
    held: str = ""
    """By whom the cluster says that it is migrated; empty if nobody asked it."""


def progress(plan: Plan, journal: Journal, results: tuple[StepResults, ...] = ()) -> Progress:
    """From the two documents, and what is known of single images (:func:`.step_results.results_of`)."""
    phases = []
    for phase in ORDER:
        steps = tuple(_step(journal, step) for step in plan.phase(phase))
        if phase not in READ_ONLY and steps:
            over = sum(step.state in (State.DONE, State.SKIPPED) for step in steps)
            phases.append(
                PhaseProgress(phase.value, _state(steps, over), over, steps, sum(step.seconds for step in steps))
            )
    final = any(journal.begun(step) for step in plan.steps if gives_up(step))
    open_ = tuple(
        step.id
        for step in plan.steps
        if (step.action is Action.BY_HAND or "beyond" in step.parameters) and journal.state(step) is not State.DONE
    )
    return Progress(
        plan.digest,
        plan.source,
        plan.way,
        sum(phase.done for phase in phases),
        len(plan.steps),
        tuple(phases),
        (*open_, *_remaining(plan, journal)),
        tuple(finding.id for finding in plan.exceptions),
        plan.gaps,
        not final,
        results,
    )


def _remaining(plan: Plan, journal: Journal) -> tuple[str, ...]:
    """Of the registry before, what nobody removes: as the end of ``finalize`` found it."""
    saved = [journal.saved(step) or {} for step in plan.phase(Phase.FINALIZE) if "remains" in step.parameters]
    return tuple(f"remove {name}" for found in saved for name in found.get("remains", ()))


def _state(steps: tuple[StepProgress, ...], over: int) -> str:
    if over == len(steps):
        return "done"
    if any(step.state == State.FAILED for step in steps):
        return "failed"
    return WAITING if all(step.state == WAITING for step in steps) else "under way"


def _step(journal: Journal, step: Step) -> StepProgress:
    state = journal.state(step)
    began, ended = journal.times(step)
    return StepProgress(
        step.id,
        step.title,
        state.value if state else WAITING,
        journal.detail(step),
        began,
        _between(began, ended),
        step.seconds,
        step.object,
    )


def _between(began: str, ended: str) -> float:
    try:
        return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()
    except ValueError:
        return 0.0
