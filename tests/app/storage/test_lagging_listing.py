"""Uploads in a store whose listings lag: a fake one, whose listing shows what was there before the last change."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import BinaryIO

import pytest

from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.storage.blob_store import UploadMissing
from image_registry.storage.object_client import Entry, Incoming, ObjectExists, ObjectMissing
from image_registry.storage.object_store import ObjectStore

APP = Repository("demo", "app")


class Lagging:
    """A fake client: objects are there at once, listings are one change behind."""

    listing_lags = True

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.listed: dict[str, bytes] = {}

    def size(self, key: str) -> int | None:
        return len(self.objects[key]) if key in self.objects else None

    def get(self, key: str, start: int = 0) -> Incoming:
        if key not in self.objects:
            raise ObjectMissing(key)
        return io.BytesIO(self.objects[key][start:])

    def put(self, key: str, data: BinaryIO, length: int, *, new: bool = False) -> None:
        if new and key in self.objects:
            raise ObjectExists(key)
        self.listed = dict(self.objects)
        self.objects[key] = data.read(length)

    def delete(self, keys: Iterable[str]) -> None:
        for key in list(keys):
            self.listed = dict(self.objects)
            self.objects.pop(key, None)

    def entries(self, prefix: str) -> Iterator[Entry]:
        for key in sorted(self.listed):
            if key.startswith(prefix):
                yield Entry(key, len(self.listed[key]), datetime.now(UTC))

    def folders(self, prefix: str) -> Iterator[str]:
        yield from sorted({entry.key.removeprefix(prefix).split("/")[0] for entry in self.entries(prefix)})

    def join(self, key: str, pieces: Sequence[Entry]) -> None:
        self.objects[key] = b"".join(self.objects[piece.key] for piece in pieces)

    def signed(self, key: str, seconds: int) -> str | None:
        return f"https://store/{key}?for={seconds}"

    def sweep(self, before: datetime) -> int:
        del before
        return 0


def test_pieces_that_are_not_listed_yet_count() -> None:
    store, upload_id = ObjectStore(Lagging(), chunk=4), str(uuid.uuid4())
    store.begin_upload(APP, upload_id)
    for offset in range(0, 12, 2):
        assert store.append(APP, upload_id, offset, io.BytesIO(b"ab"), None) == offset + 2
    store.commit_upload(APP, upload_id, Digest.of(b"ab" * 6), 12)
    assert store.read(Digest.of(b"ab" * 6)) == b"ab" * 6


def test_a_session_that_is_still_listed_after_its_end_is_gone() -> None:
    client = Lagging()
    store, upload_id = ObjectStore(client, chunk=4), str(uuid.uuid4())
    store.begin_upload(APP, upload_id)
    client.listed = dict(client.objects)
    store.abort_upload(APP, upload_id)
    client.listed |= {f"docker/registry/v2/repositories/demo/app/_uploads/{upload_id}/startedat": b"now"}
    with pytest.raises(UploadMissing):
        store.upload_size(APP, upload_id)


def test_addresses_are_given_unless_they_are_switched_off() -> None:
    assert ObjectStore(Lagging()).location(Digest.of(b"")) is not None
    assert ObjectStore(Lagging(), redirect=False).location(Digest.of(b"")) is None
