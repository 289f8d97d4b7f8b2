"""How images are to be copied, and how that is read from what a person wrote: the same for every door."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from image_registry.mirroring.platforms import Filter


class InvalidPattern(ValueError):
    """A text is no regular expression. ``parameter`` is the one of :func:`wishes`, for the door to name its option."""

    def __init__(self, parameter: str, text: str, error: re.error) -> None:
        super().__init__(f"{text!r} is no regular expression: {error}")
        self.parameter = parameter


@dataclass(frozen=True, slots=True)
class Wishes:
    """How images are to be copied."""

    filter: Filter = field(default_factory=Filter)
    tags: Callable[[str], bool] = lambda _tag: True
    """Which tags are meant where several are."""
    referrers: bool = True
    skip_missing: bool = False
    force: bool = False


def wishes(
    *,
    platforms: str = "",
    tags: Sequence[str] = (),
    keep_list: bool = False,
    referrers: bool = True,
    skip_missing: bool = False,
    force: bool = False,
) -> Wishes:
    """``platforms`` is found in what is wanted of an index; one of ``tags`` fits a wanted tag as a whole. Without: all.

    Both are regular expressions. Raises :class:`InvalidPattern`.
    """
    wanted = _read("platforms", platforms) if platforms else None
    fitting = [_read("tags", text) for text in tags]
    return Wishes(
        Filter(wanted, keep_list),
        (lambda tag: any(one.fullmatch(tag) for one in fitting)) if fitting else (lambda _tag: True),
        referrers,
        skip_missing,
        force,
    )


def _read(parameter: str, text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise InvalidPattern(parameter, text, error) from None
