"""A bounded memory of answers that are good for a while, asked for once however many threads wait."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from image_registry.kube.no_waiting import require_waiting

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

EXPIRED_AT_ONCE = 2
"""Old answers that are looked at for each new one."""

_CHANGES = 1024
"""Scopes whose last change is remembered; older changes count as changes of everything."""


@dataclass(frozen=True, slots=True)
class _Change:
    """When something became known that may make remembered answers wrong; ``number`` counts all of them."""

    number: int = 0
    at: float = float("-inf")


class ExpiringCache(Generic[K, V]):
    """At most ``size`` answers, the least recently used forgotten first; what has expired goes before.

    Whoever waits for a question that another thread asks shares its answer, and its exception too: if the one who
    knows does not answer, a hundred waiting threads must not try it one after the other. An exception is never
    remembered beyond that.

    Answers may belong to a scope, and a scope can be forgotten. Whoever is asked may learn of a change a moment after
    we do, so an answer that is given within ``settle`` seconds after its scope was forgotten ends with that time.
    """

    def __init__(self, size: int, clock: Callable[[], float] = time.monotonic, *, settle: float = 0.0) -> None:
        self._size = size
        self._clock = clock
        self._settle = settle
        self._lock = threading.Lock()
        self._answers: OrderedDict[K, tuple[V, float, Hashable]] = OrderedDict()
        self._asking: dict[K, tuple[Future[V], Hashable]] = {}
        self._everything = _Change()
        self._changes: OrderedDict[Hashable, _Change] = OrderedDict()
        self._number = 0

    def get(self, key: K, ask: Callable[[], tuple[V, float]], scope: Hashable = None) -> V:
        """The remembered answer, or that of ``ask``, which returns it with the seconds it is good for."""
        with self._lock:
            found = self._answers.get(key)
            if found is not None and found[1] > self._clock():
                self._answers.move_to_end(key)
                return found[0]
            require_waiting()
            waiting = self._asking.get(key)
            if waiting is None:
                mine: Future[V] = Future()
                self._asking[key] = (mine, scope)
                began = self._number
        if waiting is not None:
            return waiting[0].result()
        try:
            value, seconds = ask()
        except BaseException as error:
            self._done(key, mine)
            mine.set_exception(error)
            raise
        with self._lock:
            change = max(self._everything, self._changes.get(scope, self._everything), key=lambda each: each.number)
            if change.number <= began:
                now = self._clock()
                settled = change.at + self._settle
                until = now + seconds if now >= settled else min(now + seconds, settled)
                self._answers[key] = (value, until, scope)
                self._answers.move_to_end(key)
                self._make_room(now)
        self._done(key, mine)
        mine.set_result(value)
        return value

    def forget(self, scope: Hashable) -> None:
        """Forget the answers of a scope; those that are being asked for now are given, but not remembered."""
        with self._lock:
            self._number += 1
            self._changes[scope] = _Change(self._number, self._clock())
            self._changes.move_to_end(scope)
            if len(self._changes) > _CHANGES:
                _, self._everything = self._changes.popitem(last=False)
            for key in [key for key, answer in self._answers.items() if answer[2] == scope]:
                del self._answers[key]
            for key in [key for key, asking in self._asking.items() if asking[1] == scope]:
                del self._asking[key]

    def clear(self) -> None:
        """Forget everything; answers that are being asked for now are given, but not remembered."""
        with self._lock:
            self._number += 1
            self._everything = _Change(self._number, self._clock())
            self._changes.clear()
            self._answers.clear()
            self._asking.clear()

    def _make_room(self, now: float) -> None:
        """Twice as many may go as came: what nobody asks for any more does not stay until there are too many."""
        for oldest in list(islice(self._answers, EXPIRED_AT_ONCE)):
            if len(self._answers) <= self._size and self._answers[oldest][1] > now:
                return
            del self._answers[oldest]

    def _done(self, key: K, mine: Future[V]) -> None:
        with self._lock:
            asking = self._asking.get(key)
            if asking is not None and asking[0] is mine:
                del self._asking[key]
