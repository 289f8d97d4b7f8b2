"""What a worker does between requests, and that one failure does not keep it from the rest."""

from __future__ import annotations

import io
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from image_registry.imagestreams.service import ImageStreams
from image_registry.metadata.database import Database
from image_registry.oci.reference import Repository
from image_registry.server import maintenance
from image_registry.storage.blob_store import StorageFault, UploadMissing
from image_registry.storage.filesystem import FilesystemStore

APP = Repository("demo", "app")


class Running:
    """A store and its tables, with uploads that began a while ago."""

    def __init__(self, folder: Path, database: Database) -> None:
        self.store = FilesystemStore(folder)
        self.now = datetime.now(UTC)
        self.streams = ImageStreams(database, internal_hostname="registry.test", clock=lambda: self.now)
        self.maintenance = maintenance.Maintenance(self.store, self.streams)

    def upload(self, age: timedelta) -> str:
        upload_id = str(uuid.uuid4())
        self.now = datetime.now(UTC) - age
        self.streams.sessions.note(APP, upload_id, algorithm="sha256", offset=3, hash_state=b"")
        self.store.begin_upload(APP, upload_id)
        self.store.append(APP, upload_id, 0, io.BytesIO(b"abc"), None)
        return upload_id

    def is_there(self, upload_id: str) -> bool:
        try:
            return (
                self.streams.sessions.find(APP, upload_id) is not None and self.store.upload_size(APP, upload_id) == 3
            )
        except UploadMissing:
            return False


@pytest.fixture
def running(tmp_path: Path, database: Database) -> Running:
    return Running(tmp_path / "blobs", database)


def test_an_upload_that_nobody_finished_for_a_week_goes_and_a_younger_one_stays(running: Running) -> None:
    old, young = running.upload(timedelta(days=7, minutes=1)), running.upload(timedelta(days=6))
    running.maintenance.once()
    assert not running.is_there(old)
    assert running.is_there(young)


def test_what_cannot_be_removed_does_not_keep_the_rest(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck, other = running.upload(timedelta(days=9)), running.upload(timedelta(days=8))
    abort = running.store.abort_upload

    def broken(repository: Repository, upload_id: str) -> None:
        if upload_id == stuck:
            raise StorageFault("cannot remove: Input/output error")
        abort(repository, upload_id)

    def unclean(*_: object) -> int:
        raise StorageFault("cannot list: Input/output error")

    monkeypatch.setattr(running.store, "abort_upload", broken)
    monkeypatch.setattr(maintenance, "clean_pending", unclean)
    with pytest.raises(StorageFault):
        running.maintenance.once()
    assert running.is_there(stuck)
    assert not running.is_there(other)
