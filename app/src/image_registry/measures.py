"""Bytes, counts and spans of time as people write and read them: one way for every command, setting and report."""

from __future__ import annotations

import re

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_SPAN = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|[dhms]))+", re.ASCII)
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[dhms])", re.ASCII)
_LONGEST = 100 * 365 * 86400
"""Seconds; no registry is older, and digits without end are no number."""


def seconds(text: str) -> float:
    """A duration as Kubernetes writes them, ``1m30s``, or ``30d``; a bare number is seconds. Raises ``ValueError``."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        found = float(text)
    elif _SPAN.fullmatch(text):
        found = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    else:
        raise ValueError(f"{text[:40]!r} is no duration; write it like 60m, 1h30m, 96h or 30d")
    if found > _LONGEST:
        raise ValueError(f"{text[:40]!r} is more than a hundred years; write it like 60m, 1h30m, 96h or 30d")
    return found


def size(number: float | None) -> str:
    """``1.5 GiB``; a dash for what is not known."""
    if number is None:
        return "-"
    for unit in _UNITS:
        if number < 1024 or unit == _UNITS[-1]:
            break
        number /= 1024
    return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"


def age(span: float) -> str:
    """``3d``, as kubectl has it."""
    total = int(span)
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if total >= 2 * length:
            return f"{total // length}{unit}"
    return f"{max(total, 0)}s"


def hours(span: float) -> str:
    """``24 h`` where that is exact, else ``90 s``."""
    total = int(span)
    return f"{total // 3600} h" if total and total % 3600 == 0 else f"{total} s"


def duration(span: float) -> str:
    """``2 h 5 min``; of what is short only the seconds."""
    if span < 120:
        return f"{span:.0f} s"
    minutes = round(span / 60)
    if minutes < 120:
        return f"{minutes} min"
    whole, rest = divmod(minutes, 60)
    return f"{whole} h {rest} min" if rest else f"{whole} h"


def count(number: int, thing: str, things: str = "") -> str:
    """``1 finding``, ``2 findings``; ``things`` where the plural is not the word with an s."""
    return f"{number} {thing if number == 1 else things or thing + 's'}"
