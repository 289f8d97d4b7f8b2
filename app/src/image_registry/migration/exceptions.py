"""What somebody accepted by name: at the gate itself, or already when the plan was made."""

from __future__ import annotations

from collections.abc import Iterable

from image_registry.migration.actions import Context
from image_registry.migration.content import Problem, RepositoryContent


class Exceptions:
    """By the identities that were accepted while executing, and by the plan's findings."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._planned = {finding.object: finding.id for finding in context.plan.exceptions}

    def by(self, name: str, repository: str = "", subjects: Iterable[str] = ()) -> str:
        """What accepts the item ``name``; empty for none. ``subjects`` are tags and digests of its repository."""
        if self._context.accepts(name):
            return name
        for subject in subjects:
            if subject == repository and self._planned.get(repository):
                return self._planned[repository]
            mark = "@" if ":" in subject else "/"
            planned = self._planned.get(f"{repository}{mark}{subject}")
            if planned:
                return planned
        return ""


def troubled_by(repository: RepositoryContent, digest: str) -> tuple[str, ...]:
    """Subjects of the problems of a repository that are about a manifest or a blob."""
    return tuple(problem.subject for problem in repository.problems if _about(problem, digest))


def _about(problem: Problem, digest: str) -> bool:
    return digest in problem.subject or digest in problem.detail
