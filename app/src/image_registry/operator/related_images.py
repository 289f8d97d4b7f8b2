"""Which images the operand runs, told by the environment: OLM, and whoever mirrors images for it, know no other place.

``RELATED_IMAGE_…`` are variables of the operator's container; a Subscription may change them. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PLACES = {
    "RELATED_IMAGE_IMAGE_REGISTRY": ("image",),
    "RELATED_IMAGE_POSTGRESQL": ("postgresql", "image"),
}
"""Where the operand's chart has each image."""


def values(environment: Mapping[str, str]) -> dict[str, Any]:
    """Values of the operand's chart; nothing for images that are not told."""
    found: dict[str, Any] = {}
    for variable, place in PLACES.items():
        if not environment.get(variable):
            continue
        below = found
        for name in place[:-1]:
            below = below.setdefault(name, {})
        below[place[-1]] = parts(environment[variable])
    return found


def parts(reference: str) -> dict[str, str]:
    """A reference as the chart wants it; its first part is a registry only if it looks like one."""
    rest, _, digest = reference.partition("@")
    head, _, last = rest.rpartition("/")
    name, _, tag = last.partition(":")
    first, slash, path = f"{head}/{name}".lstrip("/").partition("/")
    is_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    registry, repository = (first, path) if is_host else ("", f"{first}{slash}{path}")
    return {"registry": registry, "repository": repository, "tag": tag, "digest": digest}
