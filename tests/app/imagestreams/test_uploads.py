"""Upload sessions: any replica can go on, nobody can take another repository's."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from image_registry.imagestreams.service import ImageStreams
from image_registry.imagestreams.uploads import UploadSession
from image_registry.oci.reference import Repository

APP = Repository("team", "app")


def note(registry: Any, name: str = "u1", repository: Repository = APP, *, offset: int = 1) -> None:
    registry.streams.sessions.note(repository, name, algorithm="sha256", offset=offset, hash_state=b"\0\xff state")


def test_another_replica_finds_how_far_an_upload_is(registry: Any) -> None:
    note(registry)
    started = registry.clock.now
    note(registry, offset=2**40)
    replica = ImageStreams(registry.database, internal_hostname="other")
    assert replica.sessions.find(APP, "u1") == UploadSession(2**40, "sha256", b"\0\xff state", started)


def test_a_session_belongs_to_its_repository(registry: Any) -> None:
    note(registry)
    other = Repository("team", "other")
    assert registry.streams.sessions.find(other, "u1") is None
    note(registry, repository=other, offset=7)
    registry.streams.sessions.end(other, "u1")
    assert registry.streams.sessions.find(APP, "u1").offset == 1


def test_an_ended_session_is_gone_and_can_be_ended_again(registry: Any) -> None:
    note(registry)
    registry.streams.sessions.end(APP, "u1")
    registry.streams.sessions.end(APP, "u1")
    assert registry.streams.sessions.find(APP, "u1") is None


def test_every_replica_knows_what_was_cancelled(registry: Any) -> None:
    note(registry, "u1")
    note(registry, "u2")
    registry.streams.sessions.cancel(APP, "u2")
    registry.streams.sessions.cancel(APP, "u3")
    assert registry.streams.sessions.cancelled() == {"u2", "u3"}
    assert registry.streams.sessions.find(APP, "u2").cancelled
    assert not registry.streams.sessions.find(APP, "u1").cancelled


def test_uploads_are_no_objects_and_make_no_revision(registry: Any) -> None:
    before = registry.streams.revision()
    note(registry)
    assert registry.streams.revision() == before
    assert registry.streams.namespaces() == []


def test_abandoned_sessions_are_found_by_age(registry: Any) -> None:
    for name in ("u1", "u2", "u3"):
        note(registry, name)
    assert registry.streams.sessions.abandoned(registry.clock.now) == [(APP, "u1"), (APP, "u2")]
    assert registry.streams.sessions.abandoned(registry.clock.now, limit=1) == [(APP, "u1")]
    assert registry.streams.sessions.abandoned(registry.clock.now - timedelta(days=1)) == []


def test_only_the_newest_cancelled_sessions_are_remembered(registry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("image_registry.imagestreams.uploads.REMEMBERED", 3)
    for number in range(6):
        registry.streams.sessions.cancel(APP, f"u{number}")
    assert registry.streams.sessions.cancelled() == {"u3", "u4", "u5"}
