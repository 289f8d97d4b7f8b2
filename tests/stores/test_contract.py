"""What every blob store promises, asked of each of them on a real server."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import urllib3

from image_registry.oci.digest import Digest
from image_registry.oci.reference import InvalidTag, Repository
from image_registry.storage.blob_store import (
    BlobMissing,
    BlobStore,
    OffsetMismatch,
    UploadBusy,
    UploadMissing,
)

APP = Repository("demo", "app")
OTHER = Repository("demo", "other")
DATA = b"bytes of a layer" * 1000
DIGEST = Digest.of(DATA)
MIB = 1 << 20

Open = Callable[[], BlobStore]


def upload(store: BlobStore, data: bytes, digest: Digest, repository: Repository = APP) -> None:
    upload_id = str(uuid.uuid4())
    store.begin_upload(repository, upload_id)
    store.append(repository, upload_id, 0, io.BytesIO(data), None)
    store.commit_upload(repository, upload_id, digest, len(data))


def begun(store: BlobStore, data: bytes = DATA) -> str:
    """A session that has received ``data``."""
    upload_id = str(uuid.uuid4())
    store.begin_upload(APP, upload_id)
    store.append(APP, upload_id, 0, io.BytesIO(data), None)
    return upload_id


class BreaksAfter:
    """A client that sends some bytes and vanishes."""

    def __init__(self, data: bytes) -> None:
        self._chunks = [data]

    def read(self, _size: int, /) -> bytes:
        if not self._chunks:
            raise ConnectionResetError(errno.ECONNRESET, "the client has gone")
        return self._chunks.pop()


class Pieces:
    """A body that comes in pieces of these sizes."""

    def __init__(self, data: bytes, *sizes: int) -> None:
        self._source, self._sizes = io.BytesIO(data), list(sizes)

    def read(self, size: int, /) -> bytes:
        return self._source.read(self._sizes.pop(0) if self._sizes else size)


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


def test_the_same_blob_twice_is_one_blob_in_two_repositories(store: BlobStore) -> None:
    other = Repository("demo", "other")
    upload(store, DATA, DIGEST)
    upload(store, DATA, DIGEST, other)
    assert store.unlink_blob(APP, DIGEST)
    assert store.blob_linked(other, DIGEST)
    assert store.read(DIGEST) == DATA


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


def test_many_tags_are_written_at_once(store: BlobStore) -> None:
    other = Digest.of(b"other")
    store.write_tag(APP, "v1", other)
    store.write_tags(APP, {f"v{number}": DIGEST for number in range(20)} | {"latest": other})
    assert store.tags(APP) == sorted(["latest", *(f"v{number}" for number in range(20))])
    assert store.read_tag(APP, "v1") == DIGEST
    assert set(store.links(APP).tags["v1"].past) == {DIGEST, other}
    store.write_tags(APP, {})


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


@pytest.mark.parametrize(
    "sizes",
    [
        (0,),
        (1,),
        (5 * MIB,),
        (1, 5 * MIB + 1, 3, 6 * MIB),
        (5 * MIB, 5 * MIB - 1, 2),
        (6 * MIB, 1, 1, 1),
        (12 * MIB, 7),
    ],
    ids=str,
)
def test_requests_of_any_size_become_one_blob_byte_by_byte(store: BlobStore, sizes: tuple[int, ...]) -> None:
    upload_id, data = str(uuid.uuid4()), os.urandom(sum(sizes))
    store.begin_upload(APP, upload_id)
    offset = 0
    for size in sizes:
        assert store.append(APP, upload_id, offset, io.BytesIO(data[offset : offset + size]), None) == offset + size
        offset += size
    with store.open_upload(APP, upload_id) as file:
        assert b"".join(iter(lambda: file.read(MIB), b"")) == data
    store.commit_upload(APP, upload_id, Digest.of(data), len(data))
    assert store.read(Digest.of(data)) == data
    assert store.stat(Digest.of(data)) == len(data)
    with pytest.raises(UploadMissing):
        store.upload_size(APP, upload_id)


def test_an_upload_goes_on_in_another_replica(open_another: Open) -> None:
    data, upload_id = os.urandom(7 * MIB), str(uuid.uuid4())
    open_another().begin_upload(APP, upload_id)
    for offset in range(0, len(data), 3 * MIB):
        replica = open_another()
        assert replica.upload_size(APP, upload_id) == offset
        replica.append(APP, upload_id, offset, io.BytesIO(data[offset : offset + 3 * MIB]), None)
    open_another().commit_upload(APP, upload_id, Digest.of(data), len(data))
    assert open_another().read(Digest.of(data)) == data


def test_of_two_replicas_that_write_at_one_place_one_is_told(store: BlobStore, open_another: Open) -> None:
    upload_id, refused = begun(store, b"abc"), list[Exception]()

    class Meanwhile:
        """A client that sends its bytes when somebody else has sent his."""

        def __init__(self) -> None:
            self._answers = [b"first", b""]

        def read(self, _size: int, /) -> bytes:
            if len(self._answers) == 2:
                try:
                    open_another().append(APP, upload_id, 3, io.BytesIO(b"second"), None)
                except UploadBusy as error:
                    refused.append(error)
            return self._answers.pop(0)

    try:
        store.append(APP, upload_id, 3, Meanwhile(), None)
    except UploadBusy as error:
        refused.append(error)
    assert len(refused) == 1
    size = store.upload_size(APP, upload_id)
    with store.open_upload(APP, upload_id) as file:
        data = b"".join(iter(lambda: file.read(100), b""))
    assert data in (b"abcfirst", b"abcsecond")
    assert size == len(data)


def test_many_replicas_that_push_one_blob_at_once_all_succeed(open_another: Open) -> None:
    data = os.urandom(6 * MIB)

    def push(number: int) -> None:
        replica, upload_id = open_another(), str(uuid.uuid4())
        repository = Repository("demo", f"app{number}")
        replica.begin_upload(repository, upload_id)
        replica.append(repository, upload_id, 0, io.BytesIO(data[: 2 * MIB]), None)
        replica.append(repository, upload_id, 2 * MIB, io.BytesIO(data[2 * MIB :]), None)
        replica.commit_upload(repository, upload_id, Digest.of(data), len(data))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(push, range(6)))
    store = open_another()
    assert store.read(Digest.of(data)) == data
    assert all(store.blob_linked(Repository("demo", f"app{number}"), Digest.of(data)) for number in range(6))


def test_a_blob_is_read_from_anywhere(store: BlobStore) -> None:
    data = os.urandom(3 * MIB)
    upload(store, data, Digest.of(data))
    with store.open(Digest.of(data)) as file:
        assert file.read(10) == data[:10]
        file.seek(2 * MIB)
        assert file.read(10) == data[2 * MIB : 2 * MIB + 10]
        assert file.tell() == 2 * MIB + 10
        file.seek(len(data) - 3)
        assert file.read(100) == data[-3:]
        assert file.read(100) == b""


def test_what_is_not_there_is_missing(store: BlobStore) -> None:
    assert store.stat(DIGEST) is None
    for act in (store.open, store.read):
        with pytest.raises(BlobMissing):
            act(DIGEST)
    assert not store.unlink_blob(APP, DIGEST)
    assert not store.remove_tag(APP, "v1")
    assert store.tags(APP) == []


def test_small_content_is_put_whole_and_linked(store: BlobStore) -> None:
    store.put(DATA, DIGEST)
    store.put(DATA, DIGEST)
    assert store.read(DIGEST) == DATA
    store.put_manifest(APP, DATA, DIGEST)
    store.put_blob(OTHER, DATA, DIGEST)
    assert store.manifest_linked(APP, DIGEST)
    assert store.blob_linked(OTHER, DIGEST)


def test_what_one_replica_removes_no_other_shows(store: BlobStore, open_another: Open) -> None:
    upload(store, DATA, DIGEST)
    store.write_tag(APP, "v1", DIGEST)
    other = open_another()
    assert other.blob_linked(APP, DIGEST)
    assert other.read_tag(APP, "v1") == DIGEST
    store.unlink_blob(APP, DIGEST)
    store.remove_tag(APP, "v1")
    assert not other.blob_linked(APP, DIGEST)
    assert other.read_tag(APP, "v1") is None
    assert store.read(DIGEST) == DATA


@pytest.mark.parametrize("tag", ["", ".", "..", "../../x", "a/b", "a" * 129, "é"])
def test_what_is_no_tag_is_refused(store: BlobStore, tag: str) -> None:
    for act in (
        lambda: store.write_tag(APP, tag, DIGEST),
        lambda: store.read_tag(APP, tag),
        lambda: store.remove_tag(APP, tag),
    ):
        with pytest.raises(InvalidTag):
            act()


def test_an_address_gives_the_bytes_to_who_has_no_credentials(store: BlobStore) -> None:
    upload(store, DATA, DIGEST)
    address = store.location(DIGEST)
    if address is None:
        return  # bytes come through the registry; which stores sign is told by the test of each
    http = urllib3.PoolManager()
    assert http.request("GET", address).data == DATA
    part = http.request("GET", address, headers={"Range": "bytes=5-9"})
    assert (part.status, part.data) == (206, DATA[5:10])
    assert http.request("GET", address.replace("sha256", "sha512")).status >= 400


def test_the_sweep_takes_what_is_old_and_unfinished_only(store: BlobStore) -> None:
    upload(store, DATA, DIGEST)
    upload_id, now = begun(store), datetime.now(UTC)
    assert store.sweep(now - timedelta(hours=1)) == 0
    assert store.upload_size(APP, upload_id) == len(DATA)
    assert store.sweep(now + timedelta(hours=1)) == 1
    with pytest.raises(UploadMissing):
        store.upload_size(APP, upload_id)
    assert store.read(DIGEST) == DATA
    assert store.blob_linked(APP, DIGEST)


def test_a_session_that_is_cancelled_leaves_nothing(store: BlobStore) -> None:
    upload_id = begun(store, os.urandom(6 * MIB))
    store.abort_upload(APP, upload_id)
    store.abort_upload(APP, upload_id)
    with pytest.raises(UploadMissing):
        store.open_upload(APP, upload_id)
    with pytest.raises(UploadMissing):
        store.append(APP, upload_id, 0, io.BytesIO(b"x"), None)
    with pytest.raises(UploadMissing):
        store.commit_upload(APP, upload_id, DIGEST, 0)
    assert store.sweep(datetime.now(UTC) + timedelta(hours=1)) == 0


def test_the_probe_writes_reads_and_removes(store: BlobStore) -> None:
    store.probe()
    store.probe()
    assert list(store.repositories()) == []


def test_records_are_written_read_listed_and_removed(store: BlobStore) -> None:
    store.write_records(
        {"streams/team/app.gz": b"one", "streams/team/b.gz": b"two", "images/sha256/aa/bb.gz": b"three"}
    )
    store.write_records({"streams/team/app.gz": b"one again"})
    store.write_records({})
    assert store.read_record("streams/team/app.gz") == b"one again"
    assert store.read_record("streams/team/none.gz") is None
    assert sorted(store.record_names("streams")) == ["streams/team/app.gz", "streams/team/b.gz"]
    store.remove_records(["streams/team/app.gz", "streams/team/none.gz"])
    assert list(store.record_names("streams")) == ["streams/team/b.gz"]
    assert list(store.record_names("nothing")) == []
    assert list(store.repositories()) == []
    assert list(store.strays()) == []


def test_many_links_are_made_at_once_and_made_again_without_harm(store: BlobStore) -> None:
    blobs = [Digest.of(b"%d" % number) for number in range(5)]
    store.put(DATA, DIGEST)
    for _ in range(2):
        store.link_all(OTHER, [DIGEST], blobs)
        held = store.links(OTHER)
        assert (set(held.manifests), held.blobs, held.tags) == ({DIGEST}, frozenset(blobs), {})
    store.link_all(OTHER, [], [])
    assert store.manifest_linked(OTHER, DIGEST)
    assert all(store.blob_linked(OTHER, digest) for digest in blobs)
