"""What is to be looked at by several workers: each thing once, by one at a time, at its time, the urgent first.

But not the urgent alone: whoever changes things of their own all the time must not keep what has been due for an hour
from its turn. And how often they may ask: a bucket that fills at a steady rate, so that a restart with thousands of
things to do is some minutes of even load and no storm; and one for each thing, so that two who write the same thing in
turns are no storm either.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)

IN_A_ROW = 3
"""Urgent things that are taken before one that is not, if one waits."""


class WorkQueue(Generic[T]):
    """Thread-safe. What is taken has to be given back by :meth:`done`; named meanwhile, it comes again after that."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ready = threading.Condition()
        self._due: dict[T, tuple[float, int]] = {}
        self._later: list[tuple[float, int, T]] = []
        self._lanes: tuple[list[tuple[float, int, T]], ...] = ([], [])
        self._taken: set[T] = set()
        self._again: dict[T, tuple[float, bool]] = {}
        self._number = 0
        self._in_a_row = 0
        self._closed = False

    def add(self, item: T, delay: float = 0.0, *, urgent: bool = False) -> None:
        """Look at it in so many seconds; sooner, if that was said before."""
        due = self._clock() + delay
        with self._ready:
            if item in self._taken:
                known = self._again.get(item)
                first = due if known is None else min(due, known[0])
                self._again[item] = (first, urgent or (known is not None and known[1]))
            else:
                self._add(item, due, urgent=urgent)

    def take(self, seconds: float) -> T | None:
        """The next one that is due, after waiting for it; ``None`` if there is none."""
        end = self._clock() + seconds
        with self._ready:
            while not self._closed:
                now = self._clock()
                self._ripen(now)
                for urgent in (0, 1) if self._in_a_row >= IN_A_ROW else (1, 0):
                    lane = self._lanes[urgent]
                    while lane:
                        _, number, item = heapq.heappop(lane)
                        if self._due.get(item, (0.0, -1))[1] == number:
                            del self._due[item]
                            self._taken.add(item)
                            self._in_a_row = self._in_a_row + 1 if urgent else 0
                            return item
                if now >= end:
                    return None
                self._ready.wait(min(end, self._later[0][0] if self._later else end) - now)
        return None

    def done(self, item: T) -> None:
        """It was looked at."""
        with self._ready:
            self._taken.discard(item)
            again = self._again.pop(item, None)
            if again is not None:
                self._add(item, again[0], urgent=again[1])

    def close(self) -> None:
        """Let everybody who waits go."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()

    def waiting(self) -> int:
        """How many are due or being looked at."""
        with self._ready:
            now = self._clock()
            return len(self._taken) + sum(due <= now for due, _ in self._due.values())

    def _add(self, item: T, due: float, *, urgent: bool) -> None:
        known = self._due.get(item)
        if known is not None and known[0] <= due and not urgent:
            return
        if known is not None and known[0] < due:
            due = known[0]
        self._number += 1
        self._due[item] = (due, self._number)
        if due <= self._clock():
            heapq.heappush(self._lanes[urgent], (due, self._number, item))
        else:
            heapq.heappush(self._later, (due, self._number, item))
        self._ready.notify()

    def _ripen(self, now: float) -> None:
        while self._later and self._later[0][0] <= now:
            due, number, item = heapq.heappop(self._later)
            if self._due.get(item, (0.0, -1))[1] == number:
                heapq.heappush(self._lanes[0], (due, number, item))


class Pace:
    """So many calls a second, and twice that at once after a pause. Thread-safe."""

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = per_second
        self._clock = clock
        self._lock = threading.Lock()
        self._full = max(1.0, per_second * 2)
        self._left, self._at = self._full, clock()

    def wait(self, sleep: Callable[[float], object] = time.sleep) -> None:
        """Until the next call may be made."""
        with self._lock:
            now = self._clock()
            self._left = min(self._full, self._left + (now - self._at) * self._rate) - 1
            self._at = now
            pause = -self._left / self._rate if self._left < 0 else 0.0
        if pause:
            sleep(pause)


class Restraint(Generic[T]):
    """How often one thing may be written: so many times at once, and one more after each ``seconds``. Thread-safe."""

    def __init__(self, at_once: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._at_once, self._seconds, self._clock = at_once, seconds, clock
        self._lock = threading.Lock()
        self._full_at: dict[T, float] = {}

    def pause(self, item: T) -> float:
        """Seconds until it may be written; 0 for now, which counts."""
        with self._lock:
            now = self._clock()
            full_at = max(now, self._full_at.get(item, now)) + self._seconds
            if (over := full_at - now - self._at_once * self._seconds) > 0:
                return over
            self._full_at[item] = full_at
            if len(self._full_at) > 1000 and full_at - now <= self._seconds:
                self._full_at = {one: at for one, at in self._full_at.items() if at > now}
            return 0.0
