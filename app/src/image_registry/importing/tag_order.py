"""Which tags of a repository matter most, when not all of them can be imported (parity reference 1.10)."""

from __future__ import annotations

import re
from collections.abc import Iterable

_MINOR = re.compile(r"v?([0-9]{1,9})\.([0-9]{1,9})", re.ASCII)
_FULL = re.compile(r"v?([0-9]{1,9})\.([0-9]{1,9})\.([0-9]{1,9})(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?", re.ASCII)


def by_importance(tags: Iterable[str]) -> list[str]:
    """``latest``, then ``x.y``, then ``x.y.z``, each the newest first; then what precedes releases; then the rest."""
    return sorted(dict.fromkeys(tags), key=_key)


def _key(tag: str) -> tuple[object, ...]:
    if tag == "latest":
        return (0,)
    if match := _MINOR.fullmatch(tag):
        return (1, -int(match[1]), -int(match[2]), tag)
    if match := _FULL.fullmatch(tag):
        return (2 if match[4] is None else 3, -int(match[1]), -int(match[2]), -int(match[3]), tag)
    return (4, tag)
