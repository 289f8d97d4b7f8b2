"""Whoever keeps answers hears of every change before the next question, and never waits for it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from image_registry.metadata import follower as module
from image_registry.metadata import revisions
from image_registry.metadata.database import Database
from image_registry.metadata.follower import Change, Follower, NotNow
from image_registry.metadata.revisions import STREAM

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def follower(database: Database) -> Iterator[Follower]:
    found = Follower(database.engine.url.render_as_string(hide_password=False))
    assert answer(found) is None
    yield found
    found.close()


def answer(follower: Follower) -> Sequence[Change] | None:
    """It connects beside the one who asks: until then nobody knows."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return follower.changes()
        except NotNow:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def change(database: Database, *names: str) -> None:
    changes = [revisions.Change(STREAM, "team", name, "MODIFIED") for name in names]
    with database.write() as connection:
        revisions.append(database, connection, changes, NOW)


def test_a_committed_change_is_told_once_and_with_its_name(database: Database, follower: Follower) -> None:
    assert not answer(follower)
    change(database, "app", "web")
    told = answer(follower)
    assert told is not None
    assert [(namespace, name) for _, namespace, name in told] == [("team", "app"), ("team", "web")]
    assert follower.revision == told[-1][0]
    assert not answer(follower)


def test_what_is_not_committed_is_not_told(database: Database, follower: Follower) -> None:
    with database.write(undo=True) as connection:
        revisions.append(database, connection, [revisions.Change(STREAM, "team", "app", "MODIFIED")], NOW)
    assert not answer(follower)


def test_too_many_changes_are_told_as_anything(
    database: Database, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 3)
    change(database, "a", "b", "c", "d")
    assert answer(follower) is None
    assert not answer(follower)


def test_a_database_that_is_not_there_is_not_waited_for(tmp_path: Any) -> None:
    for url in (f"sqlite:///{tmp_path}/missing/x.db", "postgresql+psycopg://nobody@127.0.0.1:1/x"):
        found = Follower(url)
        for _ in range(5):
            started = time.monotonic()
            with pytest.raises(NotNow):
                found.changes()
            assert time.monotonic() - started < 0.5
            time.sleep(0.02)


def test_after_an_outage_everything_counts_as_changed(database: Database, follower: Follower) -> None:
    follower.close()
    follower._asleep_until = 0.0
    change(database, "app")
    assert answer(follower) is None
    assert not answer(follower)
