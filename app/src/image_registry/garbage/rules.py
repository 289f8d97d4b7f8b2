"""How careful a run of the collector is, and how somebody says so: by options of a command, or of a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from image_registry import measures

SAFETY = 2
"""Times the promise of a registry that the grace time is at least."""

DEFAULTS: Mapping[str, Any] = {"grace": "24h", "trash": "24h", "atMost": None, "rate": 0}
"""What is wanted where nothing is said; ``atMost`` in percent."""

HALF = 0.5
"""The part of all blobs that goes unasked."""


class InvalidRules(ValueError):
    """``option`` cannot be what was asked for; the text says what to write instead."""

    def __init__(self, option: str, text: str) -> None:
        super().__init__(text)
        self.option = option


@dataclass(frozen=True, slots=True)
class Rules:
    """How careful a run is."""

    grace: timedelta
    """Younger links and blobs are left alone: they may belong to a push that is on its way."""
    trash: timedelta
    """For so long what was thrown away can still be had back."""
    share: float = HALF
    """A run that would throw away more than this part of all blobs is refused."""
    unless_known: bool = False
    """But not where what repositories hold shows that tables and storage belong together."""
    rate: float = 0.0
    """Changes per second at most; 0: as fast as it goes."""


def read(options: Mapping[str, Any], promise: float) -> Rules:
    """The rules that ``options`` name, of those in :data:`DEFAULTS`; ``promise`` is how many seconds a registry lets
    others rely on a blob. Raises :class:`InvalidRules`."""
    unknown = sorted(set(options) - set(DEFAULTS))
    if unknown:
        raise InvalidRules(unknown[0], f"there is no such option; there are {', '.join(DEFAULTS)}")
    wanted = {**DEFAULTS, **options}
    grace, trash = _duration(wanted, "grace"), _duration(wanted, "trash")
    least = timedelta(seconds=promise * SAFETY)
    if grace < least:
        raise InvalidRules(
            "grace",
            f"{wanted['grace']} is less than {int(least.total_seconds())} s: whoever was told that a blob is there "
            f"relies on it for {int(promise)} s (REGISTRY_BLOB_PROMISE), and would have to push again",
        )
    rate = _number(wanted, "rate", 1e6)
    if wanted["atMost"] is None:
        return Rules(grace, trash, unless_known=True, rate=rate)
    return Rules(grace, trash, _number(wanted, "atMost", 100) / 100, rate=rate)


def _duration(wanted: Mapping[str, Any], option: str) -> timedelta:
    try:
        return timedelta(seconds=measures.seconds(str(wanted[option])))
    except ValueError as error:
        raise InvalidRules(option, str(error)) from None


def _number(wanted: Mapping[str, Any], option: str, most: float) -> float:
    value = wanted[option]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise InvalidRules(option, f"{str(value)[:40]} is no number from 0 to {most:g}")
    return float(value)
