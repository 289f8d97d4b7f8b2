"""The thread that lets links follow: it writes what it is told of, finds what others left, and leaves nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from image_registry.imagestreams.service import ImageStreams
from image_registry.metadata.database import Database
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.server import echo
from image_registry.server.echo import Echo
from image_registry.storage.blob_store import StorageFault
from image_registry.storage.filesystem import FilesystemStore
from tests.app.content import image

APP = Repository("demo", "app")


class Pushed:
    """Rules and a store without a door."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.store = FilesystemStore(folder)
        self.streams = ImageStreams(database, internal_hostname="registry.test")

    def push(self, tag: str) -> Digest:
        manifest = image(tag)
        self.streams.push(
            APP,
            manifest,
            tag=tag,
            config=None,
            pushed_by="ann",
            authorize_create=lambda: None,
            before_commit=lambda: None,
        )
        return manifest.digest


@pytest.fixture
def pushed(database: Database, tmp_path: Path) -> Pushed:
    return Pushed(database, tmp_path / "blobs")


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_link_follows_its_push(pushed: Pushed) -> None:
    thread = Echo(pushed.store, pushed.streams)
    thread.start()
    digest = pushed.push("v1")
    thread(APP)
    wait_for(lambda: pushed.store.read_tag(APP, "v1") == digest)
    thread.stop()
    assert pushed.streams.unechoed() == []


def test_what_a_killed_process_left_is_found(pushed: Pushed) -> None:
    digest = pushed.push("v1")
    thread = Echo(pushed.store, pushed.streams)
    thread.start()
    wait_for(lambda: pushed.store.read_tag(APP, "v1") == digest)
    thread.stop()


def test_a_process_that_ends_leaves_nothing_to_write(pushed: Pushed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(echo, "GATHER", 60.0)
    thread = Echo(pushed.store, pushed.streams)
    thread.start()
    digest = pushed.push("v1")
    thread(APP)
    thread.stop()
    assert pushed.store.read_tag(APP, "v1") == digest


def test_a_storage_that_fails_is_tried_again(pushed: Pushed, monkeypatch: pytest.MonkeyPatch) -> None:
    write, failures = pushed.store.write_tags, [StorageFault("cannot write")]

    def once_broken(repository: Repository, tags: Mapping[str, Digest]) -> None:
        if failures:
            raise failures.pop()
        write(repository, tags)

    monkeypatch.setattr(pushed.store, "write_tags", once_broken)
    digest = pushed.push("v1")
    thread = Echo(pushed.store, pushed.streams)
    thread.start()
    thread(APP)
    wait_for(lambda: pushed.store.read_tag(APP, "v1") == digest)
    thread.stop()
    assert not failures


def test_a_registry_that_is_read_only_writes_nothing(pushed: Pushed) -> None:
    pushed.push("v1")
    thread = Echo(pushed.store, pushed.streams, lambda: True)
    thread.start()
    thread(APP)
    thread.stop()
    assert pushed.store.read_tag(APP, "v1") is None
    assert pushed.streams.unechoed() == [APP]
