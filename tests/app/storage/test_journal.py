"""One sync instead of many is right only where names are written in order; elsewhere every folder is synced."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.storage import durable, layout, syncing
from image_registry.storage.filesystem import FilesystemStore
from image_registry.storage.journal import keeps_order

APP = Repository("demo", "app")
DATA = b"small content"
DIGEST = Digest.of(DATA)


@pytest.mark.parametrize(("kind", "ordered"), [("ext4", True), ("xfs", True), ("btrfs", False), ("nfs4", False)])
def test_the_kind_of_file_system_is_read_from_the_mounts(tmp_path: Path, kind: str, *, ordered: bool) -> None:
    device = os.stat(tmp_path).st_dev
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        f"21 1 0:99 / /proc rw - proc proc rw\n"
        f"36 21 {os.major(device)}:{os.minor(device)} / /data rw,noatime master:1 - {kind} /dev/sda1 rw\n",
        encoding="utf-8",
    )
    assert keeps_order(str(tmp_path), str(mounts)) is ordered
    assert not keeps_order(str(tmp_path), str(tmp_path / "none"))


@pytest.mark.parametrize("ordered", [True, False])
def test_every_new_name_is_durable_before_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, ordered: bool
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(durable, "keeps_order", lambda _base: ordered)
    monkeypatch.setattr(durable, "sync_folder", lambda path: synced.append(os.path.relpath(path, tmp_path)))
    store = FilesystemStore(tmp_path)
    store.put_blob(APP, DATA, DIGEST)
    blob, link = layout.blob(DIGEST), layout.layer(APP, DIGEST)
    if ordered:
        assert synced == [link]
        return
    above = {os.path.dirname(blob), os.path.dirname(link), layout.ROOT, "."}
    assert {blob, link, *above} <= set(synced)
    synced.clear()
    other = Digest.of(b"other")
    store.put_blob(APP, b"other", other)
    assert {layout.blob(other), layout.layer(APP, other), os.path.dirname(layout.layer(APP, other))} <= set(synced)
    assert layout.ROOT not in synced  # that folder has a durable name since the first push


@pytest.mark.parametrize("ordered", [True, False])
def test_bytes_are_on_the_disk_before_they_have_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, ordered: bool
) -> None:
    """Or a power cut between the two would leave a blob of zeros. How they come there depends on the file system."""
    done: list[str] = []

    def noted(name: str, real: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: Any) -> None:
            done.append(name)
            real(*arguments)

        return call

    monkeypatch.setattr(durable, "keeps_order", lambda _base: ordered)
    for place, name in ((syncing, "wait_for_writing"), (durable, "sync_folder"), (os, "fsync"), (os, "replace")):
        monkeypatch.setattr(place, name, noted(name, getattr(place, name)))
    FilesystemStore(tmp_path).put_blob(APP, DATA, DIGEST)
    moved = [number for number, name in enumerate(done) if name == "replace"]
    assert len(moved) == 2
    assert done[: moved[0]] == ["wait_for_writing" if ordered else "fsync"] * 2
    assert done[moved[1] + 1] == "sync_folder"


@pytest.mark.parametrize("ordered", [True, False])
def test_a_change_of_very_many_files_keeps_few_of_them_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, ordered: bool
) -> None:
    monkeypatch.setattr(durable, "keeps_order", lambda _base: ordered)
    most = 0

    def counting(descriptor: int, data: bytes) -> None:
        nonlocal most
        os.write(descriptor, data)
        most = max(most, len(os.listdir("/proc/self/fd")))

    monkeypatch.setattr(durable, "write_all", counting)
    before = len(os.listdir("/proc/self/fd"))
    tags = {f"v{number}": DIGEST for number in range(200)}
    store = FilesystemStore(tmp_path)
    store.write_tags(APP, tags)
    assert {tag: store.read_tag(APP, tag) for tag in tags} == tags
    assert most < before + 100


def test_a_system_without_ranges_syncs_whole_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "keeps_order", lambda _base: True)
    monkeypatch.setattr(syncing, "start_writing", None)
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    FilesystemStore(tmp_path).put_blob(APP, DATA, DIGEST)
    assert len(synced) == 3


def test_what_is_there_already_is_not_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FilesystemStore(tmp_path).put_blob(APP, DATA, DIGEST)
    synced: list[str] = []
    monkeypatch.setattr(durable, "sync_folder", synced.append)
    store = FilesystemStore(tmp_path)
    store.put_blob(APP, DATA, DIGEST)
    assert len(synced) == 2  # another process may have put it there a moment ago
    store.put_blob(APP, DATA, DIGEST)
    assert len(synced) == 2


def test_what_a_killed_process_left_is_swept_when_it_is_old(tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path)
    store.put_blob(APP, DATA, DIGEST)
    rest = tmp_path / layout.STAGING / "x.tmp"
    rest.write_bytes(b"half")
    assert store.sweep(datetime.now(UTC) - timedelta(hours=1)) == 0
    assert store.sweep(datetime.now(UTC) + timedelta(hours=1)) == 1
    assert not rest.exists()
    assert store.read(DIGEST) == DATA
