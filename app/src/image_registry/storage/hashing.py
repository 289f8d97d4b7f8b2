"""Hashing beside writing: the disk and the hash each take their time with a piece, so they take it together.

Both run without Python's lock. Small content is hashed on the spot; a thread would cost more than it saves.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from image_registry.oci.digest import Hasher

WORTH_A_THREAD = 512 << 10
"""Bytes of a piece from which it is handed to the second thread."""


class Beside:
    """Feeds a hash from a second thread, one piece behind at most; has fed it everything when the block ends."""

    def __init__(self, hasher: Hasher | None, pool: ThreadPoolExecutor | None = None) -> None:
        self._hasher = hasher
        self._pool = pool
        self._own = pool is None
        self._running: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.wait()
        finally:
            if self._own and self._pool is not None:
                self._pool.shutdown()

    def feed(self, piece: bytes | memoryview) -> None:
        """Hash ``piece`` after what came before; the caller may go on at once, without changing it."""
        if self._hasher is None:
            return
        self.wait()
        if len(piece) < WORTH_A_THREAD:
            self._hasher.update(piece)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="hash")
        self._running = self._pool.submit(self._hasher.update, piece)

    def wait(self) -> None:
        """Until everything is hashed."""
        running, self._running = self._running, None
        if running is not None:
            running.result()
