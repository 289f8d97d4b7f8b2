"""Writers of a SQLite file one after the other: across processes without polling, and sharing one wait for the disk.

SQLite has one writer. Left alone, the others ask again after growing pauses and starve; and each commit waits for the
disk by itself. Here they queue for a lock that the kernel hands on, and those of one process share a transaction: each
in a savepoint of its own. The one who came first does the work of all who wait, in their contexts, and commits: a
thread that is called has to wait for Python's lock, and meanwhile everybody would wait for it.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import copy_context
from typing import TypeVar, cast

from sqlalchemy import Connection

from image_registry.metadata.prepared import say

T = TypeVar("T")

TOGETHER = 64
"""Writers of one transaction at most: the first of them waits for the last."""


class NoTurn(Exception):
    """The folder of the file is not there or cannot be written to."""


class Turn:
    """A lock of all threads of all processes that name the same file. Threads that wait are served in any order."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._threads = threading.Lock()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self._threads:
            if not self._path:
                yield
                return
            try:
                descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            except OSError as error:
                raise NoTurn(f"cannot open {self._path}: {error.strerror}") from error
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)


class _Work:
    """What somebody wants written, and what became of it."""

    def __init__(self, work: Callable[[Connection], object]) -> None:
        self.work = work
        self.context = copy_context()
        self.called = threading.Event()
        self.leads = False
        self.result: object = None
        self.failure: BaseException | None = None


class Convoy:
    """Runs writers in shared transactions; ``begin`` opens one, and its end commits it."""

    def __init__(self, begin: Callable[[ExitStack], Connection]) -> None:
        self._begin = begin
        self._lock = threading.Lock()
        self._waiting: deque[_Work] = deque()
        self._running = False

    def run(self, work: Callable[[Connection], T]) -> T:
        """The result of ``work``, once it is committed; what it raises undoes its own changes alone."""
        own = _Work(work)
        with self._lock:
            own.leads = not self._running
            if own.leads:
                self._running = True
            else:
                self._waiting.append(own)
        if not own.leads:
            own.called.wait()
        if own.leads:
            self._lead(own)
        if own.failure is not None:
            raise own.failure
        return cast("T", own.result)

    def _lead(self, own: _Work) -> None:
        """Write for oneself and for all that wait, commit, and let the next one lead."""
        batch, lost = [own], None
        try:
            with ExitStack() as held:
                connection = self._begin(held)
                one: _Work | None = own
                while one is not None:
                    _in_savepoint(connection, one)
                    if one := self._next(len(batch)):
                        batch.append(one)
        except BaseException as error:  # noqa: BLE001 - told to everybody whose work it was
            lost = error
        self._hand_on()
        for one in batch:
            one.failure = one.failure or lost
            one.called.set()

    def _next(self, done: int) -> _Work | None:
        with self._lock:
            return self._waiting.popleft() if self._waiting and done < TOGETHER else None

    def _hand_on(self) -> None:
        with self._lock:
            if not self._waiting:
                self._running = False
                return
            following = self._waiting.popleft()
        following.leads = True
        following.called.set()


def _in_savepoint(connection: Connection, one: _Work) -> None:
    """Raises only what costs everybody's work."""
    say(connection, "SAVEPOINT one")
    try:
        one.result = one.context.run(one.work, connection)
    except BaseException as error:  # noqa: BLE001 - raised in the thread whose work it was
        one.failure = error
        say(connection, "ROLLBACK TO one")
    say(connection, "RELEASE one")
