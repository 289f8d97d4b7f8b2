"""Upload sessions: any replica can go on, nobody can take another repository's."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from image_registry.imagestreams.errors import UploadUnknown
from image_registry.imagestreams.service import ImageStreams
from image_registry.imagestreams.uploads import UploadSession
from image_registry.oci.reference import Repository

APP = Repository("team", "app")


def test_another_replica_finds_how_far_an_upload_is(registry: Any) -> None:
    registry.streams.begin_upload(APP, "u1", "sha256")
    started = registry.clock.now
    registry.streams.record_progress(APP, "u1", offset=2**40, hash_state=b"\0\xff state")
    replica = ImageStreams(registry.database, internal_hostname="other")
    assert replica.upload(APP, "u1") == UploadSession(2**40, "sha256", b"\0\xff state", started)


def test_a_session_belongs_to_its_repository(registry: Any) -> None:
    registry.streams.begin_upload(APP, "u1", "sha256")
    other = Repository("team", "other")
    with pytest.raises(UploadUnknown):
        registry.streams.upload(other, "u1")
    with pytest.raises(UploadUnknown):
        registry.streams.record_progress(other, "u1", offset=1, hash_state=b"")
    registry.streams.end_upload(other, "u1")
    assert registry.streams.upload(APP, "u1").offset == 0


def test_an_ended_session_is_gone_and_can_be_ended_again(registry: Any) -> None:
    registry.streams.begin_upload(APP, "u1", "sha512")
    registry.streams.end_upload(APP, "u1")
    registry.streams.end_upload(APP, "u1")
    with pytest.raises(UploadUnknown, match="begin the upload again"):
        registry.streams.upload(APP, "u1")
    with pytest.raises(UploadUnknown):
        registry.streams.record_progress(APP, "u1", offset=1, hash_state=b"")


def test_uploads_are_no_objects_and_make_no_revision(registry: Any) -> None:
    before = registry.streams.revision()
    registry.streams.begin_upload(APP, "u1", "sha256")
    assert registry.streams.revision() == before
    assert registry.streams.namespaces() == []


def test_abandoned_sessions_are_found_by_age(registry: Any) -> None:
    for name in ("u1", "u2", "u3"):
        registry.streams.begin_upload(APP, name, "sha256")
    assert registry.streams.abandoned_uploads(registry.clock.now) == [(APP, "u1"), (APP, "u2")]
    assert registry.streams.abandoned_uploads(registry.clock.now, limit=1) == [(APP, "u1")]
    assert registry.streams.abandoned_uploads(registry.clock.now - timedelta(days=1)) == []
