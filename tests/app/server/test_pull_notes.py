"""What counts as a pull, and that remembering it is bounded and survives a database that is away."""

from __future__ import annotations

import io
from collections.abc import Collection
from datetime import datetime
from typing import Any, cast

import pytest

from image_registry.imagestreams.errors import MetadataUnavailable
from image_registry.imagestreams.pulls import Pulls
from image_registry.server import pull_notes
from image_registry.server.observation import Observer
from image_registry.server.pull_notes import PullNotes
from tests.app.server.test_observation import PULL

NOTED = ("demo", "app", PULL.digest)


class FakePulls:
    """A named fake: the database that is away, or takes everything."""

    def __init__(self) -> None:
        self.away = False
        self.noted: list[set[tuple[str, str, str]]] = []
        self.anew: list[bool] = []

    def note(self, pulled: Collection[tuple[str, str, str]], _now: datetime) -> None:
        if self.away:
            raise MetadataUnavailable("nobody answers")
        self.noted.append(set(pulled))

    def say(self, _now: datetime, *, anew: bool = False) -> None:
        self.anew.append(anew)


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> PullNotes:
    monkeypatch.setattr(pull_notes, "INTERVAL", -1.0)
    return PullNotes()


def write(notes: PullNotes, pulls: FakePulls) -> None:
    notes.write(cast("Pulls", pulls))


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({}, True),
        ({"kept": True}, True),
        ({"status": 304}, True),
        ({"complete": False}, True),
        ({"method": "HEAD"}, False),
        ({"status": 404}, False),
        ({"status": 403}, False),
        ({"route": "blobs.get"}, False),
        ({"method": "PUT", "route": "manifests.put", "status": 201}, False),
    ],
)
def test_a_manifest_that_was_given_counts_and_nothing_else(
    notes: PullNotes, change: dict[str, Any], counts: bool
) -> None:
    observer, pulls = Observer(stream=io.BytesIO(), pulled=notes.take), FakePulls()
    observer.finished(PULL._replace(**change))
    observer.flush()
    write(notes, pulls)
    assert pulls.noted == [{NOTED} if counts else set()]


def test_what_cannot_be_written_is_written_later(notes: PullNotes) -> None:
    pulls = FakePulls()
    pulls.away = True
    notes.take(PULL)
    write(notes, pulls)
    pulls.away = False
    write(notes, pulls)
    assert (pulls.noted, pulls.anew) == ([{NOTED}], [False])


@pytest.mark.parametrize("away", [False, True])
def test_more_than_is_remembered_begins_noting_anew(
    notes: PullNotes, monkeypatch: pytest.MonkeyPatch, away: bool
) -> None:
    monkeypatch.setattr(pull_notes, "MOST", 2)
    pulls = FakePulls()
    for number in range(3):
        notes.take(PULL._replace(digest=f"sha256:{number:064}"))
    if away:
        pulls.away = True
        write(notes, pulls)
        pulls.away = False
    write(notes, pulls)
    write(notes, pulls)
    assert pulls.anew == [True, False]
    assert all(len(noted) <= 2 for noted in pulls.noted)
