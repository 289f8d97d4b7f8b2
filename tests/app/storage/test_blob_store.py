"""What every blob store promises; each backend is a parameter of these tests."""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import uuid
from pathlib import Path

import pytest

from image_registry.oci.digest import Digest
from image_registry.oci.reference import InvalidTag, Repository
from image_registry.storage import layout
from image_registry.storage.blob_store import (
    BlobStore,
    UploadMissing,
)
from image_registry.storage.durable import DurableFolder
from image_registry.storage.resumable_hash import ResumableHash, StateRefused

APP = Repository("demo", "app")
DATA = b"bytes of a layer" * 1000
DIGEST = Digest.of(DATA)


def upload(store: BlobStore, data: bytes, digest: Digest, repository: Repository = APP) -> None:
    upload_id = str(uuid.uuid4())
    store.begin_upload(repository, upload_id)
    store.append(repository, upload_id, 0, io.BytesIO(data), None)
    store.commit_upload(repository, upload_id, digest, len(data))


def test_the_disk_is_asked_to_begin_before_the_end(store: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda _fd, offset, length, _advice: asked.append((offset, length)))
    upload_id = begun(store, b"abc")
    store.append(APP, upload_id, 3, io.BytesIO(b"de"), None)
    assert asked == [(0, 3), (3, 2)]


def test_where_no_such_advice_exists_uploads_work(store: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fadvise")
    upload(store, DATA, DIGEST)
    assert store.read(DIGEST) == DATA


def begun(store: BlobStore, data: bytes = DATA) -> str:
    """A session that has received ``data``."""
    upload_id = str(uuid.uuid4())
    store.begin_upload(APP, upload_id)
    store.append(APP, upload_id, 0, io.BytesIO(data), None)
    return upload_id


def test_who_waited_while_the_upload_became_a_blob_cannot_add_to_the_blob(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = begun(store)
    lock = fcntl.flock

    def after_the_commit(descriptor: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        store.commit_upload(APP, upload_id, DIGEST, len(DATA))
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", after_the_commit)
    with pytest.raises(UploadMissing):
        store.append(APP, upload_id, len(DATA), io.BytesIO(b"harm"), None)
    assert store.read(DIGEST) == DATA


def test_an_upload_cancelled_while_it_is_committed_is_missing(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = begun(store)
    write_out = DurableFolder.write_out

    def cancelled(*_: object) -> None:
        monkeypatch.setattr(DurableFolder, "write_out", write_out)
        store.abort_upload(APP, upload_id)

    monkeypatch.setattr(DurableFolder, "write_out", cancelled)
    with pytest.raises(UploadMissing):
        store.commit_upload(APP, upload_id, DIGEST, len(DATA))
    assert store.stat(DIGEST) is None


def test_a_blob_of_a_wrong_size_is_replaced_by_a_good_one(store: BlobStore, root: Path) -> None:
    upload(store, DATA, DIGEST)
    (root / layout.blob_data(DIGEST)).write_bytes(b"cut")
    upload(store, DATA, DIGEST)
    assert store.read(DIGEST) == DATA


@pytest.mark.parametrize("tag", ["", ".", "..", "../../x", "a/b", "a" * 129, "é"])
def test_what_is_no_tag_becomes_no_path(store: BlobStore, root: Path, tag: str) -> None:
    for act in (
        lambda: store.write_tag(APP, tag, DIGEST),
        lambda: store.read_tag(APP, tag),
        lambda: store.remove_tag(APP, tag),
    ):
        with pytest.raises(InvalidTag):
            act()
    assert not list(root.iterdir())


def test_a_damaged_link_reads_as_absent(store: BlobStore, root: Path) -> None:
    store.write_tag(APP, "v1", DIGEST)
    (root / layout.tag_current(APP, "v1")).write_bytes(b"")
    assert store.read_tag(APP, "v1") is None


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
