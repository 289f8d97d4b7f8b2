"""The digest of bytes that pass by once, and perhaps some of them twice.

A transfer that breaks off goes on where the other side stands. Of the bytes before that place only those since the last
mark are read again, because the state of the hash is kept at every mark.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

from image_registry.oci.digest import Digest
from image_registry.remote.bodies import Stream
from image_registry.remote.errors import Mismatch

MARK = 16 << 20
"""Bytes between two marks."""


class Running:
    """The state of one blob's verification; not thread-safe."""

    def __init__(self, digest: Digest, size: int, name: str) -> None:
        self._digest, self.size, self._name = digest, size, name
        self._hasher = hashlib.new(digest.algorithm)
        self.position = 0
        self._marks: list[tuple[int, Any]] = [(0, self._hasher.copy())]

    def whole(self, parts: Iterator[bytes]) -> bytes:
        """All bytes, verified."""
        return b"".join(self.follow(parts, 0).read(self.size)) if self.size else self._empty(parts)

    def rewind(self, offset: int) -> int:
        """Go back to the last mark before ``offset``; where that is."""
        while self._marks[-1][0] > offset:
            self._marks.pop()
        self.position, kept = self._marks[-1]
        self._hasher = kept.copy()
        return self.position

    def follow(self, parts: Iterator[bytes], offset: int) -> Flow:
        """Bytes from the position on; those before ``offset`` are looked at alone."""
        return Flow(self, parts, offset)

    def take(self, part: bytes) -> None:
        """More bytes. Raises :class:`Mismatch` when they are too many, and at the end if they are others."""
        self._hasher.update(part)
        self.position += len(part)
        if self.position - self._marks[-1][0] >= MARK:
            self._marks.append((self.position, self._hasher.copy()))
        if self.position > self.size:
            raise Mismatch(f"{self._name} has more than the {self.size} bytes that its manifest says; nothing is taken")
        if self.position == self.size:
            self.check()

    def check(self) -> None:
        """Raise :class:`Mismatch` unless these were all bytes and the right ones."""
        if self.position != self.size or self._hasher.hexdigest() != self._digest.hex:
            raise Mismatch(
                f"the {self.position} bytes sent for {self._name} have another digest or size than its manifest says; "
                "nothing is taken"
            )

    def _empty(self, parts: Iterator[bytes]) -> bytes:
        for part in parts:
            self.take(part)
        self.check()
        return b""


class Flow:
    """Verified parts, given out in pieces of any length."""

    def __init__(self, running: Running, parts: Iterator[bytes], offset: int) -> None:
        self._running, self._parts, self._rest = running, parts, b""
        self._skip = offset - running.position

    def stream(self, length: int, count: Callable[[int], None]) -> Stream:
        """The next ``length`` bytes as the body of a request."""
        return Stream(self._counted(length, count), length)

    def read(self, length: int) -> Iterator[bytes]:
        """The next ``length`` bytes."""
        while length:
            part = self._rest or self._next()
            self._rest = part[length:] if len(part) > length else b""
            part = part[:length] if self._rest else part
            length -= len(part)
            yield part

    def end(self) -> None:
        """Look at what is left, of which nothing is to be sent. Raises :class:`Mismatch`."""
        while self._running.position < self._running.size:
            self._next()

    def _counted(self, length: int, count: Callable[[int], None]) -> Iterator[bytes]:
        for part in self.read(length):
            yield part
            count(len(part))

    def _next(self) -> bytes:
        while True:
            part = next(self._parts, b"")
            if not part:
                self._running.check()
                raise Mismatch("the source ended before its last byte")
            self._running.take(part)
            if self._skip >= len(part):
                self._skip -= len(part)
                if not self._skip and self._running.position == self._running.size:
                    return b""
                continue
            if self._skip:
                part, self._skip = part[self._skip :], 0
            return part
