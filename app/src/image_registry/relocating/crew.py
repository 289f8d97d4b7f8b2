"""Many hands for many small pieces of work, which stop together; and the speed that they share."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 4
"""Pieces of work for each hand that are taken from the pile at once: it may be larger than the memory."""


class Stopped(Exception):
    """Another hand has failed, or somebody wants the end."""


class Crew:
    """``hands`` threads; what one of them raises ends the work of all, and is raised by :meth:`each`."""

    def __init__(self, hands: int) -> None:
        self._hands = hands
        self._over = threading.Event()

    def each(self, work: Callable[[T], None], pile: Iterable[T]) -> None:
        """Do the work for everything on the pile, in any order."""
        self._over.clear()
        with ThreadPoolExecutor(self._hands, thread_name_prefix="copy") as pool:
            running: set[Future[None]] = set()
            try:
                for item in pile:
                    running.add(pool.submit(work, item))
                    if len(running) >= self._hands * AHEAD:
                        running = _settled(running, FIRST_COMPLETED)
                while running:
                    running = _settled(running, FIRST_COMPLETED)
            except BaseException:
                self._over.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def still(self) -> None:
        """Go on? Raises :class:`Stopped`."""
        if self._over.is_set():
            raise Stopped


def answers(pool: ThreadPoolExecutor, work: Callable[[T], R], pile: Iterable[T], hands: int) -> Iterator[R]:
    """What the work says of each piece, in the order of the pile; few are taken from it ahead of who listens."""
    running: deque[Future[R]] = deque()
    for item in pile:
        running.append(pool.submit(work, item))
        if len(running) >= hands * AHEAD:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()


def _settled(running: set[Future[None]], until: str) -> set[Future[None]]:
    done, left = wait(running, return_when=until)
    for future in done:
        future.result()
    return set(left)


class Pace:
    """At most ``rate`` bytes in a second, whoever moves them; 0: as fast as it goes."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._lock = threading.Lock()
        self._due = 0.0

    def moved(self, length: int) -> None:
        """Wait until so many bytes may have been moved."""
        if self._rate <= 0:
            return
        with self._lock:
            now = time.monotonic()
            self._due = max(self._due, now) + length / self._rate
            pause = self._due - now
        time.sleep(max(0.0, pause))
