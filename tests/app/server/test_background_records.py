"""Records follow behind the requests: not while it is read-only, through failures, and said when they cannot."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import cast

import pytest
from structlog.testing import capture_logs

from image_registry.imagestreams.errors import MetadataUnavailable
from image_registry.rebuilding.recording import Followed, Recorder
from image_registry.server.background_records import BackgroundRecords


class Looks:
    """Stands in for a recorder: each look is answered as planned, then nothing has changed any more."""

    def __init__(self, *answers: Followed | Exception) -> None:
        self.answers = list(answers)
        self.count = 0
        self.enough = threading.Event()

    def once(self) -> Followed:
        self.count += 1
        if not self.answers:
            self.enough.set()
            return Followed.NOTHING
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def follow(looks: Looks, paused: Callable[[], bool] = lambda: False) -> BackgroundRecords:
    records = BackgroundRecords(cast("Recorder", looks), paused, interval=0.005)
    records.start()
    return records


def test_a_failure_is_said_once_and_the_records_go_on() -> None:
    away = MetadataUnavailable("the database is away")
    looks = Looks(Followed.PART, away, away, Followed.PART, Followed.NOTHING)
    with capture_logs() as said:
        records = follow(looks)
        assert looks.enough.wait(10)
        records.stop()
    assert [entry["reason"] for entry in said] == ["the database is away"]


def test_tables_that_are_older_than_the_records_are_named_with_what_to_do() -> None:
    looks = Looks(Followed.BEHIND, Followed.BEHIND)
    with capture_logs() as said:
        records = follow(looks)
        assert looks.enough.wait(10)
        records.stop()
    (entry,) = said
    assert "image-registry metadata rebuild" in entry["reason"]
    assert "--discard" in entry["reason"]


def test_nothing_is_recorded_while_the_registry_is_read_only() -> None:
    looks, read_only = Looks(), threading.Event()
    read_only.set()
    records = follow(looks, read_only.is_set)
    time.sleep(0.05)
    assert looks.count == 0
    read_only.clear()
    assert looks.enough.wait(10)
    records.stop()


def test_what_takes_long_is_followed_by_a_longer_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    class Noted(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            pauses.append(timeout or 0)
            return len(pauses) > 2

    records = BackgroundRecords(cast("Recorder", Looks()), interval=1)
    slow = iter([0.0, 3.0, 3.0, 100.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(slow))
    records._stop = Noted()
    records._run()
    assert pauses == [1, 30.0, 60.0]
