"""What is to be looked at, and when: each thing once, however often it was named, and the earliest time counts."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class DelayedQueue(Generic[T]):
    """Thread-safe; one thread takes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ready = threading.Condition()
        self._due: dict[T, float] = {}
        self._order: list[tuple[float, int, T]] = []
        self._number = 0

    def add(self, item: T, delay: float = 0.0) -> None:
        """Look at it in so many seconds; sooner, if that was said before."""
        due = self._clock() + delay
        with self._ready:
            if item in self._due and self._due[item] <= due:
                return
            self._due[item] = due
            self._number += 1
            heapq.heappush(self._order, (due, self._number, item))
            self._ready.notify()

    def take(self, seconds: float) -> T | None:
        """The next one that is due, after waiting for it; ``None`` if there is none."""
        end = self._clock() + seconds
        with self._ready:
            while True:
                now = self._clock()
                while self._order and self._due.get(self._order[0][2]) != self._order[0][0]:
                    heapq.heappop(self._order)  # it was named again, for an earlier time
                if self._order and self._order[0][0] <= now:
                    item = heapq.heappop(self._order)[2]
                    del self._due[item]
                    return item
                if now >= end:
                    return None
                self._ready.wait(min(end, self._order[0][0] if self._order else end) - now)
