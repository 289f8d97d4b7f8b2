"""How a plan and its journal stand when somebody plans: may it be made anew, and what becomes of the journal then?

A plan that a person has read is what is executed, so it is made anew only when that is asked for. While something of it
is done it stays, for the journal holds the way back. A journal of which everything was taken back is put aside under
the time of its last line; nothing is deleted.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from image_registry.migration.documents import InvalidDocument
from image_registry.migration.execution import Refused
from image_registry.migration.journal import Entry, State, entries_of
from image_registry.migration.opening import load_plan
from image_registry.migration.plan import Plan
from image_registry.migration.spelling import Spelling, command_line


class Stand(StrEnum):
    NONE = "none"
    """There is no plan."""
    PLANNED = "planned"
    """Nothing of it was done."""
    BEGUN = "begun"
    """Something was done, or begun, and not taken back."""
    ENDED = "ended"
    """All that was done was taken back."""
    UNREADABLE = "unreadable"
    """It is no plan, or one that was changed after it was made; nothing of it is done."""


@dataclass(frozen=True, slots=True)
class Standing:
    """``plan`` is there for one that can be read; ``why`` says why another one cannot."""

    stand: Stand
    plan: Plan | None = None
    why: str = ""


def standing(plan: Path, journal: Path, spelling: Spelling = command_line) -> Standing:
    """Raises :class:`Refused` for a journal that cannot be read."""
    try:
        begun, lines = _begun(entries_of(journal))
    except (InvalidDocument, OSError) as error:
        raise Refused(f"cannot read the journal {journal}: {error}") from None
    try:
        found = load_plan(plan, spelling) if plan.exists() else None
    except Refused as error:
        return Standing(Stand.BEGUN if begun else Stand.UNREADABLE, why=str(error))
    if begun:
        return Standing(Stand.BEGUN, found)
    if found is None:
        return Standing(Stand.NONE)
    return Standing(Stand.ENDED if lines else Stand.PLANNED, found)


def to_put_aside(plan: Path, journal: Path) -> dict[Path, Path]:
    """Where a plan, its journal and what lies beside them are kept when another plan comes into their place.

    Empty without a journal. Raises :class:`Refused` while something of the plan is done.
    """
    if standing(plan, journal).stand is Stand.BEGUN:
        raise Refused(
            f"something of the plan {plan} is done, and {journal} holds the way back: go on with it, or roll it back "
            "and plan anew then"
        )
    times = [entry.time for entry in entries_of(journal) if entry.time]
    if not times:
        return {}
    mark = times[-1].replace("-", "").replace(":", "")
    kept = {journal: f"{journal.stem}.{mark}{journal.suffix}"}
    kept[journal.with_name(f"{journal.name}.d")] = f"{kept[journal]}.d"
    kept[plan] = f"{plan.stem}.{mark}{plan.suffix}"
    return {path: path.with_name(name) for path, name in kept.items() if path.exists()}


def put_aside(plan: Path, journal: Path) -> tuple[Path, ...]:
    """Do that; the new names. Raises :class:`Refused`, also where something has one of them."""
    kept = to_put_aside(plan, journal)
    taken = [str(path) for path in kept.values() if path.exists()]
    if taken:
        raise Refused(f"{taken[0]} is there already: move it away, then plan again")
    for path, other in kept.items():  # the journal first: without it the plan is one of which nothing was done
        path.rename(other)
    return tuple(kept.values())


def _begun(found: list[Entry]) -> tuple[set[str], bool]:
    """Steps that may have changed something, and whether there ever was one."""
    begun: set[str] = set()
    ever = False
    for entry in found:
        if entry.state is State.BEGUN:
            begun.add(entry.step)
            ever = True
        elif entry.state is State.UNDONE:
            begun.discard(entry.step)
    return begun, ever
