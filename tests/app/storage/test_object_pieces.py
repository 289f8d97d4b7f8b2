"""One piece is written while the next one arrives; a fake store says when it is done, and fails when it is told to."""

from __future__ import annotations

import threading
from concurrent.futures import wait
from typing import BinaryIO, cast

import pytest

from image_registry.storage.blob_store import StorageFault, UploadBusy
from image_registry.storage.object_client import ObjectClient, ObjectExists
from image_registry.storage.object_pieces import PieceWriter, piece_key


class Store:
    """A fake of a store: it keeps what is put, after ``gate`` opens."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.gate = threading.Event()
        self.gate.set()
        self.failure: Exception | None = None

    def put(self, key: str, data: BinaryIO, length: int, *, new: bool = False) -> None:
        assert self.gate.wait(10)
        if self.failure:
            raise self.failure
        assert new
        self.kept[key] = data.read()
        assert len(self.kept[key]) == length


def writer(store: Store, size: int = 0) -> PieceWriter:
    return PieceWriter(cast("ObjectClient", store), "folder", size, 4)


def test_pieces_begin_where_the_ones_before_end() -> None:
    store = Store()
    with writer(store, 7) as pieces:
        for data in (b"ab", b"cdef", b"g", b"hijk", b"l"):
            pieces.feed(data)
        assert pieces.finish() == 19
    assert store.kept == {
        piece_key("folder", 7): b"abcdef",
        piece_key("folder", 13): b"ghijk",
        piece_key("folder", 18): b"l",
    }


def test_nothing_is_written_for_nothing() -> None:
    store = Store()
    with writer(store, 7) as pieces:
        assert pieces.finish() == 7
    assert store.kept == {}


def test_the_next_piece_arrives_while_the_store_still_writes() -> None:
    store = Store()
    store.gate.clear()
    with writer(store) as pieces:
        pieces.feed(b"abcd")
        pieces.feed(b"efg")  # returns although nothing is written yet
        assert store.kept == {}
        store.gate.set()
        assert pieces.finish() == 7
    assert list(store.kept.values()) == [b"abcd", b"efg"]


@pytest.mark.parametrize(
    ("failure", "raised"), [(StorageFault("broken"), StorageFault), (ObjectExists(), UploadBusy)], ids=str
)
def test_after_a_piece_that_could_not_be_written_there_is_none(failure: Exception, raised: type[Exception]) -> None:
    store = Store()
    store.failure = failure
    with writer(store) as pieces:
        pieces.feed(b"abcd")
        assert pieces._running is not None
        wait([pieces._running], 10)
        store.failure = None
        with pytest.raises(raised):
            pieces.feed(b"efgh")
    assert store.kept == {}
