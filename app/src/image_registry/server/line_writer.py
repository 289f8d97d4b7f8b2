"""Whole lines to one stream from many threads and processes.

The workers of a Pod share its standard output. A pipe takes up to PIPE_BUF bytes at once or not at all, so pieces of
that size keep lines of different workers apart.
"""

from __future__ import annotations

import select
from collections.abc import Iterable
from typing import Protocol

PIECE = select.PIPE_BUF
"""Bytes that are written at once; a longer line is a piece of its own."""


class RawStream(Protocol):
    """A file without a buffer of its own."""

    def write(self, data: bytes, /) -> int | None: ...


class LineWriter:
    """Not thread-safe: its owner holds a lock. Lines that the stream does not take are counted, not raised."""

    def __init__(self, stream: RawStream) -> None:
        self._stream = stream
        self.lost = 0

    def write(self, lines: Iterable[str]) -> None:
        """Write every line, in order."""
        piece, waiting = b"", 0
        for line in lines:
            data = line.encode("ascii")
            if piece and len(piece) + len(data) > PIECE:
                self._send(piece, waiting)
                piece, waiting = b"", 0
            piece, waiting = piece + data, waiting + 1
        if piece:
            self._send(piece, waiting)

    def _send(self, piece: bytes, lines: int) -> None:
        try:
            while piece:
                piece = piece[self._stream.write(piece) or 0 :]
        except OSError:
            self.lost += lines
