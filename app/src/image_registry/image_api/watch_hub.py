"""One tail of the revision log for all watches of a process (design, D7).

A thread asks for what is new and gives it to everybody who waits. Whoever does not take it fast enough is told to
start again; nobody else waits for him, and no queue grows without end. While the database is away nothing comes, and
what happened meanwhile comes afterwards.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from image_registry.image_api.status import TooManyRequests
from image_registry.image_api.told import Told
from image_registry.imagestreams.changes import Changed, Changes, TooOld
from image_registry.imagestreams.errors import MetadataUnavailable

PAUSE = 0.1
"""Seconds between two questions."""

OUTAGE_PAUSE = 1.0
"""The same while nobody answers."""

MOST_WAITING = 5_000
"""Changes that wait for one watch."""

HEAVIEST = 200_000
"""Tag events that wait for one watch, in all its changes together: one who takes nothing must not fill the memory with
what others push."""

RETRY_AFTER = 5
"""Seconds after which a client that was one too many may come again."""


class Overrun(Exception):
    """Changes were lost on the way: list again."""


class Subscription:
    """What one watch has yet to tell."""

    def __init__(self, hub: Hub, begin: int) -> None:
        self._hub = hub
        self.begin = begin
        """Everything after this revision comes."""
        self._ready = threading.Condition()
        self._waiting: deque[Told] = deque()
        self._weight = 0
        self._told = begin
        self._overrun = False

    def give(self, changes: Sequence[Told], told: int) -> None:
        """The hub's side."""
        with self._ready:
            weight = self._weight + sum(change.weight for change in changes)
            if len(self._waiting) + len(changes) > MOST_WAITING or (self._waiting and weight > HEAVIEST):
                self.overrun()
                return
            self._weight = weight
            self._waiting.extend(changes)
            self._told = told
            if changes:
                self._ready.notify()

    def overrun(self) -> None:
        """There is a gap."""
        with self._ready:
            self._overrun = True
            self._waiting.clear()
            self._weight = 0
            self._ready.notify()

    def take(self, seconds: float) -> tuple[list[Told], int]:
        """What has come, after waiting for it, and up to which revision that is all. Raises :class:`Overrun`."""
        with self._ready:
            if not self._waiting and not self._overrun:
                self._ready.wait(max(seconds, 0))
            if self._overrun:
                raise Overrun
            taken = list(self._waiting)
            self._waiting.clear()
            self._weight = 0
            return taken, self._told

    def close(self) -> None:
        """No more."""
        self._hub.leave(self)


class Hub:
    """Asks while somebody listens."""

    def __init__(self, changes: Changes, most: int) -> None:
        self._changes = changes
        self._most = most
        self._lock = threading.Lock()
        self._listeners: list[Subscription] = []
        self._told = 0
        self._thread: threading.Thread | None = None

    def subscribe(self) -> Subscription:
        """Listen from now on. Raises :class:`TooManyRequests`, :class:`MetadataUnavailable`."""
        newest = self._changes.newest()
        with self._lock:
            if len(self._listeners) >= self._most:
                raise TooManyRequests(
                    f"{self._most} watches are open here, which is as many as this process serves; list, or try again",
                    retry_after=RETRY_AFTER,
                )
            if not self._listeners:
                self._told = newest
            subscription = Subscription(self, self._told)
            self._listeners.append(subscription)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watch-hub", daemon=True)
                self._thread.start()
        return subscription

    def leave(self, subscription: Subscription) -> None:
        """Give nothing more to it."""
        with self._lock, suppress(ValueError):
            self._listeners.remove(subscription)

    @property
    def listeners(self) -> int:
        """Open watches."""
        return len(self._listeners)

    def _run(self) -> None:
        try:
            self._tail()
        except BaseException:  # a fault of ours: nobody must wait for what will not come, and the next begins anew
            with self._lock:
                self._dismiss()
                self._thread = None
            raise

    def _tail(self) -> None:
        while True:
            with self._lock:
                if not self._listeners:
                    self._thread = None
                    return
                told = self._told
            pause = PAUSE
            try:
                batch = self._changes.since(told)
            except MetadataUnavailable:
                pause = OUTAGE_PAUSE
            except TooOld:
                with suppress(MetadataUnavailable):
                    self._all_overrun()
            else:
                self._give(told, batch.changes, batch.revision)
            time.sleep(pause)

    def _give(self, since: int, changes: Sequence[Changed], told: int) -> None:
        with self._lock:
            if self._told != since:
                return  # everybody left and others came: they begin elsewhere
            self._told = told
            shared = [Told(change) for change in changes]
            for listener in self._listeners:
                listener.give(shared, told)

    def _all_overrun(self) -> None:
        newest = self._changes.newest()
        with self._lock:
            self._dismiss()
            self._told = newest

    def _dismiss(self) -> None:
        for listener in self._listeners:
            listener.overrun()
        self._listeners.clear()
