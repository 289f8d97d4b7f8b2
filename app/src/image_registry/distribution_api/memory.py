"""Memory for requests that are small enough to be held, and an end to it, however many clients there are."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Memory:
    """Bytes that all requests of a process may hold together."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._lock = threading.Lock()

    def take(self, size: int) -> Held | None:
        """Room for that many bytes, if there is any now."""
        with self._lock:
            if size > self._free:
                return None
            self._free -= size
        return Held(self, size)

    def give_back(self, size: int) -> None:
        """What was taken is free again."""
        with self._lock:
            self._free += size


class Held:
    """A piece of a :class:`Memory`, given back once."""

    def __init__(self, memory: Memory, size: int) -> None:
        self._memory, self._size = memory, size

    def close(self) -> None:
        """Give it back."""
        size, self._size = self._size, 0
        self._memory.give_back(size)

    @contextmanager
    def holding(self, data: bytes) -> Iterator[bytes]:
        """Hand out what lies in it, and give it back at the end."""
        try:
            yield data
        finally:
            self.close()
