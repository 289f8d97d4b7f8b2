"""Large uploads past the page cache: from the socket into aligned buffers, from there to the disk.

A layer that is pushed is rarely read again by this machine at once. In the page cache it would cost a copy, a page for
each of its pages, and a long wait for the disk at the end; so it goes straight to the disk, one block being hashed
while the next one arrives. File systems that refuse that get their bytes the usual way, and so does whoever comes when
all buffers are in use: memory is bounded by their number.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol, runtime_checkable

BLOCK = 1 << 20
"""Bytes of a buffer."""

BUFFERS = 2
"""Buffers of an upload: one is filled while the other is hashed."""

AT_ONCE = 16
"""Uploads of a process that have buffers."""

IDLE = 1
"""Sets of buffers of each size that are kept for the next upload; the rest is given back to the system."""

SHORT, SHORT_BLOCK = 4 << 20, 512 << 10
"""A body that is shorter than this gets smaller buffers: many come at once, and each is soon over."""

WORTH = 1 << 20
"""Bytes of a request from which it is worth it."""

ALIGNMENT = 4096
"""What disks ask for at most, of memory, of places and of lengths."""


@runtime_checkable
class Filling(Protocol):
    """A body that can be received into somebody's memory; ``left`` is how many bytes come, if that is known."""

    @property
    def left(self) -> int | None: ...

    def readinto(self, view: memoryview, /) -> int:
        """Fill ``view``; less only at the end or when the body breaks, which is raised by the next call."""
        ...


class Buffers:
    """The buffers of a process: made when they are needed, the first ones kept."""

    def __init__(self, number: int = AT_ONCE) -> None:
        self._places = threading.BoundedSemaphore(number)
        self._idle: dict[int, deque[tuple[mmap.mmap, ...]]] = {SHORT_BLOCK: deque(), BLOCK: deque()}

    @contextmanager
    def taken(self, length: int = SHORT) -> Iterator[tuple[memoryview, ...] | None]:
        """A set of buffers for a body of so many bytes; ``None`` while as many as may be are in use."""
        if not self._places.acquire(blocking=False):
            yield None
            return
        size = BLOCK if length >= SHORT else SHORT_BLOCK
        idle = self._idle[size]
        try:
            buffers = idle.pop()
        except IndexError:
            private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
            buffers = tuple(mmap.mmap(-1, size, private) for _ in range(BUFFERS))
        views = tuple(memoryview(one) for one in buffers)
        try:
            yield views
        finally:
            for view in views:
                view.release()
            if len(idle) < IDLE:
                idle.append(buffers)
            else:
                for one in buffers:
                    one.close()
            self._places.release()


class DirectFile:
    """Writes to an open file past the page cache, as long as places are aligned and the file system does not mind."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._direct = self._switch(on=True)

    def write(self, view: memoryview, offset: int) -> None:
        """Write every byte. Raises ``OSError``."""
        while view:
            aligned = len(view) - len(view) % ALIGNMENT if offset % ALIGNMENT == 0 else 0
            if self._direct and not aligned:
                self._direct = self._switch(on=False)
            try:
                written = os.pwrite(self._descriptor, view[:aligned] if self._direct else view, offset)
            except OSError as error:
                if not self._direct or error.errno != errno.EINVAL:
                    raise
                self._direct = self._switch(on=False)
                continue
            view, offset = view[written:], offset + written

    def close(self) -> None:
        """Let the file be an ordinary one again."""
        if self._direct:
            self._direct = self._switch(on=False)

    def _switch(self, *, on: bool) -> bool:
        flag = getattr(os, "O_DIRECT", 0)
        with suppress(OSError):
            flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFL)
            fcntl.fcntl(self._descriptor, fcntl.F_SETFL, flags | flag if on else flags & ~flag)
            return on and bool(flag)
        return False
