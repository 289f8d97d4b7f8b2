"""Writers of a SQLite file one after the other: across processes without polling, and sharing one wait for the disk.

SQLite has one writer. Left alone, the others ask again after growing pauses and starve; and each commit waits for the
disk by itself. Here they queue for a lock that the kernel hands on, and those of one process share a transaction: each
works in its own thread, in a savepoint of its own, and the last of them commits for all.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar

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


class _Batch:
    """A transaction that several threads write to, one after the other."""

    def __init__(self, connection: Connection, held: ExitStack) -> None:
        self.connection = connection
        self.held = held
        self.size = 0
        self.done = threading.Event()
        self.failure: BaseException | None = None


class _Ticket:
    def __init__(self) -> None:
        self.called = threading.Event()
        self.batch: _Batch | None = None


class Convoy:
    """Runs writers in shared transactions; ``begin`` opens one, and its end commits it."""

    def __init__(self, begin: Callable[[ExitStack], Connection]) -> None:
        self._begin = begin
        self._lock = threading.Lock()
        self._waiting: deque[_Ticket] = deque()
        self._running = False

    def run(self, work: Callable[[Connection], T]) -> T:
        """The result of ``work``, once it is committed; what it raises undoes its own changes alone."""
        ticket = _Ticket()
        with self._lock:
            first = not self._running
            if first:
                self._running = True
            else:
                self._waiting.append(ticket)
        if not first:
            ticket.called.wait()
        batch = ticket.batch
        if batch is None:
            try:
                held = ExitStack()
                batch = _Batch(self._begin(held), held)
            except BaseException:
                self._hand_on(None)
                raise
        batch.size += 1
        try:
            result = self._in_savepoint(batch, work)
        finally:
            if not self._hand_on(batch):
                self._commit(batch)
                self._hand_on(None)
            batch.done.wait()
        if batch.failure is not None:
            raise batch.failure
        return result

    def _hand_on(self, batch: _Batch | None) -> bool:
        """Call the next one, into this transaction if there is one; false if nobody is called."""
        with self._lock:
            if batch is not None and (batch.size >= TOGETHER or batch.failure is not None):
                return False
            if not self._waiting:
                if batch is None:
                    self._running = False
                return False
            ticket = self._waiting.popleft()
        ticket.batch = batch
        ticket.called.set()
        return True

    @staticmethod
    def _in_savepoint(batch: _Batch, work: Callable[[Connection], T]) -> T:
        connection = batch.connection
        say(connection, "SAVEPOINT one")
        try:
            result = work(connection)
        except BaseException:
            try:
                say(connection, "ROLLBACK TO one")
                say(connection, "RELEASE one")
            except Exception as error:  # noqa: BLE001 - the transaction itself is lost, and with it everybody's work
                batch.failure = error
            raise
        say(connection, "RELEASE one")
        return result

    @staticmethod
    def _commit(batch: _Batch) -> None:
        failure = batch.failure
        try:
            batch.held.__exit__(*((type(failure), failure, failure.__traceback__) if failure else (None, None, None)))
        except BaseException as error:  # noqa: BLE001 - told to everybody whose work it was
            batch.failure = error
        finally:
            batch.done.set()
