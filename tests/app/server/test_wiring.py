"""What keeps a data plane from starting, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from image_registry.server.settings import Settings
from image_registry.server.wiring import check_storage
from image_registry.storage.blob_store import OutOfSpace, StorageFault
from image_registry.storage.filesystem import FilesystemStore


def raising(failure: Exception) -> Callable[..., None]:
    def probe(_store: object) -> None:
        raise failure

    return probe


def settings(root: Path, *, read_only: bool = False) -> Settings:
    return Settings(database_url="sqlite://", storage_filesystem_rootdirectory=root, read_only=read_only)


def test_a_full_disk_does_not_keep_pulls_from_being_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(FilesystemStore, "probe", raising(OutOfSpace("No space left on device")))
    check_storage(settings(tmp_path))
    assert "the storage is full" in "".join(capsys.readouterr())


def test_a_broken_disk_keeps_the_registry_from_starting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FilesystemStore, "probe", raising(StorageFault("Input/output error")))
    with pytest.raises(StorageFault):
        check_storage(settings(tmp_path))


def test_a_read_only_registry_starts_on_a_volume_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FilesystemStore, "probe", raising(StorageFault("Read-only file system")))
    check_storage(settings(tmp_path, read_only=True))
