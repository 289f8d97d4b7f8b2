"""What an administrator asks for when pruning, and how it is written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from image_registry.measures import seconds


class InvalidRule(ValueError):
    """Something that was asked for cannot be understood; the text says what to write instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Times are seconds, ``now`` since 1970; it stays the same for the whole run."""

    now: int
    keep_younger_than: int = 3600
    keep_tag_revisions: int = 3
    all_images: bool = True
    """False keeps what was not pushed into this registry."""
    over_limit: bool = False
    """Only images beyond the limit of their namespace go, whatever their age and revision."""
    namespaces: frozenset[str] = frozenset()
    """Only streams of these; then Images are never deleted. Empty: everything."""
    allowed: tuple[re.Pattern[str], ...] = ()
    """What one of these is found in stays: ``namespace/name``, ``namespace/name:tag``, ``namespace/name@digest``."""

    def is_young(self, moment: int) -> bool:
        """Too young to go; what has come since the run began always is."""
        return self.now - moment < self.keep_younger_than or moment > self.now

    def allows(self, *names: str) -> bool:
        """Whether one of the patterns is found in one of the names."""
        return bool(self.allowed) and any(pattern.search(name) for pattern in self.allowed for name in names)


def parse_duration(text: str) -> int:
    """Seconds of ``60m``, ``1h30m``, ``30d``. Raises :class:`InvalidRule`."""
    if text.strip() != "0" and text.strip().isdigit():
        raise InvalidRule(f"{text[:40]!r} says no unit; write it like 60m, 1h30m, 96h or 30d")
    try:
        return int(seconds(text))
    except ValueError as error:
        raise InvalidRule(str(error)) from None


def parse_patterns(texts: Iterable[str]) -> tuple[re.Pattern[str], ...]:
    """Compiled. Raises :class:`InvalidRule`, naming the pattern and the place."""
    found = []
    for text in texts:
        try:
            found.append(re.compile(text))
        except re.error as error:
            raise InvalidRule(f"{text[:200]!r} is no regular expression: {error}") from None
    return tuple(found)
