"""Bytes of a request on their way into a store: one piece is written while the next one arrives.

A store answers after it has everything, and a client sends at its own pace: one after the other would take the sum of
both times. Pieces wait in nameless files, so that neither costs memory.
"""

from __future__ import annotations

import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import BinaryIO, Self, cast

from image_registry.storage.blob_store import UploadBusy
from image_registry.storage.disk_faults import faults
from image_registry.storage.object_client import ObjectClient, ObjectExists

IN_MEMORY = 256 << 10
"""Bytes of a piece that are kept without a file."""

GROWTH = 1000
"""A piece is at least this part of what is there: stores join ten thousand pieces at most."""


def piece_key(folder: str, offset: int) -> str:
    """Where the piece lies that begins at ``offset``; keys are in the order of the bytes."""
    return f"{folder}/{offset:020d}"


class PieceWriter:
    """Writes what it is fed below ``folder``; ``size`` is where the next piece begins."""

    def __init__(self, client: ObjectClient, folder: str, size: int, chunk: int) -> None:
        self._client = client
        self._folder = folder
        self._chunk = chunk
        self.size = size
        self._piece = Piece()
        self._pool: ThreadPoolExecutor | None = None
        self._running: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(Exception):  # if it matters, somebody has raised it already
            self._wait()
        if self._pool is not None:
            self._pool.shutdown()
        self._piece.close()

    def feed(self, data: bytes) -> None:
        """Take some bytes. Raises what kept an earlier piece from being written: then this one is not either."""
        self._piece.write(data)
        if self._piece.size >= max(self._chunk, self.size // GROWTH):
            if self._pool is None:
                self._pool = ThreadPoolExecutor(1, thread_name_prefix="piece")
            offset, piece = self._next()
            self._running = self._pool.submit(self._keep, offset, piece)

    def finish(self) -> int:
        """Write what is left; returns the size when everything is in the store."""
        if self._piece.size:
            self._keep(*self._next())
        self._wait()
        return self.size

    def _next(self) -> tuple[int, Piece]:
        """The piece to write now, after the one before it: a gap would be the end of the upload."""
        self._wait()
        offset, piece = self.size, self._piece
        self.size, self._piece = offset + piece.size, Piece()
        return offset, piece

    def _keep(self, offset: int, piece: Piece) -> None:
        try:
            self._client.put(piece_key(self._folder, offset), piece.rewound(), piece.size, new=True)
        except ObjectExists:
            raise UploadBusy(self._folder) from None
        finally:
            piece.close()

    def _wait(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.result()


class Piece:
    """Bytes that wait until there are enough of them."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - closed by close()
        self.size = 0

    def write(self, data: bytes) -> None:
        """Raises :class:`~image_registry.storage.blob_store.StorageFault` when the machine's own disk is full."""
        with faults("write to", tempfile.gettempdir()):
            self._file.write(data)
        self.size += len(data)

    def rewound(self) -> BinaryIO:
        """To be read from the start."""
        self._file.seek(0)
        return cast("BinaryIO", self._file)

    def close(self) -> None:
        """Forget the bytes."""
        self._file.close()
