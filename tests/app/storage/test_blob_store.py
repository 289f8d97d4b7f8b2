"""What every blob store promises; each backend is a parameter of these tests."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import uuid
from pathlib import Path

import pytest

from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.storage import layout
from image_registry.storage.blob_store import (
    BlobMissing,
    BlobStore,
    OffsetMismatch,
    OutOfSpace,
    StorageFault,
    UploadBusy,
    UploadMissing,
)
from image_registry.storage.filesystem import FilesystemStore
from image_registry.storage.resumable_hash import ResumableHash, StateRefused

APP = Repository("demo", "app")
DATA = b"bytes of a layer" * 1000
DIGEST = Digest.of(DATA)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture(params=["filesystem"])
def store(root: Path) -> BlobStore:
    return FilesystemStore(root)


def upload(store: BlobStore, data: bytes, digest: Digest, repository: Repository = APP) -> None:
    upload_id = str(uuid.uuid4())
    store.begin_upload(repository, upload_id)
    store.append(repository, upload_id, 0, io.BytesIO(data), None)
    store.commit_upload(repository, upload_id, digest)


class BreaksAfter:
    """A client that sends some bytes and vanishes."""

    def __init__(self, data: bytes) -> None:
        self._chunks = [data]

    def read(self, _size: int, /) -> bytes:
        if not self._chunks:
            raise ConnectionResetError(errno.ECONNRESET, "the client has gone")
        return self._chunks.pop()


def test_an_upload_becomes_a_blob_linked_into_its_repository_only(store: BlobStore) -> None:
    upload(store, DATA, DIGEST)
    assert store.stat(DIGEST) == len(DATA)
    with store.open(DIGEST) as file:
        assert file.read() == DATA
    assert store.blob_linked(APP, DIGEST)
    assert not store.blob_linked(Repository("demo", "other"), DIGEST)


def test_an_unfinished_upload_is_invisible(store: BlobStore) -> None:
    upload_id = str(uuid.uuid4())
    store.begin_upload(APP, upload_id)
    store.append(APP, upload_id, 0, io.BytesIO(DATA), None)
    assert store.stat(DIGEST) is None
    with pytest.raises(BlobMissing):
        store.open(DIGEST)


def test_a_chunk_at_the_wrong_place_is_refused_and_changes_nothing(store: BlobStore) -> None:
    upload_id = str(uuid.uuid4())
    store.begin_upload(APP, upload_id)
    assert store.append(APP, upload_id, 0, io.BytesIO(b"abc"), None) == 3
    with pytest.raises(OffsetMismatch) as refused:
        store.append(APP, upload_id, 5, io.BytesIO(b"xyz"), None)
    assert refused.value.actual == 3
    assert store.upload_size(APP, upload_id) == 3


def test_what_arrived_before_the_client_vanished_stays(store: BlobStore) -> None:
    upload_id = str(uuid.uuid4())
    store.begin_upload(APP, upload_id)
    with pytest.raises(ConnectionResetError):
        store.append(APP, upload_id, 0, BreaksAfter(b"half"), None)
    assert store.upload_size(APP, upload_id) == 4
    assert store.append(APP, upload_id, 4, io.BytesIO(b"rest"), None) == 8


def test_two_writers_of_one_upload_cannot_mix_their_bytes(store: BlobStore) -> None:
    upload_id = str(uuid.uuid4())
    store.begin_upload(APP, upload_id)

    class Second:
        def read(self, _size: int, /) -> bytes:
            with pytest.raises(UploadBusy):
                store.append(APP, upload_id, 0, io.BytesIO(b"other"), None)
            return b""

    store.append(APP, upload_id, 0, Second(), None)
    assert store.upload_size(APP, upload_id) == 0


def test_an_aborted_or_foreign_upload_is_missing(store: BlobStore) -> None:
    upload_id = str(uuid.uuid4())
    store.begin_upload(APP, upload_id)
    store.abort_upload(APP, upload_id)
    for missing in (upload_id, str(uuid.uuid4()), "../../../etc", "not-a-uuid"):
        with pytest.raises(UploadMissing):
            store.upload_size(APP, missing)


def test_a_tag_moves_and_goes(store: BlobStore) -> None:
    other = Digest.of(b"other")
    store.write_tag(APP, "v1", DIGEST)
    store.write_tag(APP, "v1", other)
    store.write_tag(APP, "latest", DIGEST)
    assert store.read_tag(APP, "v1") == other
    assert store.tags(APP) == ["latest", "v1"]
    assert store.remove_tag(APP, "v1")
    assert not store.remove_tag(APP, "v1")
    assert store.read_tag(APP, "v1") is None


def test_links_of_manifests_and_blobs_are_apart(store: BlobStore) -> None:
    store.link_manifest(APP, DIGEST)
    assert store.manifest_linked(APP, DIGEST)
    assert not store.blob_linked(APP, DIGEST)
    assert store.unlink_manifest(APP, DIGEST)
    assert not store.manifest_linked(APP, DIGEST)


def test_what_a_repository_holds_can_be_listed(store: BlobStore) -> None:
    upload(store, DATA, DIGEST)
    store.link_manifest(APP, DIGEST)
    store.write_tag(APP, "v1", DIGEST)
    held = store.held(APP)
    assert held.tags == {"v1"}
    assert held.manifests == {DIGEST}
    assert set(held.blobs) == {DIGEST}
    assert list(store.repositories()) == [APP]


def test_sha512_content_has_its_own_address(store: BlobStore) -> None:
    digest = Digest.of(DATA, "sha512")
    upload(store, DATA, digest)
    assert store.read(digest) == DATA
    assert store.stat(DIGEST) is None


def test_a_damaged_link_reads_as_absent(store: BlobStore, root: Path) -> None:
    store.write_tag(APP, "v1", DIGEST)
    (root / layout.tag_current(APP, "v1")).write_bytes(b"")
    assert store.read_tag(APP, "v1") is None


def test_a_full_disk_is_named_and_leaves_no_rest(store: BlobStore, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutOfSpace, match="No space left"):
        store.put(DATA, DIGEST)
    monkeypatch.undo()
    assert store.stat(DIGEST) is None
    assert not list(root.rglob("*.tmp"))


def test_a_broken_disk_is_a_fault(store: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(StorageFault, match="Input/output error"):
        store.probe()


def test_the_probe_leaves_nothing(store: BlobStore, root: Path) -> None:
    store.probe()
    assert not [path for path in root.rglob("*") if path.is_file()]


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_hash_goes_on_from_its_stored_state(algorithm: str) -> None:
    first = ResumableHash(algorithm)
    first.update(DATA[:777])
    second = ResumableHash.restore(algorithm, first.state())
    second.update(DATA[777:])
    assert second.hexdigest() == hashlib.new(algorithm, DATA).hexdigest()
    assert first.hexdigest() == hashlib.new(algorithm, DATA[:777]).hexdigest()


@pytest.mark.parametrize("state", [b"", b"garbage", b"1:sha256:vax:little:" + b"0" * 112])
def test_a_foreign_hash_state_is_refused(state: bytes) -> None:
    with pytest.raises(StateRefused):
        ResumableHash.restore("sha256", state)
