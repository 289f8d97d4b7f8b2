"""A bounded memory of answers that are good for a while, asked for once however many threads wait."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ExpiringCache(Generic[K, V]):
    """At most ``size`` answers, the least recently used forgotten first.

    Whoever waits for a question that another thread asks shares its answer, and its exception too: if the one who
    knows does not answer, a hundred waiting threads must not try it one after the other. An exception is never
    remembered beyond that.
    """

    def __init__(self, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._size = size
        self._clock = clock
        self._lock = threading.Lock()
        self._answers: OrderedDict[K, tuple[V, float]] = OrderedDict()
        self._asking: dict[K, Future[V]] = {}
        self._generation = 0

    def get(self, key: K, ask: Callable[[], tuple[V, float]]) -> V:
        """The remembered answer, or that of ``ask``, which returns it with the seconds it is good for."""
        with self._lock:
            found = self._answers.get(key)
            if found is not None and found[1] > self._clock():
                self._answers.move_to_end(key)
                return found[0]
            waiting = self._asking.get(key)
            if waiting is None:
                mine = self._asking[key] = Future()
                generation = self._generation
        if waiting is not None:
            return waiting.result()
        try:
            value, seconds = ask()
        except BaseException as error:
            self._done(key, mine)
            mine.set_exception(error)
            raise
        with self._lock:
            if generation == self._generation:
                self._answers[key] = (value, self._clock() + seconds)
                self._answers.move_to_end(key)
                while len(self._answers) > self._size:
                    self._answers.popitem(last=False)
        self._done(key, mine)
        mine.set_result(value)
        return value

    def clear(self) -> None:
        """Forget everything; answers that are being asked for now are given, but not remembered."""
        with self._lock:
            self._generation += 1
            self._answers.clear()
            self._asking.clear()

    def _done(self, key: K, mine: Future[V]) -> None:
        with self._lock:
            if self._asking.get(key) is mine:
                del self._asking[key]
