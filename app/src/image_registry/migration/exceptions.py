"""What somebody accepted by name: at the gate itself, or already when the plan was made.

A finding of the plan accepts what follows from it and nothing else: that an image which the registry before cannot give
is not here. It accepts no other digest, and a rename accepts nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from enum import StrEnum

from image_registry.migration.actions import Context
from image_registry.migration.content import Problem, RepositoryContent


class Wrong(StrEnum):
    """In which way something is not as it must be, as far as findings of a plan can foresee it."""

    ABSENT = "absent"
    """It is not here."""
    BROKEN = "broken"
    """The registry before cannot give it."""
    NAMELESS = "nameless"
    """It has no name here."""
    SIZE = "size"
    UNREAD = "unread"
    """One of the two registries did not answer as it should."""
    OTHER = "other"


_LOST = frozenset({Wrong.ABSENT, Wrong.BROKEN})
_UNREADABLE = _LOST | {Wrong.UNREAD}
FOLLOWS: dict[str, frozenset[Wrong]] = {
    "no-name": frozenset({Wrong.NAMELESS}),
    "missing-blob": _LOST,
    "missing-manifest": _LOST,
    "schema-1": _LOST,
    "wrong-size": _LOST | {Wrong.SIZE},
    "damaged-manifest": _UNREADABLE,
    "damaged-link": _UNREADABLE,
    "dangling-tag": _UNREADABLE,
    "unreadable": _UNREADABLE,
}
"""By the rule of a finding."""

_PASSING = frozenset({"Unauthorized", "Forbidden", "TooManyRequests", "ServiceUnavailable", "InsufficientStorage"})


class Exceptions:
    """By the identities that were accepted while executing, and by the plan's findings."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._planned: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for finding in context.plan.exceptions:
            self._planned[finding.object].append((finding.rule, finding.id))

    def by(self, name: str, repository: str = "", subjects: Iterable[str] = (), wrong: Wrong = Wrong.BROKEN) -> str:
        """What accepts the item ``name``; empty for none. ``subjects`` are tags and digests of its repository."""
        if self._context.accepts(name):
            return name
        for subject in subjects:
            whole = wrong is Wrong.NAMELESS and subject == repository
            about = repository if whole else f"{repository}{'@' if ':' in subject else '/'}{subject}"
            for rule, identity in self._planned.get(about, ()):
                if wrong in FOLLOWS.get(rule, ()):
                    return identity
        return ""


def wrong_of(reason: str) -> Wrong:
    """Of an image that could not be copied: a right that is missing says nothing about the image."""
    return Wrong.UNREAD if reason in _PASSING else Wrong.BROKEN


def troubled_by(repository: RepositoryContent, digest: str) -> tuple[str, ...]:
    """Subjects of the problems of a repository that are about a manifest or a blob."""
    return tuple(problem.subject for problem in repository.problems if _about(problem, digest))


def troubles_of(repository: RepositoryContent, tag: str) -> tuple[str, ...]:
    """Subjects of the problems of what a tag lists, which are not told by the tag alone."""
    return tuple(problem.subject for problem in repository.problems if problem.subject.startswith(f"{tag} ("))


def _about(problem: Problem, digest: str) -> bool:
    return digest in problem.subject or digest in problem.detail
