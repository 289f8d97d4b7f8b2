"""What is wrong with an object that somebody wants to have written: every problem with its path, not the first alone.

The words are those of Kubernetes (``FieldValueRequired`` and its like), because people and tools read them as such; the
doors only wrap them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from image_registry.imagestreams.errors import ImageStreamsError

LONGEST = 100
"""Characters of a value that are repeated in a message."""

MOST = 50
"""Problems that are told; who has more of them repairs these first."""


@dataclass(frozen=True, slots=True)
class Problem:
    """``path`` as in ``spec.tags[v1].from.kind``; ``message`` begins with the kind of problem."""

    reason: str
    path: str
    message: str


class InvalidObject(ImageStreamsError):
    """The object can be read, and says something that must not be."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{problem.path}: {problem.message}" for problem in self.problems))


@dataclass(slots=True)
class Problems:
    """Collects; :meth:`check` ends the collecting."""

    found: list[Problem] = field(default_factory=list)

    def required(self, path: str, why: str = "") -> None:
        """Something is missing."""
        self._add("FieldValueRequired", path, "Required value" + (f": {why}" if why else ""))

    def invalid(self, path: str, value: object, why: str) -> None:
        """Something has a value that it must not have."""
        self._add("FieldValueInvalid", path, f"Invalid value: {_shown(value)}: {why}")

    def unsupported(self, path: str, value: object, supported: Iterable[str]) -> None:
        """Something has none of the values that it may have."""
        names = ", ".join(f'"{name}"' for name in supported)
        self._add("FieldValueNotSupported", path, f"Unsupported value: {_shown(value)}: supported values: {names}")

    def duplicate(self, path: str, value: object) -> None:
        """A list has the same thing twice."""
        self._add("FieldValueDuplicate", path, f"Duplicate value: {_shown(value)}")

    def forbidden(self, path: str, why: str) -> None:
        """Something must not be there, or the caller may not have it there."""
        self._add("FieldValueForbidden", path, f"Forbidden: {why}")

    def too_long(self, path: str, most: int) -> None:
        """More characters or bytes than can be kept."""
        self._add("FieldValueTooLong", path, f"Too long: may not be more than {most} bytes")

    def too_many(self, path: str, count: int, most: int) -> None:
        """More entries than can be kept."""
        self._add("FieldValueTooMany", path, f"Too many: {count}: must have at most {most} items")

    def check(self) -> None:
        """Raises :class:`InvalidObject` if anything was found."""
        if self.found:
            raise InvalidObject(self.found)

    def _add(self, reason: str, path: str, message: str) -> None:
        if len(self.found) < MOST:
            self.found.append(Problem(reason, path, message))


def _shown(value: object) -> str:
    if isinstance(value, str):
        return f'"{value[:LONGEST]}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, Mapping | list | tuple):
        return f"{type_name(value)}"
    return str(value)[:LONGEST]


def type_name(value: Any) -> str:
    """What a value is in the words of JSON."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case Mapping():
            return "object"
    return "array"
