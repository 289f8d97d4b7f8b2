"""Which pieces a store can join as they are, and which are too small for it.

S3 joins parts of at least 5 MiB, except for the last. A client may send as little as it likes in a request, so small
pieces are read and sent anew together with the beginning of the next one. Pure: here is the plan alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MINIMUM = 5 << 20

LARGEST = 5 << 30
"""Bytes that S3 copies at once; blobs may be larger."""

COPIED = 1 << 30
"""Bytes of the parts into which a larger piece is cut."""


@dataclass(frozen=True, slots=True)
class Section:
    """Bytes ``start`` to ``stop`` of the piece with this index; ``whole`` when that is all of it."""

    piece: int
    start: int
    stop: int
    whole: bool

    @property
    def size(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Part:
    """Sections that become one part."""

    sections: tuple[Section, ...]

    @property
    def inside(self) -> bool:
        """Whether the store can copy it without our help: S3 takes sections out of large objects only."""
        return len(self.sections) == 1 and (self.sections[0].whole or self.sections[0].size > MINIMUM)


def plan(sizes: Sequence[int]) -> list[Part]:
    """Parts for pieces of these sizes, in order, each of at least :data:`MINIMUM` bytes except for the last."""
    parts: list[Part] = []
    waiting: list[Section] = []
    for index, size in enumerate(sizes):
        start = 0
        missing = MINIMUM - sum(section.size for section in waiting)
        if waiting:
            start = min(size, missing)
            waiting.append(Section(index, 0, start, whole=start == size))
            if start == missing:
                parts.append(Part(tuple(waiting)))
                waiting = []
        while size - start > LARGEST:
            parts.append(Part((Section(index, start, start + COPIED, whole=False),)))
            start += COPIED
        rest = Section(index, start, size, whole=start == 0)
        if rest.size > MINIMUM or (rest.whole and rest.size == MINIMUM):
            parts.append(Part((rest,)))
        elif rest.size:
            waiting.append(rest)
    if waiting:
        parts.append(Part(tuple(waiting)))
    return parts
