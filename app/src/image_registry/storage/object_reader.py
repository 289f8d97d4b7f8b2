"""An object as a file that is read from the start or from anywhere, and that survives a broken connection.

A store answers a request for megabytes over one connection, for as long as the slowest client takes; connections break
in that time. The object can not change, so reading goes on where it stood.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from contextlib import suppress

from image_registry.storage.blob_store import StorageFault
from image_registry.storage.object_client import Incoming, ObjectMissing

AGAIN = 3
"""Connections that may break one after the other without a byte in between."""


class ObjectReader(io.RawIOBase):
    """Bytes of ``size``; ``connect`` opens them from an offset on."""

    def __init__(self, connect: Callable[[int], Incoming], size: int) -> None:
        self._connect = connect
        self._size = size
        self._position = 0
        self._incoming: Incoming | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if base + offset != self._position:
            self._hang_up()
            self._position = base + offset
        return self._position

    def read(self, size: int = -1, /) -> bytes:
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(1 << 20), b""))
        size = min(size, self._size - self._position)
        if size <= 0:
            return b""
        for attempt in range(AGAIN):
            try:
                if self._incoming is None:
                    self._incoming = self._connect(self._position)
                data = self._incoming.read(size)
            except ObjectMissing:
                raise StorageFault("the object was removed while it was read") from None
            except StorageFault:
                if attempt == AGAIN - 1:
                    raise
            else:
                if data:
                    self._position += len(data)
                    return data
            self._hang_up()
        raise StorageFault(f"the store sent {self._position} of {self._size} bytes and nothing more")

    def readall(self) -> bytes:
        return self.read()

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._hang_up()
        super().close()

    def _hang_up(self) -> None:
        incoming, self._incoming = self._incoming, None
        if incoming is not None:
            with suppress(Exception):
                incoming.close()
