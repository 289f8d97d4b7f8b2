"""Writing an event of a tag, and what follows from it: tags that go with it, and what hindered it is over.

One way for a push, a tag and an import. Writers hold the lock of the repository.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from image_registry.imagestreams import rows, tag_events
from image_registry.imagestreams.model import TagEvent
from image_registry.imagestreams.tag_events import Effect
from image_registry.metadata import specs, streams


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest event of a tag, and its key."""

    key: int
    event: TagEvent


def newest(connection: Connection, stream: int, tag: str) -> Newest | None:
    """The event that decides what the tag means."""
    row = streams.newest_event(connection, stream, tag)
    if row is None:
        return None
    return Newest(row.id, TagEvent(row.created, rows.meaning(row.image), row.reference, row.generation))


def record(connection: Connection, stream: int, tag: str, event: TagEvent, known: Newest | None) -> Effect:
    """Put an event into the history of a tag, by the table of parity reference 1.5."""
    values = {
        "created": event.created,
        "image": event.digest,
        "reference": event.reference,
        "generation": event.generation,
    }
    effect = tag_events.effect(known.event if known else None, event)
    if effect is Effect.REPLACE and known is not None:
        streams.replace_event(connection, stream, tag, known.key, values)
    elif effect is Effect.PREPEND:
        streams.add_event(connection, stream, tag, values, first=known is None, cap=tag_events.HISTORY)
    return effect


def settle(connection: Connection, stream: int, tag: str, event: TagEvent) -> None:
    """After an event changed ``tag``: what hindered it is over, and the tags that go with it mean the same."""
    waiting, seen = [tag], {tag}
    while waiting:
        current = waiting.pop()
        specs.clear_conditions(connection, stream, current)
        for follower in specs.followers(connection, stream, current):
            if follower.tag in seen:
                continue
            seen.add(follower.tag)
            own = replace(event, generation=follower.generation)
            if record(connection, stream, follower.tag, own, newest(connection, stream, follower.tag)) is not (
                Effect.NOTHING
            ):
                waiting.append(follower.tag)


def put(connection: Connection, stream: int, tag: str, event: TagEvent) -> bool:
    """:func:`record` and :func:`settle`; false if nothing changed."""
    if record(connection, stream, tag, event, newest(connection, stream, tag)) is Effect.NOTHING:
        return False
    settle(connection, stream, tag, event)
    return True
