# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values of a release that whoever installs does not say: by Helm they would go, and with them what they led to.

A migration writes where the images lie, and the names by which clients know them; a person writes a route. What an
inventory does not say of that is gone with the next run, and the registry looks for its images in an empty claim.

Private to this collection.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

DEEP = 3
"""Parts of a name that are told: ``config.storage.s3`` says enough."""

ANY = "*"

EMPTIED = frozenset({("config", "storage", "pvc")})
"""Where nothing is something: the chart's own choice, a claim, would come back."""

WHOLE = frozenset({("image",), ("postgresql", "image"), ("nodeCA", "image")})
"""An image that is said is said whole: by a digest where it was a tag."""


def unsaid(installed: dict[str, Any], said: dict[str, Any], forgotten: Sequence[str]) -> list[str]:
    """Names of values that the release has, nobody says and nobody lets go; dotted, each once."""
    names = dict.fromkeys(".".join(path[:DEEP]) for path in _missing(installed, said))
    return [name for name in names if not any(_covers(pattern, name) for pattern in forgotten)]


def _covers(pattern: str, name: str) -> bool:
    """Whether a name is let go: by itself, or with all that is above it."""
    return pattern == ANY or name == pattern or name.startswith(f"{pattern}.")


def _missing(installed: dict[str, Any], said: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in installed.items():
        here = (*path, str(key))
        if key not in said:
            yield from _leaves(value, here)
        elif here not in WHOLE and isinstance(value, dict) and isinstance(said[key], dict):
            yield from _missing(value, said[key], here)


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if (value is None and path not in EMPTIED) or value == {}:
        return  # says nothing that would go
    if not isinstance(value, dict):
        yield path
        return
    for key, below in value.items():
        yield from _leaves(below, (*path, str(key)))
