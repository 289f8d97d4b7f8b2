"""What stands in the way of a migration, or should be known before it: rules in groups, each a pure function.

A finding has an identity that stays the same from run to run, ``<rule>:<object>``, so that it can be accepted by name.
One that blocks and is not accepted keeps a plan from being executed. A few cannot be accepted: where a later phase has
to refuse whatever anybody accepts, a yes would only move the refusal behind the freeze.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import fnmatchcase

SEPARATOR = ":"
UNACCEPTABLE = frozenset({"cannot-reuse", "volume-unknown", "volume-kind", "node-unknown", "root-directory"})
"""Rules about bytes that ``attach`` cannot serve where they are."""


class Severity(StrEnum):
    BLOCKING = "blocking"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """``cause`` is what is so, ``action`` what to do next."""

    rule: str
    severity: Severity
    object: str
    cause: str
    action: str
    accepted: bool = False

    @property
    def id(self) -> str:
        """By which it is accepted."""
        return f"{self.rule}{SEPARATOR}{self.object}"


def blocking(rule: str, about: object, cause: str, action: str) -> Finding:
    return Finding(rule, Severity.BLOCKING, str(about), cause, action)


def warning(rule: str, about: object, cause: str, action: str) -> Finding:
    return Finding(rule, Severity.WARNING, str(about), cause, action)


def note(rule: str, about: object, cause: str, action: str = "nothing") -> Finding:
    return Finding(rule, Severity.NOTE, str(about), cause, action)


def sorted_findings(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """What blocks first; each once."""
    order = list(Severity)
    unique = {finding.id: finding for finding in found}
    return tuple(sorted(unique.values(), key=lambda finding: (order.index(finding.severity), finding.id)))


def by_severity(found: Iterable[Finding]) -> dict[str, list[Finding]]:
    """What blocks first."""
    listed = list(found)
    return {severity.value: [entry for entry in listed if entry.severity is severity] for severity in Severity}


def accept(found: Iterable[Finding], patterns: Iterable[str]) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """Findings with those accepted that a pattern names (``*`` stands for anything), and patterns that name none.

    What is unacceptable is named by no pattern.
    """
    wanted = tuple(patterns)
    used: set[str] = set()
    result = []
    for finding in found:
        may_be = () if finding.rule in UNACCEPTABLE and finding.severity is Severity.BLOCKING else wanted
        fitting = [name for name in may_be if name == finding.id or fnmatchcase(finding.id, _literal(name))]
        used.update(fitting)
        result.append(replace(finding, accepted=True) if fitting else finding)
    return tuple(result), tuple(pattern for pattern in wanted if pattern not in used)


def open_blockers(found: Iterable[Finding]) -> Iterator[Finding]:
    """What nobody has accepted."""
    return (finding for finding in found if finding.severity is Severity.BLOCKING and not finding.accepted)


def _literal(pattern: str) -> str:
    """Brackets are no sets here: they occur in what findings are about."""
    return pattern.replace("[", "[[]")
