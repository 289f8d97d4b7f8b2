"""A long run is made in portions: what one of them has sent the next one takes over, as long as it is still there."""

from __future__ import annotations

import pytest

from image_registry.mirroring import journal as journals
from image_registry.mirroring.applying import Applying, Watching
from image_registry.mirroring.journal import Journal
from image_registry.mirroring.limits import Limits
from image_registry.mirroring.looking import Looking
from image_registry.mirroring.planner import make_plan
from image_registry.mirroring.results import Report
from image_registry.mirroring.wishes import Wishes
from image_registry.oci.digest import Digest
from tests.app.mirroring.memory import Memory
from tests.app.mirroring.test_engine import mapping, place, put_image

BASE = b"a layer that every image is made from"


def portion(memory: Memory, name: str, journal: Journal, own: bytes = b"") -> Report:
    """Copy one image of the same base, in a repository of its own."""
    source = memory.open(place(f"source.x/ns/{name}"))
    source.names["v1"] = put_image(source, [BASE, own or name.encode()]).digest
    looking = Looking(memory.open, Wishes(), Limits(2, 2), lambda _what, _number: None)
    view = looking.look([mapping(f"source.x/ns/{name}:v1=target.x/ns/{name}:v1")], journal.has_blob)
    report = Applying(
        make_plan(view, holder=journal.holder), memory.open, Limits(2, 2), journal, Watching(), continue_on_error=True
    ).run()
    target = memory.open(place(f"target.x/ns/{name}"))
    assert target.names == source.names
    assert set(target.blobs) == set(source.blobs)
    return report


def test_a_layer_goes_once_however_many_portions_need_it() -> None:
    memory, journal = Memory(), Journal()
    first, second, third = (portion(memory, name, journal) for name in ("one", "two", "three"))
    assert (first.sent_blobs, first.mounted) == (3, 0)
    assert (second.sent_blobs, second.mounted) == (third.sent_blobs, third.mounted) == (1, 2)
    assert memory.sent["docker:target.x", str(Digest.of(BASE))] == 1


def test_a_layer_that_was_cleaned_away_between_two_portions_is_sent_again() -> None:
    memory, journal = Memory(), Journal()
    portion(memory, "one", journal)
    del memory.open(place("target.x/ns/one")).blobs[Digest.of(BASE)]
    second = portion(memory, "two", journal)
    assert (second.sent_blobs, second.mounted) == (2, 1)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "REMEMBERED", 2)
    memory, journal = Memory(), Journal()
    for name in ("one", "two", "three"):
        portion(memory, name, journal)
        assert len(journal._holders) <= 2
