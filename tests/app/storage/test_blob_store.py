"""What every blob store promises; each backend is a parameter of these tests."""

from __future__ import annotations

import errno
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
    BlobMissing,
    BlobStore,
    OffsetMismatch,
    UploadBusy,
    UploadMissing,
)
from image_registry.storage.resumable_hash import ResumableHash, StateRefused

APP = Repository("demo", "app")
DATA = b"bytes of a layer" * 1000
DIGEST = Digest.of(DATA)


def upload(store: BlobStore, data: bytes, digest: Digest, repository: Repository = APP) -> None:
    upload_id = str(uuid.uuid4())
    store.begin_upload(repository, upload_id)
    store.append(repository, upload_id, 0, io.BytesIO(data), None)
    store.commit_upload(repository, upload_id, digest, len(data))


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


class Pieces:
    """A body that comes in pieces of these sizes."""

    def __init__(self, data: bytes, *sizes: int) -> None:
        self._source, self._sizes = io.BytesIO(data), list(sizes)

    def read(self, size: int, /) -> bytes:
        return self._source.read(self._sizes.pop(0) if self._sizes else size)


@pytest.mark.parametrize("sizes", [(), (1,), (600_000, 3, 700_000), (3, 600_000, 600_000, 5), (524_288, 524_287)])
def test_the_hash_has_seen_every_byte_in_order_when_the_chunk_is_there(
    store: BlobStore, sizes: tuple[int, ...]
) -> None:
    data = os.urandom(3_000_001)
    upload_id = begun(store, b"")
    hasher = hashlib.sha256()
    assert store.append(APP, upload_id, 0, Pieces(data, *sizes), hasher) == len(data)
    assert hasher.hexdigest() == hashlib.sha256(data).hexdigest()


def test_a_broken_chunk_leaves_a_hash_of_what_is_there(store: BlobStore) -> None:
    data = os.urandom(2 << 20)
    upload_id = begun(store, b"")
    hasher = hashlib.sha256()
    with pytest.raises(ConnectionResetError):
        store.append(APP, upload_id, 0, BreaksAfter(data), hasher)
    assert store.upload_size(APP, upload_id) == len(data)
    assert hasher.hexdigest() == hashlib.sha256(data).hexdigest()


def test_a_hash_that_fails_fails_the_chunk(store: BlobStore) -> None:
    class Broken:
        def update(self, _data: bytes | bytearray | memoryview, /) -> None:
            raise MemoryError

        def hexdigest(self) -> str:
            return ""

    with pytest.raises(MemoryError):
        store.append(APP, begun(store, b""), 0, io.BytesIO(bytes(2 << 20)), Broken())


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


def begun(store: BlobStore, data: bytes = DATA) -> str:
    """A session that has received ``data``."""
    upload_id = str(uuid.uuid4())
    store.begin_upload(APP, upload_id)
    store.append(APP, upload_id, 0, io.BytesIO(data), None)
    return upload_id


def test_an_upload_that_is_being_written_to_cannot_become_a_blob(store: BlobStore) -> None:
    upload_id = begun(store)

    class Meanwhile:
        def read(self, _size: int, /) -> bytes:
            with pytest.raises(UploadBusy):
                store.commit_upload(APP, upload_id, DIGEST, len(DATA))
            return b""

    store.append(APP, upload_id, len(DATA), Meanwhile(), None)
    assert store.stat(DIGEST) is None
    store.commit_upload(APP, upload_id, DIGEST, len(DATA))
    assert store.read(DIGEST) == DATA


def test_bytes_that_came_after_the_check_of_the_digest_keep_the_upload_invisible(store: BlobStore) -> None:
    upload_id = begun(store)
    store.append(APP, upload_id, len(DATA), io.BytesIO(b"late"), None)
    with pytest.raises(OffsetMismatch) as refused:
        store.commit_upload(APP, upload_id, DIGEST, len(DATA))
    assert refused.value.actual == len(DATA) + 4
    assert store.stat(DIGEST) is None
    assert store.upload_size(APP, upload_id) == len(DATA) + 4


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
    sync = os.fsync

    def cancelled(_descriptor: int) -> None:
        monkeypatch.setattr(os, "fsync", sync)
        store.abort_upload(APP, upload_id)

    monkeypatch.setattr(os, "fsync", cancelled)
    with pytest.raises(UploadMissing):
        store.commit_upload(APP, upload_id, DIGEST, len(DATA))
    assert store.stat(DIGEST) is None


def test_the_same_blob_twice_is_one_blob_in_two_repositories(store: BlobStore) -> None:
    other = Repository("demo", "other")
    upload(store, DATA, DIGEST)
    upload(store, DATA, DIGEST, other)
    assert store.unlink_blob(APP, DIGEST)
    assert store.blob_linked(other, DIGEST)
    assert store.read(DIGEST) == DATA


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
    assert list(store.repositories("demo")) == [APP]
    assert list(store.repositories("other")) == []


def test_sha512_content_has_its_own_address(store: BlobStore) -> None:
    digest = Digest.of(DATA, "sha512")
    upload(store, DATA, digest)
    assert store.read(digest) == DATA
    assert store.stat(DIGEST) is None


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


def test_every_link_is_told_with_what_a_tag_has_meant(store: BlobStore) -> None:
    first, second = Digest.of(b"first"), Digest.of(b"second", "sha512")
    for digest in (first, second):
        store.link_manifest(APP, digest)
        store.write_tag(APP, "v1", digest)
    store.link_blob(APP, DIGEST)
    links = store.links(APP)
    assert set(links.manifests) == {first, second}
    assert links.blobs == {DIGEST}
    assert (links.tags["v1"].current, set(links.tags["v1"].past)) == (second, {first, second})
    assert links.tags["v1"].since.timestamp() > 1_600_000_000
    assert not links.damaged


def test_names_of_another_depth_are_strays(store: BlobStore) -> None:
    for repository in (APP, Repository("team/deep", "app"), Repository("a", "b/c/d")):
        store.link_manifest(repository, DIGEST)
    assert sorted(store.strays()) == ["a/b/c/d", "team/deep/app"]


def test_a_repository_that_is_not_there_has_no_links(store: BlobStore) -> None:
    links = store.links(Repository("no", "body"))
    assert (links.tags, links.manifests, links.blobs, links.damaged) == ({}, {}, frozenset(), ())
