"""The hand-made cleanup job of a legacy registry as ``imagePruner``, suspended until a move is finalized.

Then it runs only if images were deleted on a schedule before: a job that was suspended, or that only told what it would
delete, is no consent to deleting.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from image_registry.migration.facts import CleanupFact

_CONFIRM = "--confirm"
_KNOWN = frozenset({_CONFIRM, "--all", "--registry-url", "--catalog-page-size", "-v", "--prune-registry"})
"""Of no meaning here, or always so."""


@dataclass(frozen=True, slots=True)
class PrunerPlan:
    """Values, and what could not be said in them."""

    values: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    deletes: bool = False
    """Whether images were deleted on a schedule before, so that the pruner may do the same."""
    why_not: str = ""
    """Why it may not; empty if it may."""


def convert_cleanups(cleanups: Iterable[CleanupFact]) -> PrunerPlan:
    """The first CronJob that deletes counts, else the first; without one the pruner is suspended all the same."""
    values: dict[str, Any] = {"suspend": True}
    scheduled = sorted((cleanup for cleanup in cleanups if cleanup.schedule), key=lambda entry: bool(_idle(entry)))
    problems = [
        f"{cleanup.object}: there is one schedule here, and {scheduled[0].object} gave it" for cleanup in scheduled[1:]
    ]
    for cleanup in scheduled[:1]:
        values["schedule"] = cleanup.schedule
        exclude = []
        for name, value in _flags(cleanup.arguments):
            match name:
                case "--keep-tag-revisions" if value.isdecimal():
                    values["keepTagRevisions"] = int(value)
                case "--keep-younger-than" if value:
                    values["keepYoungerThanDuration"] = value
                case "--whitelist" if value:
                    exclude.append(value)
                case _ if name not in _KNOWN:
                    problems.append(f"{cleanup.object}: {name} has no meaning here")
        if exclude:
            values["exclude"] = exclude
    why_not = _idle(scheduled[0]) if scheduled else "no CronJob pruned the registry before"
    return PrunerPlan(values, tuple(problems), not why_not, why_not)


def _idle(cleanup: CleanupFact) -> str:
    """Why a job deletes nothing; empty if it deletes."""
    if cleanup.suspended:
        return f"{cleanup.object} was suspended"
    if cleanup.unread:
        return f"nobody has read what {cleanup.object} does"
    # written as a flag of Go: alone, or with its value after an equals sign
    said = [value for name, value in _pairs(cleanup.arguments) if name == _CONFIRM]
    if not said or said[-1].lower() not in ("", "1", "t", "true"):
        return f"{cleanup.object} had no {_CONFIRM}, so it only told what it would delete"
    return ""


def _pairs(arguments: Iterable[str]) -> Iterable[tuple[str, str]]:
    for word in arguments:
        name, _, value = word.partition("=")
        yield name, value


def _flags(arguments: tuple[str, ...]) -> Iterable[tuple[str, str]]:
    words = [word for word in arguments if word]
    for index, word in enumerate(words):
        if re.match(r"--?[a-z]", word):
            name, equals, value = word.partition("=")
            following = words[index + 1] if index + 1 < len(words) else ""
            yield name, value if equals else "" if following.startswith("-") else following
