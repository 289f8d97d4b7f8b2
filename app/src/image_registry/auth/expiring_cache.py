"""A bounded memory of answers that are good for a while, asked for once however many threads wait."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ExpiringCache(Generic[K, V]):
    """At most ``size`` answers, the least recently used forgotten first. An exception is never remembered."""

    def __init__(self, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._size = size
        self._clock = clock
        self._lock = threading.Lock()
        self._answers: OrderedDict[K, tuple[V, float]] = OrderedDict()
        self._asking: dict[K, threading.Lock] = {}

    def get(self, key: K, ask: Callable[[], tuple[V, float]]) -> V:
        """The remembered answer, or that of ``ask``, which returns it with the seconds it is good for."""
        found = self._find(key)
        if found is not None:
            return found[0]
        with self._lock:
            asking = self._asking.setdefault(key, threading.Lock())
        with asking:
            found = self._find(key)
            if found is not None:
                return found[0]
            try:
                value, seconds = ask()
                with self._lock:
                    self._answers[key] = (value, self._clock() + seconds)
                    while len(self._answers) > self._size:
                        self._answers.popitem(last=False)
            finally:
                with self._lock:
                    self._asking.pop(key, None)
            return value

    def _find(self, key: K) -> tuple[V] | None:
        with self._lock:
            entry = self._answers.get(key)
            if entry is None:
                return None
            if entry[1] <= self._clock():
                del self._answers[key]
                return None
            self._answers.move_to_end(key)
            return (entry[0],)
