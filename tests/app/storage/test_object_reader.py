"""Reading an object over connections that break."""

from __future__ import annotations

import io
import os

import pytest

from image_registry.oci.digest import Digest
from image_registry.storage.blob_store import StorageFault
from image_registry.storage.object_client import ObjectMissing
from image_registry.storage.object_reader import AGAIN, ObjectReader
from image_registry.storage.remembered_sizes import ENTRIES, SECONDS, RememberedSizes

DATA = os.urandom(1000)


class Connections:
    """A fake store whose connections give a few bytes each, then end early or fail."""

    def __init__(self, *lengths: int, fails: bool = False) -> None:
        self.lengths, self.fails, self.starts = list(lengths), fails, list[int]()

    def __call__(self, start: int) -> Connection:
        self.starts.append(start)
        return Connection(DATA[start : start + self.lengths.pop(0)], fails=self.fails)


class Connection:
    def __init__(self, data: bytes, *, fails: bool) -> None:
        self._data, self._fails = io.BytesIO(data), fails

    def read(self, size: int, /) -> bytes:
        data = self._data.read(size)
        if not data and self._fails:
            raise StorageFault("the connection broke")
        return data

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("fails", [True, False])
def test_reading_goes_on_where_a_connection_broke(fails: bool) -> None:
    connect = Connections(100, 300, 0, 1000, fails=fails)
    assert ObjectReader(connect, 1000).readall() == DATA
    assert connect.starts == [0, 100, 400, 400]


def test_connections_that_give_nothing_end_the_attempts() -> None:
    connect = Connections(100, *[0] * AGAIN)
    with pytest.raises(StorageFault, match="sent 100 of 1000 bytes and nothing more"):
        ObjectReader(connect, 1000).readall()


def test_an_object_that_is_removed_meanwhile_is_a_fault() -> None:
    def missing(_start: int) -> Connection:
        raise ObjectMissing

    with pytest.raises(StorageFault, match="removed while it was read"):
        ObjectReader(missing, 10).read(1)


def test_a_position_costs_a_connection_only_when_something_is_read_there() -> None:
    connect = Connections(1000, 1000)
    file = ObjectReader(connect, 1000)
    file.seek(500)
    file.seek(900)
    assert file.read(50) == DATA[900:950]
    file.seek(0, os.SEEK_CUR)
    assert file.read(50) == DATA[950:]
    assert file.read(1) == b""
    assert connect.starts == [900]
    with file:
        file.seek(-10, os.SEEK_END)
        buffer = bytearray(20)
        assert file.readinto(memoryview(buffer)) == 10
        assert buffer[:10] == DATA[-10:]


def test_sizes_are_forgotten_after_a_while_and_when_they_are_too_many() -> None:
    now = 0.0
    sizes = RememberedSizes(lambda: now)
    first, second = Digest.of(b"1"), Digest.of(b"2")
    sizes.set(first, 5)
    assert (sizes.get(first), sizes.get(second)) == (5, None)
    sizes.forget(first)
    assert sizes.get(first) is None
    sizes.set(first, 5)
    now = SECONDS
    assert sizes.get(first) is None
    for number in range(ENTRIES + 1):
        sizes.set(Digest("sha256", f"{number:064x}"), number)
    assert sizes.get(Digest("sha256", f"{0:064x}")) is None
    assert sizes.get(Digest("sha256", f"{ENTRIES:064x}")) == ENTRIES
