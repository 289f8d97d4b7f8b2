"""The process stops at every change that it makes to a store, before it or just after it, and another one takes over.

Whatever is visible is whole and means one of the two things it can mean; what was being done can be done again; and the
sweep leaves nothing but what was acknowledged.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from image_registry.oci.digest import Digest
from image_registry.storage.blob_store import BlobStore
from image_registry.storage.choice import Storage, open_store
from image_registry.storage.object_client import ObjectClient
from image_registry.storage.object_store import ObjectStore
from tests.stores import servers
from tests.stores.test_contract import APP

pytestmark = pytest.mark.slow

OLD, NEW = b"old", b"new" * 10_000
OLD_DIGEST, NEW_DIGEST = Digest.of(OLD), Digest.of(NEW)
CHANGES = ("put", "delete", "join")


class Stopped(BaseException):
    """The process is gone: nothing that would run afterwards runs."""


class Stopping:
    """A client that goes with its process at the change with this number, counted from 1; ``after`` it was made."""

    def __init__(self, client: ObjectClient, number: int, *, after: bool) -> None:
        self._client, self._number, self._after = client, number, after
        self.changes = 0

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._client, name)
        if name not in CHANGES:
            return real

        def call(*arguments: Any, **options: Any) -> Any:
            if self.changes >= self._number:
                raise Stopped
            self.changes += 1
            if self.changes == self._number and not self._after:
                raise Stopped
            answer = real(*arguments, **options)
            if self.changes == self._number:
                raise Stopped
            return answer

        return call


def push(store: BlobStore) -> None:
    upload_id = str(uuid.uuid4())
    store.begin_upload(APP, upload_id)
    store.append(APP, upload_id, 0, io.BytesIO(NEW[:1000]), None)
    store.append(APP, upload_id, 1000, io.BytesIO(NEW[1000:]), None)
    store.commit_upload(APP, upload_id, NEW_DIGEST, len(NEW))


def tagged(store: BlobStore) -> None:
    store.put_manifest(APP, OLD, OLD_DIGEST)
    store.write_tag(APP, "v1", OLD_DIGEST)


Act = Callable[[BlobStore], object]
OPERATIONS: dict[str, tuple[Act, Act, Act]] = {
    # name: what is there before, what is done, how its success looks
    "push": (lambda _: None, push, lambda s: s.blob_linked(APP, NEW_DIGEST) and s.read(NEW_DIGEST) == NEW),
    "move a tag": (
        tagged,
        lambda s: s.write_tag(APP, "v1", NEW_DIGEST),
        lambda s: s.read_tag(APP, "v1") == NEW_DIGEST,
    ),
    "remove a tag": (tagged, lambda s: s.remove_tag(APP, "v1"), lambda s: s.tags(APP) == []),
    "put a manifest": (
        tagged,
        lambda s: s.put_manifest(APP, b"other", Digest.of(b"other")),
        lambda s: s.manifest_linked(APP, Digest.of(b"other")) and s.read(Digest.of(b"other")) == b"other",
    ),
    "unlink": (
        tagged,
        lambda s: s.unlink_manifest(APP, OLD_DIGEST),
        lambda s: not s.manifest_linked(APP, OLD_DIGEST),
    ),
}
CASES = [
    *(("s3", name) for name in OPERATIONS),
    *(pytest.param(kind, "push", marks=pytest.mark.long) for kind in ("gcs", "azure", "swift")),
]


def check(store: BlobStore) -> None:
    """Whatever is visible is whole, and means one of the two things it can mean."""
    for data in (OLD, NEW, b"other"):
        digest = Digest.of(data)
        assert store.stat(digest) in (None, len(data))
        if store.blob_linked(APP, digest) or store.manifest_linked(APP, digest):
            assert store.read(digest) == data
    assert store.read_tag(APP, "v1") in (None, OLD_DIGEST, NEW_DIGEST)


def attempts(place: Callable[[], ObjectClient], before: Act, act: Act) -> Iterator[tuple[ObjectClient, str]]:
    """A fresh place for every stop: before each change that the operation makes, and just after it."""
    number, after = 1, False
    while True:
        client = place()
        before(ObjectStore(client))
        stopping = Stopping(client, number, after=after)
        try:
            act(ObjectStore(cast("ObjectClient", stopping)))
        except Stopped:
            yield client, f"{'after' if after else 'before'} change {number}"
        else:
            return
        number, after = (number, True) if not after else (number + 1, False)


@pytest.fixture
def places(backends: Callable[[str], Storage], tmp_path: Path) -> Callable[[str], Callable[[], ObjectClient]]:
    """By kind of storage: what gives a client of a new and empty place each time."""

    def by_kind(kind: str) -> Callable[[], ObjectClient]:
        client: Any = cast("Any", open_store(servers.apart(backends(kind), tmp_path)))._client
        prefix = client._prefix

        def empty() -> ObjectClient:
            client._prefix = f"{uuid.uuid4().hex}/{prefix}"
            if kind == "swift":
                client._root = client._prefix.removesuffix("files/")
            return cast("ObjectClient", client)

        return empty

    return by_kind


@pytest.mark.parametrize(("kind", "operation"), CASES)
def test_a_process_that_stops_at_any_change_leaves_all_or_nothing_and_the_next_one_completes_it(
    kind: str, operation: str, places: Callable[[str], Callable[[], ObjectClient]]
) -> None:
    before, act, done = OPERATIONS[operation]
    stops = 0
    for client, stop in attempts(places(kind), before, act):
        stops += 1
        store = ObjectStore(client)
        check(store)
        act(store)
        assert done(store), f"{operation} after a stop {stop}"
        check(store)
        store.sweep(datetime.now(UTC) + timedelta(hours=1))
        assert [entry.key for entry in client.entries("") if "_uploads" in entry.key or "joined" in entry.key] == []
        assert done(store)
    assert stops >= 2


def test_what_was_acknowledged_outlives_every_stop_of_another_push(
    places: Callable[[str], Callable[[], ObjectClient]],
) -> None:
    """The same blob, pushed again by somebody who is killed on the way."""
    for client, _ in attempts(places("s3"), push, push):
        assert ObjectStore(client).read(NEW_DIGEST) == NEW
        assert ObjectStore(client).blob_linked(APP, NEW_DIGEST)
