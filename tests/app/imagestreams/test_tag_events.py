"""The table of tag events, row by row (parity reference 1.5)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from image_registry.imagestreams.model import TagEvent
from image_registry.imagestreams.tag_events import HISTORY, Effect, add, effect
from image_registry.oci.digest import Digest

THEN = datetime(2030, 1, 1, tzinfo=UTC)
NOW = datetime(2030, 1, 2, tzinfo=UTC)
A, B = Digest.of(b"a"), Digest.of(b"b")
NEWEST = TagEvent(THEN, A, "host/ns/app@a", 1)


@pytest.mark.parity(11)
@pytest.mark.parametrize(
    ("reference", "image", "generation", "expected"),
    [
        ("host/ns/app@a", A, 1, Effect.NOTHING),
        ("host/ns/app@a", A, 2, Effect.REPLACE),
        ("host/ns/app@a", B, 1, Effect.REPLACE),
        ("host/ns/app@a", B, 2, Effect.REPLACE),
        ("host/ns/app@b", A, 1, Effect.REPLACE),
        ("host/ns/app@b", A, 2, Effect.REPLACE),
        ("host/ns/app@b", B, 1, Effect.PREPEND),
        ("host/ns/app@b", B, 2, Effect.PREPEND),
    ],
)
def test_each_row_of_the_table(reference: str, image: Digest, generation: int, expected: Effect) -> None:
    event = TagEvent(NOW, image, reference, generation)
    assert effect(NEWEST, event) is expected
    after = add((NEWEST,), event)
    if expected is Effect.NOTHING:
        assert after == (NEWEST,)
    elif expected is Effect.REPLACE:
        assert after == (TagEvent(THEN, image, reference, generation),), "the time of the first event stays"
    else:
        assert after == (event, NEWEST)


def test_the_first_event_of_a_tag_is_put_in_front_of_nothing() -> None:
    assert add((), NEWEST) == (NEWEST,)


def test_history_forgets_the_oldest_events() -> None:
    history: tuple[TagEvent, ...] = ()
    for number in range(HISTORY + 5):
        digest = Digest.of(b"%d" % number)
        history = add(history, TagEvent(NOW, digest, str(digest), 1))
    assert len(history) == HISTORY
    assert history[0].image == Digest.of(b"%d" % (HISTORY + 4))
    assert history[-1].image == Digest.of(b"5")
