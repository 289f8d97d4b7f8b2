"""What a new event does to the history of a tag: the table of parity reference 1.5, as a pure function."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from image_registry.imagestreams.model import TagEvent

HISTORY = 50
"""Events kept per tag; older ones are forgotten (parity reference 8.6: unbounded history outgrew its object)."""


class Effect(Enum):
    """How the history takes a new event."""

    NOTHING = "nothing changes"
    REPLACE = "the newest event is changed in place and keeps its time"
    PREPEND = "the new event is put in front"


def effect(newest: TagEvent | None, event: TagEvent) -> Effect:
    """Compare the newest event of a tag with a new one.

    =========== ===== ========== =======
    reference   image generation effect
    =========== ===== ========== =======
    same        same  same       nothing
    same        same  other      replace
    same        other any        replace
    other       same  any        replace
    other       other any        prepend
    =========== ===== ========== =======
    """
    if newest is None:
        return Effect.PREPEND
    same_reference = newest.reference == event.reference
    same_image = newest.image == event.image
    if same_reference and same_image and newest.generation == event.generation:
        return Effect.NOTHING
    return Effect.REPLACE if same_reference or same_image else Effect.PREPEND


def add(history: tuple[TagEvent, ...], event: TagEvent) -> tuple[TagEvent, ...]:
    """The history after the event, the newest first."""
    match effect(history[0] if history else None, event):
        case Effect.NOTHING:
            return history
        case Effect.REPLACE:
            return (TagEvent(history[0].created, event.image, event.reference, event.generation), *history[1:])
        case Effect.PREPEND:
            return (event, *history)[:HISTORY]


def adopted(known: tuple[TagEvent, ...], current: TagEvent, past: Sequence[TagEvent]) -> tuple[TagEvent, ...]:
    """The history after storage was read, the newest first: what was known, what storage adds, ``current`` in front.

    Storage knows no order but the time of each link, and one time for each image; an image that is known to the history
    is not added to it again.
    """
    images = {event.image for event in known}
    older = [event for event in past if event.image not in images and event.image != current.image]
    merged = sorted([*reversed(known), *older], key=lambda event: event.created)
    if not merged or merged[-1].image != current.image:
        newest = max([current.created, *(event.created for event in merged)])
        merged.append(TagEvent(newest, current.image, current.reference, current.generation))
    return tuple(reversed(merged))[:HISTORY]
