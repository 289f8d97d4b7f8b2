"""Where an image stands in a custom resource, as an administrator writes it.

``spec.template.spec.containers[*].image``: keys with dots between them, ``[2]`` for one entry of a list, ``[*]`` for
all entries of a list or all values of an object, ``['a.b/c']`` for a key that has dots itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_STEP = re.compile(
    r"""\.?(?P<key>[A-Za-z_][A-Za-z0-9_-]*)|\[(?P<index>[0-9]{1,6})\]|\[(?P<all>\*)\]|\[(?P<quote>['"])(?P<quoted>.+?)(?P=quote)\]"""
)


class InvalidFieldPath(ValueError):
    """A path that says nothing; the text says what one looks like."""


@dataclass(frozen=True, slots=True)
class FieldPath:
    """``None`` among the steps stands for everything there is."""

    text: str
    steps: tuple[str | int | None, ...]

    @staticmethod
    def parse(text: str) -> FieldPath:
        """Raises :class:`InvalidFieldPath`."""
        rest, steps = text.removeprefix("$"), list[str | int | None]()
        while rest:
            step = _STEP.match(rest)
            if step is None or (not steps and rest.startswith("..")):
                raise InvalidFieldPath(
                    f"{text[:200]!r} is no path of a field: {rest[:40]!r} cannot be read; write keys with dots between "
                    "them, as in spec.template.spec.containers[*].image"
                )
            key, index, _all, _, quoted = step.group("key", "index", "all", "quote", "quoted")
            steps.append(key or quoted or (int(index) if index else None))
            rest = rest[step.end() :]
        if not steps:
            raise InvalidFieldPath("the path of a field is empty; write one such as spec.image")
        return FieldPath(text, tuple(steps))

    def values(self, document: Any) -> Iterator[Any]:
        """Everything that stands there; nothing where the way ends before, or at what is null."""
        for _, value in self.places(document):
            yield value

    def places(self, document: Any) -> Iterator[tuple[tuple[str | int, ...], Any]]:
        """:meth:`values`, each with the way to it."""
        yield from _walk(document, self.steps, ())


def _walk(
    value: Any, steps: tuple[str | int | None, ...], way: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if value is None:
        return
    if not steps:
        yield way, value
        return
    step, rest = steps[0], steps[1:]
    if step is None:
        inner: Iterator[tuple[Any, Any]] = iter(value.items() if isinstance(value, dict) else ())
        if isinstance(value, list):
            inner = enumerate(value)
        for key, item in inner:
            yield from _walk(item, rest, (*way, key))
    elif isinstance(step, int):
        if isinstance(value, list) and step < len(value):
            yield from _walk(value[step], rest, (*way, step))
    elif isinstance(value, dict):
        yield from _walk(value.get(step), rest, (*way, step))
