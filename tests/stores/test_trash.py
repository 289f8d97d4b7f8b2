"""What nobody refers to is thrown away and can be had back, in every kind of storage."""

from __future__ import annotations

import io
import os
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.storage.blob_store import BlobStore, Linked
from image_registry.storage.choice import Filesystem, Storage, open_store

APP, OTHER = Repository("demo", "app"), Repository("demo", "other")
DATA = b"bytes of a layer" * 1000
DIGEST = Digest.of(DATA)
LATER = timedelta(minutes=5)
"""Clocks of stores and of this machine are not the same, and some count in seconds."""


def later() -> datetime:
    return datetime.now(UTC) + LATER


def in_place(store: BlobStore) -> set[Digest]:
    return {blob.digest for blob in store.blobs(lambda _algorithm, _value: True)}


def in_trash(store: BlobStore) -> dict[Digest, int]:
    return {blob.digest: blob.size for blob in store.trash()}


def uploaded(store: BlobStore, data: bytes, repository: Repository = APP) -> Digest:
    upload_id, digest = str(uuid.uuid4()), Digest.of(data)
    store.begin_upload(repository, upload_id)
    store.append(repository, upload_id, 0, io.BytesIO(data), None)
    store.commit_upload(repository, upload_id, digest, len(data))
    return digest


def test_blobs_are_listed_with_size_and_time(store: BlobStore) -> None:
    store.put(DATA, DIGEST)
    store.put(b"other", Digest.of(b"other"))
    asked: list[tuple[str, str]] = []

    def wanted(algorithm: str, value: str) -> bool:
        asked.append((algorithm, value))
        return value == DIGEST.hex

    [found] = store.blobs(wanted)
    assert (found.digest, found.size) == (DIGEST, len(DATA))
    assert abs(datetime.now(UTC) - found.since) < LATER
    assert sorted(asked) == sorted((digest.algorithm, digest.hex) for digest in (DIGEST, Digest.of(b"other")))


def test_every_link_is_listed_also_those_of_foreign_names(store: BlobStore) -> None:
    store.put(DATA, DIGEST)
    store.link_blob(APP, DIGEST)
    store.link_manifest(OTHER, DIGEST)
    store.write_tag(OTHER, "v1", DIGEST)
    found = {(linked.name, linked.manifests): linked for linked in store.all_linked()}
    assert found == {
        ("demo/app", False): Linked("demo/app", False, DIGEST.algorithm, (DIGEST.hex,)),
        ("demo/other", True): Linked("demo/other", True, DIGEST.algorithm, (DIGEST.hex,)),
    }


def test_what_was_thrown_away_comes_back_to_every_reader(store: BlobStore, storage: Storage) -> None:
    for look in ("stat", "open", "read", "present", "take_back"):
        digest = uploaded(store, f"needed by {look}".encode())
        assert store.throw_away(digest, later())
        assert digest not in in_place(store)
        assert in_trash(store) == {digest: len(f"needed by {look}")}
        another = open_store(storage)  # one that remembers nothing
        answer = getattr(another, look)(digest)
        assert answer
        if look == "open":
            with answer:
                assert answer.read(6) == b"needed"
        assert digest in in_place(store)
        assert store.in_place(digest)
        assert store.read(digest) == f"needed by {look}".encode()
        store.remove_for_good(digest)  # a bucket keeps the copy for a while


def test_bytes_that_were_pushed_since_are_never_replaced_by_those_in_the_trash(
    store: BlobStore, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(DATA, DIGEST)
    assert store.throw_away(DIGEST, later())
    monkeypatch.setattr(type(store), "take_back", lambda *_: False)  # whoever pushed did not look there
    store.put_blob(APP, DATA, DIGEST)
    monkeypatch.undo()
    [before] = store.blobs(lambda _algorithm, value: value == DIGEST.hex)
    assert not open_store(storage).take_back(DIGEST)
    [after] = store.blobs(lambda _algorithm, value: value == DIGEST.hex)
    assert before == after
    assert DIGEST in in_trash(store)


def test_what_is_young_is_not_thrown_away(store: BlobStore) -> None:
    store.put(DATA, DIGEST)
    assert not store.throw_away(DIGEST, datetime.now(UTC) - LATER)
    assert in_place(store) == {DIGEST}
    assert not store.throw_away(Digest.of(b"never pushed"), later())


def test_what_is_removed_for_good_is_gone(store: BlobStore, storage: Storage) -> None:
    uploaded(store, DATA)
    assert not store.remove_for_good(DIGEST)
    assert store.read(DIGEST) == DATA
    store.throw_away(DIGEST, later())
    assert store.remove_for_good(DIGEST)
    assert not store.remove_for_good(DIGEST)
    assert not store.take_back(DIGEST)
    assert not store.present(DIGEST)
    assert open_store(storage).stat(DIGEST) is None
    assert (in_place(store), in_trash(store)) == (set(), {})


def test_what_is_pushed_again_meanwhile_is_whole_and_linked(store: BlobStore) -> None:
    for push in (lambda: store.put_blob(OTHER, DATA, DIGEST), lambda: uploaded(store, DATA, OTHER)):
        uploaded(store, DATA)
        store.throw_away(DIGEST, later())
        push()
        assert store.read(DIGEST) == DATA
        assert store.blob_linked(OTHER, DIGEST)
        assert in_place(store) == {DIGEST}
        store.unlink_blob(OTHER, DIGEST)


def test_large_blobs_of_several_pieces_come_back_whole(store: BlobStore) -> None:
    data = os.urandom(7 << 20)
    upload_id, digest = str(uuid.uuid4()), Digest.of(data)
    store.begin_upload(APP, upload_id)
    offset = store.append(APP, upload_id, 0, io.BytesIO(data[: 6 << 20]), None)
    store.append(APP, upload_id, offset, io.BytesIO(data[6 << 20 :]), None)
    store.commit_upload(APP, upload_id, digest, len(data))
    assert store.throw_away(digest, later())
    assert in_trash(store) == {digest: len(data)}
    assert store.read(digest) == data
    assert store.throw_away(digest, later())
    assert store.remove_for_good(digest)


def test_an_old_link_is_renewed_and_a_young_one_is_not_written(storage: Storage) -> None:
    store = open_store(storage, renew_after=0.0)
    store.put_blob(APP, DATA, DIGEST)
    before = store.blob_linked_at(APP, DIGEST)
    assert before is not None
    if isinstance(storage, Filesystem):
        [link] = Path(storage.rootdirectory).rglob("_layers/*/*/link")
        os.utime(link, (0, 0))
        before = datetime.fromtimestamp(0, UTC)
        open_store(storage, renew_after=1e12).renew_blob(APP, DIGEST)
        assert store.blob_linked_at(APP, DIGEST) == before
    store.renew_blob(APP, DIGEST)
    after = store.blob_linked_at(APP, DIGEST)
    assert after is not None
    assert after >= before
    assert abs(datetime.now(UTC) - after) < LATER
    assert store.blob_linked(APP, DIGEST)
    store.renew_blob(OTHER, DIGEST)  # nothing to renew
    assert not store.blob_linked(OTHER, DIGEST)
    assert store.blob_linked_at(OTHER, DIGEST) is None


def test_what_is_wrong_is_put_aside_and_written_anew_by_the_next_push(storage: Storage) -> None:
    store = open_store(storage)
    digest = uploaded(store, DATA)
    assert store.stat(digest) == len(DATA)
    for times in (1, 2):
        [blob] = store.blobs(lambda _algorithm, _value: True)
        assert not store.quarantine(replace(blob, since=blob.since - LATER)), "somebody has written it anew since"
        assert store.read(digest) == DATA
        assert store.quarantine(blob)
        assert store.stat(digest) is None
        assert not store.take_back(digest)
        assert not store.quarantine(blob)
        aside = list(store.quarantined())
        assert [(blob.digest, blob.size) for blob in aside] == [(digest, len(DATA))] * times
        assert in_place(store) == set()
        assert uploaded(store, DATA) == digest
        assert store.read(digest) == DATA


def test_what_a_store_does_not_copy_at_once_is_thrown_away_and_comes_back(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("s3", "joining"):
        monkeypatch.setattr(f"image_registry.storage.{module}.LARGEST", 6 << 20)
    monkeypatch.setattr("image_registry.storage.joining.COPIED", 5 << 20)
    data = bytes(range(256)) * (28 << 10)
    store.put(data, Digest.of(data))
    assert store.throw_away(Digest.of(data), later())
    assert store.read(Digest.of(data)) == data
