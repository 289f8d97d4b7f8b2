"""Large uploads past the page cache: every byte at its place, in whatever pieces they come."""

from __future__ import annotations

import errno
import hashlib
import os
import uuid
from pathlib import Path

import pytest

from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.storage import direct
from image_registry.storage.blob_store import OutOfSpace
from image_registry.storage.filesystem import FilesystemStore
from image_registry.storage.resumable_hash import ResumableHash

APP = Repository("demo", "app")
MIB = 1 << 20


class Incoming:
    """A body that can be received into memory and may break."""

    def __init__(self, data: bytes, breaks_at: int | None = None) -> None:
        self._data, self._place, self._breaks_at = data, 0, breaks_at

    @property
    def left(self) -> int | None:
        return len(self._data) - self._place

    def readinto(self, view: memoryview, /) -> int:
        if self._breaks_at is not None and self._place >= self._breaks_at:
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        end = min(self._place + len(view), len(self._data), self._breaks_at or len(self._data))
        length = end - self._place
        view[:length] = self._data[self._place : end]
        self._place = end
        return length

    def read(self, size: int, /) -> bytes:
        view = memoryview(bytearray(size))
        return bytes(view[: self.readinto(view)])


def begun(root: Path) -> tuple[FilesystemStore, str]:
    store, upload_id = FilesystemStore(root), str(uuid.uuid4())
    store.begin_upload(APP, upload_id)
    return store, upload_id


def whole(store: FilesystemStore, upload_id: str, pieces: list[bytes]) -> bytes:
    """Send the pieces one after the other and read the blob that they make."""
    running, size = ResumableHash("sha256"), 0
    for piece in pieces:
        size = store.append(APP, upload_id, size, Incoming(piece), running)
    data = b"".join(pieces)
    assert (size, running.hexdigest()) == (len(data), hashlib.sha256(data).hexdigest())
    digest = Digest.of(data)
    store.commit_upload(APP, upload_id, digest, size)
    return store.read(digest)


@pytest.mark.parametrize(
    "sizes",
    [(MIB,), (5 * MIB,), (3 * MIB + 1,), (2 * MIB - 1, 4 * MIB), (2 * MIB, 2 * MIB + 4097, 3 * MIB), (5, 3 * MIB)],
    ids=str,
)
def test_every_byte_arrives_whatever_the_lengths(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    pieces = [os.urandom(size) for size in sizes]
    assert whole(*begun(tmp_path), pieces) == b"".join(pieces)


def test_a_file_system_that_refuses_gets_the_bytes_the_usual_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwrite
    refused: list[int] = []

    def refusing(descriptor: int, data: memoryview, offset: int) -> int:
        if not refused:
            refused.append(offset)
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return real(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", refusing)
    data = os.urandom(3 * MIB)
    assert whole(*begun(tmp_path), [data]) == data
    assert refused == [0]


def test_a_system_without_the_flag_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "O_DIRECT")
    data = os.urandom(3 * MIB + 7)
    assert whole(*begun(tmp_path), [data]) == data


def test_who_comes_when_all_buffers_are_in_use_is_served_too(tmp_path: Path) -> None:
    store, upload_id = begun(tmp_path)
    taken = [store._uploads.buffers.taken() for _ in range(direct.AT_ONCE)]
    for one in taken:
        assert one.__enter__() is not None
    with store._uploads.buffers.taken() as nothing:
        assert nothing is None
    data = os.urandom(2 * MIB)
    assert whole(store, upload_id, [data]) == data
    for one in taken:
        one.__exit__(None, None, None)


def test_what_arrived_before_the_body_broke_stays_and_is_hashed(tmp_path: Path) -> None:
    store, upload_id = begun(tmp_path)
    data, running = os.urandom(4 * MIB), ResumableHash("sha256")
    with pytest.raises(ConnectionResetError):
        store.append(APP, upload_id, 0, Incoming(data, breaks_at=2 * MIB + 100), running)
    size = store.upload_size(APP, upload_id)
    assert size == 2 * MIB + 100
    assert running.hexdigest() == hashlib.sha256(data[:size]).hexdigest()
    store.append(APP, upload_id, size, Incoming(data[size:]), running)
    assert running.hexdigest() == hashlib.sha256(data).hexdigest()


def test_a_disk_that_fails_leaves_a_true_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, upload_id = begun(tmp_path)
    data, real = os.urandom(4 * MIB), os.pwrite

    def full(descriptor: int, view: memoryview, offset: int) -> int:
        if offset >= 2 * MIB:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, view, offset)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OutOfSpace):
        store.append(APP, upload_id, 0, Incoming(data), None)
    monkeypatch.undo()
    size = store.upload_size(APP, upload_id)
    assert size == 2 * MIB
    store.append(APP, upload_id, size, Incoming(data[size:]), None)
    store.commit_upload(APP, upload_id, Digest.of(data), len(data))
    assert store.read(Digest.of(data)) == data


def test_after_many_uploads_at_once_a_few_buffers_are_kept(tmp_path: Path) -> None:
    store, _ = begun(tmp_path)
    for length in (direct.WORTH, direct.SHORT):
        taken = [store._uploads.buffers.taken(length) for _ in range(direct.AT_ONCE)]
        lengths = {len(buffer) for one in taken for buffer in one.__enter__() or ()}
        assert lengths == {direct.BLOCK if length >= direct.SHORT else direct.SHORT_BLOCK}
        for one in taken:
            one.__exit__(None, None, None)
    assert {size: len(idle) for size, idle in store._uploads.buffers._idle.items()} == {
        direct.SHORT_BLOCK: direct.IDLE,
        direct.BLOCK: direct.IDLE,
    }
