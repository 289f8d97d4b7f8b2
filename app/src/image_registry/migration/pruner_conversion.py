"""The hand-made cleanup job of a legacy registry as ``imagePruner``: suspended until the gates of a move are green."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from image_registry.migration.facts import CleanupFact

_KNOWN = frozenset({"--confirm", "--all", "--registry-url", "--catalog-page-size", "-v", "--prune-registry"})
"""Of no meaning here, or always so."""


@dataclass(frozen=True, slots=True)
class PrunerPlan:
    """Values, and what could not be said in them."""

    values: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def convert_cleanups(cleanups: Iterable[CleanupFact]) -> PrunerPlan:
    """The first CronJob counts; without one the pruner is suspended all the same."""
    values: dict[str, Any] = {"suspend": True}
    scheduled = [cleanup for cleanup in cleanups if cleanup.schedule]
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
    return PrunerPlan(values, tuple(problems))


def _flags(arguments: tuple[str, ...]) -> Iterable[tuple[str, str]]:
    words = [word for word in arguments if word]
    for index, word in enumerate(words):
        if re.match(r"--?[a-z]", word):
            name, equals, value = word.partition("=")
            following = words[index + 1] if index + 1 < len(words) else ""
            yield name, value if equals else "" if following.startswith("-") else following
