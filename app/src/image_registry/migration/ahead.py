"""What earlier steps would have left by the time a step has its turn, where one only looks.

A step is foreseen before those that come first were done. What they would write is kept here, in memory alone, so that
the next one is judged by what it would find and not by what stands there now. A run has nothing in here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from image_registry.migration.facts import ObjectName
from image_registry.migration.plan import Step

Document = dict[str, Any]


class Unforeseen(Exception):
    """What a step will do or find is not known yet. The text says why."""


class NotGreen(Exception):
    """A gate that was asked while one only looked; ``open`` is by what names it would end a run."""

    def __init__(self, said: str, open_: tuple[str, ...]) -> None:
        super().__init__(said)
        self.open = open_


@dataclass(slots=True)
class Ahead:
    """``writes`` are the steps that would have written by then, in their order."""

    writes: list[Step] = field(default_factory=list)
    objects: dict[ObjectName, Document | None] = field(default_factory=dict)
    """As they would be; ``None`` for one that would be gone."""
    values: Mapping[str, Any] | None = None
    """Of this registry's installation; ``None`` if no step would have written any."""
    saved: Mapping[str, Any] = field(default_factory=dict)
    """What the journal has of the step that is looked at."""

    def find(self, name: ObjectName, now: Callable[[ObjectName], Document | None]) -> Document | None:
        """An object as it would be, and as it is ``now`` if no step would have changed it."""
        return self.objects[name] if name in self.objects else now(name)

    def first(self) -> None:
        """Raises :class:`Unforeseen` unless nothing would have been written before."""
        if self.writes:
            last = self.writes[-1]
            raise Unforeseen(f"it is not known before {last.title!r} ({last.phase}) is done")
