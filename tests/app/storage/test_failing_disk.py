"""What a store promises when the disk does not keep its promises: full, broken, or without power.

Every writing system call of every operation fails once. The file system is a real one; the failing calls are injected.
"""

from __future__ import annotations

import errno
import io
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.storage import direct, durable, layout
from image_registry.storage.blob_store import BlobStore, OutOfSpace, StorageFault, UploadMissing
from image_registry.storage.disk_faults import fault
from image_registry.storage.filesystem import FilesystemStore

from .conftest import FAILURES, Disk, PowerOff
from .test_direct import Incoming

APP = Repository("demo", "app")
OLD, NEW = Digest.of(b"old"), Digest.of(b"new")


def push(store: BlobStore, data: bytes = b"new") -> None:
    upload_id = str(uuid.uuid4())
    store.begin_upload(APP, upload_id)
    store.append(APP, upload_id, 0, io.BytesIO(data), None)
    store.commit_upload(APP, upload_id, Digest.of(data), len(data))


def nothing(_store: BlobStore) -> None:
    """There is nothing before."""


def tagged(store: BlobStore) -> None:
    store.write_tag(APP, "v1", OLD)


def linked(store: BlobStore) -> None:
    store.link_manifest(APP, NEW)


MANY = {f"v{number}": NEW for number in range(4)}
"""More links than are synced one by one here."""


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "FEW", len(MANY))


def large(store: BlobStore) -> None:
    """Through the buffers that go past the page cache."""
    upload_id, data = str(uuid.uuid4()), b"x" * (direct.WORTH + 1)
    store.begin_upload(APP, upload_id)
    store.append(APP, upload_id, 0, Incoming(data), None)
    store.commit_upload(APP, upload_id, Digest.of(data), len(data))


LARGE = Digest.of(b"x" * (direct.WORTH + 1))

OPERATIONS: dict[str, tuple[Callable[[BlobStore], None], Callable[[BlobStore], object], Callable[[BlobStore], object]]]
OPERATIONS = {
    # name: what is there before, what is done, how its success looks
    "upload": (nothing, push, lambda store: store.blob_linked(APP, NEW) and store.read(NEW) == b"new"),
    "large upload": (
        nothing,
        large,
        lambda store: store.blob_linked(APP, LARGE) and Digest.of(store.read(LARGE)) == LARGE,
    ),
    "whole blob": (
        nothing,
        lambda store: store.put_blob(APP, b"new", NEW),
        lambda store: store.blob_linked(APP, NEW) and store.read(NEW) == b"new",
    ),
    "manifest": (
        nothing,
        lambda store: store.put_manifest(APP, b"new", NEW),
        lambda store: store.manifest_linked(APP, NEW) and store.read(NEW) == b"new",
    ),
    "many tags": (
        tagged,
        lambda store: store.write_tags(APP, MANY),
        lambda store: {tag: store.read_tag(APP, tag) for tag in store.tags(APP)} == MANY,
    ),
    "put": (nothing, lambda store: store.put(b"new", NEW), lambda store: store.stat(NEW) == 3),
    "link": (nothing, lambda store: store.link_manifest(APP, NEW), lambda store: store.manifest_linked(APP, NEW)),
    "tag": (nothing, lambda store: store.write_tag(APP, "v1", NEW), lambda store: store.read_tag(APP, "v1") == NEW),
    "moved tag": (tagged, lambda store: store.write_tag(APP, "v1", NEW), lambda s: s.read_tag(APP, "v1") == NEW),
    "removed tag": (tagged, lambda store: store.remove_tag(APP, "v1"), lambda store: store.tags(APP) == []),
    "removed link": (
        linked,
        lambda store: store.unlink_manifest(APP, NEW),
        lambda store: not store.manifest_linked(APP, NEW),
    ),
    "probe": (nothing, lambda store: store.probe(), lambda _store: True),
}

every_operation = pytest.mark.parametrize("operation", OPERATIONS)


def attempts(root: Path, operation: str, disk: Disk) -> Iterator[tuple[FilesystemStore, int]]:
    """A fresh store for each writing system call that the operation makes, with the number of that call."""
    before, act, _ = OPERATIONS[operation]
    counted = FilesystemStore(root / "counted")
    before(counted)
    with disk.fails(0, errno.EIO):
        act(counted)
    calls = len(disk.calls)
    assert calls
    for number in range(1, calls + 1):
        store = FilesystemStore(root / str(number))
        before(store)
        yield store, number


def check(store: BlobStore) -> None:
    """Whatever is visible is whole, and means one of the two things it can mean."""
    for digest, data in ((OLD, b"old"), (NEW, b"new")):
        assert store.stat(digest) in {None, 3}
        if store.stat(digest):
            assert store.read(digest) == data
        if store.blob_linked(APP, digest):
            assert store.stat(digest) == 3
    assert store.stat(LARGE) in {None, direct.WORTH + 1}
    assert store.read_tag(APP, "v1") in {None, OLD, NEW}


@every_operation
@pytest.mark.parametrize("failure", FAILURES)
def test_a_disk_that_fails_once_harms_nothing_and_the_next_attempt_succeeds(
    root: Path, disk: Disk, operation: str, failure: str
) -> None:
    _, act, done = OPERATIONS[operation]
    for store, number in attempts(root, operation, disk):
        with suppress(StorageFault), disk.fails(number, FAILURES[failure]):
            act(store)
        check(store)
        assert not list(store.root.rglob("*.tmp")) or disk.calls[number - 1] == "unlink"
        act(store)
        assert done(store), f"{operation} after call {number} ({disk.calls[number - 1]}) failed"
        check(store)


@every_operation
def test_a_power_cut_at_any_point_leaves_all_or_nothing_and_a_retry_completes(
    root: Path, disk: Disk, operation: str
) -> None:
    _, act, done = OPERATIONS[operation]
    for store, number in attempts(root, operation, disk):
        stopped = False
        try:
            with disk.stops(number):
                act(store)
        except PowerOff:
            stopped = True
        # threads that share a wait for the disk make one call less now and then: there is no such call then
        assert stopped or len(disk.calls) < number
        again = FilesystemStore(store.root)
        check(again)
        act(again)
        assert done(again), f"{operation} after a stop at call {number} ({disk.calls[-1]})"
        check(again)


@pytest.mark.parametrize("failure", ["full", "over quota"])
def test_a_full_disk_is_named_and_leaves_no_rest(store: BlobStore, root: Path, disk: Disk, failure: str) -> None:
    store.probe()
    with pytest.raises(OutOfSpace, match=os.strerror(FAILURES[failure])), disk.fails(3, FAILURES[failure]):
        store.put(b"new", NEW)
    assert store.stat(NEW) is None
    assert not list(root.rglob("*.tmp"))


def test_a_broken_disk_is_a_fault_that_says_where(store: BlobStore, disk: Disk) -> None:
    store.probe()
    said = r"cannot write to docker/registry/v2/\.staging: Input/output error"
    with pytest.raises(StorageFault, match=said), disk.fails(2, errno.EIO):
        store.probe()


def test_bytes_the_disk_did_not_keep_are_never_believed_later(store: BlobStore, disk: Disk) -> None:
    upload_id = str(uuid.uuid4())
    store.begin_upload(APP, upload_id)
    store.append(APP, upload_id, 0, io.BytesIO(b"new"), None)
    with pytest.raises(StorageFault), disk.fails(1, errno.EIO):
        store.commit_upload(APP, upload_id, NEW, 3)
    assert disk.calls[0] in {"fsync", "wait_for_writing"}
    with pytest.raises(UploadMissing):
        store.commit_upload(APP, upload_id, NEW, 3)
    assert store.stat(NEW) is None


def test_a_chunk_that_found_the_disk_full_can_be_sent_again(store: BlobStore, disk: Disk) -> None:
    upload_id = str(uuid.uuid4())
    store.begin_upload(APP, upload_id)
    store.append(APP, upload_id, 0, io.BytesIO(b"n"), None)
    with pytest.raises(OutOfSpace), disk.fails(1, errno.ENOSPC):
        store.append(APP, upload_id, 1, io.BytesIO(b"ew"), None)
    size = store.upload_size(APP, upload_id)
    store.append(APP, upload_id, size, io.BytesIO(b"new"[size:]), None)
    store.commit_upload(APP, upload_id, NEW, 3)
    assert store.read(NEW) == b"new"


def test_a_crash_between_the_blob_and_its_link_shows_nothing_and_costs_one_more_upload(
    store: BlobStore, root: Path, disk: Disk
) -> None:
    upload_id = str(uuid.uuid4())
    store.begin_upload(APP, upload_id)
    store.append(APP, upload_id, 0, io.BytesIO(b"new"), None)
    linking = f"{layout.layer(APP, NEW)}/link"
    with pytest.raises(PowerOff), disk.stops_at(linking):
        store.commit_upload(APP, upload_id, NEW, 3)
    again = FilesystemStore(root)
    assert again.read(NEW) == b"new"
    assert not again.blob_linked(APP, NEW)
    with pytest.raises(UploadMissing):
        again.upload_size(APP, upload_id)
    push(again)
    assert again.blob_linked(APP, NEW)


def test_a_session_that_could_not_begin_leaves_nothing(store: BlobStore, root: Path, disk: Disk) -> None:
    upload_id = str(uuid.uuid4())
    with pytest.raises(OutOfSpace), disk.fails(2, errno.ENOSPC):
        store.begin_upload(APP, upload_id)
    with pytest.raises(UploadMissing):
        store.upload_size(APP, upload_id)
    assert not (root / layout.upload(APP, upload_id)).exists()


def test_a_link_written_while_it_is_removed_is_there_or_not_but_never_a_failure(store: BlobStore) -> None:
    stop = threading.Event()
    failures: list[BaseException] = []

    def repeat(act: Callable[[], object]) -> None:
        try:
            while not stop.is_set():
                act()
        except BaseException as error:  # noqa: BLE001 - the test's own thread hands it over
            failures.append(error)

    threads = [
        threading.Thread(target=repeat, args=(act,))
        for act in (
            lambda: store.link_blob(APP, NEW),
            lambda: store.unlink_blob(APP, NEW),
            lambda: store.unlink_blob(APP, NEW),
            lambda: store.link_blob(APP, NEW),
        )
    ]
    for thread in threads:
        thread.start()
    stop.wait(0.4)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    store.link_blob(APP, NEW)
    assert store.blob_linked(APP, NEW)


def test_a_link_whose_folder_goes_away_at_the_last_moment_is_written_again(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.link_blob(APP, OLD)  # the folders above are there
    make = os.mkdir

    def and_gone(path: str, mode: int = 0o777) -> None:
        monkeypatch.setattr(os, "mkdir", make)
        make(path, mode)
        os.rmdir(path)

    monkeypatch.setattr(os, "mkdir", and_gone)
    store.link_blob(APP, NEW)
    assert store.blob_linked(APP, NEW)


def test_an_empty_folder_that_a_crash_left_is_cleaned(store: BlobStore, root: Path) -> None:
    store.link_manifest(APP, NEW)
    folder = root / layout.revision(APP, NEW)
    (folder / "link").unlink()
    assert not store.unlink_manifest(APP, NEW)
    assert store.held(APP).manifests == {NEW}  # somebody may be writing to it
    os.utime(folder, (0, 0))
    assert not store.unlink_manifest(APP, NEW)
    assert store.held(APP).manifests == frozenset()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.EACCES, f"as user {os.geteuid()} and group {os.getegid()}: let it"),
        (errno.EROFS, "mounted read-only"),
        (errno.EIO, "log of the kernel"),
        (errno.ESTALE, "mounted anew"),
    ],
)
def test_what_an_administrator_can_cure_is_said_with_the_cure(code: int, said: str) -> None:
    failure = fault("write", "docker/registry/v2/x", OSError(code, os.strerror(code)))
    assert str(failure).startswith(f"cannot write docker/registry/v2/x: {os.strerror(code)}; ")
    assert said in str(failure)
