"""How much of each object a list must read for the form that was asked for: the rest is never fetched."""

from __future__ import annotations

from enum import IntEnum

from image_registry.image_api.negotiation import Representation, Shape


class Detail(IntEnum):
    """Each has what those before it have."""

    METADATA = 0
    """``metadata`` alone, and what field selectors ask about."""
    ROW = 1
    """What a row of a table shows."""
    WHOLE = 2
    """The object."""


def needed(form: Representation, include: str) -> Detail:
    """For a form of answers; ``include`` is what a row of a table carries of its object."""
    if form.shape is Shape.METADATA:
        return Detail.METADATA
    return Detail.ROW if form.shape is Shape.TABLE and include != "Object" else Detail.WHOLE
