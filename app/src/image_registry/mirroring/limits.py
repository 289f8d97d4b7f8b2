"""Much at once, and no registry asked for more at once than it should be.

Work names the stores that it keeps busy. It begins when each of them has a place left; what waits for a busy store
holds up nothing that goes elsewhere.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")

PER_STORE, STORES = 6, 4


class Limits:
    """``per_store`` pieces of work at once for each store, ``stores`` stores at once."""

    def __init__(self, per_store: int = PER_STORE, stores: int = STORES) -> None:
        self._per_store = per_store
        self._threads = per_store * stores

    def each(self, items: Sequence[T], stores: Callable[[T], Iterable[str]], call: Callable[[T], None]) -> None:
        """Do it for every item, in their order as far as the limits let it."""
        self.run({number: (tuple(stores(item)), partial(call, item)) for number, item in enumerate(items)}, {})

    def run(self, work: dict[int, tuple[tuple[str, ...], Callable[[], Any]]], after: dict[int, set[int]]) -> None:
        """All pieces of work, each after those that it waits for. An error of a piece ends everything and is raised."""
        if work:
            _Run(work, after, self._per_store).go(min(self._threads, len(work)))


class _Run:
    def __init__(
        self,
        work: dict[int, tuple[tuple[str, ...], Callable[[], Any]]],
        after: dict[int, set[int]],
        per_store: int,
    ) -> None:
        self._work, self._per_store = work, per_store
        self._waits = {number: len(before) for number, before in after.items() if before}
        self._then: dict[int, list[int]] = {}
        for number, before in after.items():
            for other in before:
                self._then.setdefault(other, []).append(number)
        self._queues: dict[tuple[str, ...], deque[int]] = {}
        for number in work:
            if number not in self._waits:
                self._enqueue(number)
        self._left = len(work)
        self._busy: Counter[str] = Counter()
        self._change = threading.Condition()
        self._error: BaseException | None = None

    def go(self, threads: int) -> None:
        workers = [threading.Thread(target=self._serve, daemon=True) for _ in range(threads)]
        for worker in workers:
            worker.start()
        try:
            for worker in workers:
                while worker.is_alive():  # without a limit no signal would be seen
                    worker.join(0.5)
        except BaseException:
            with self._change:
                self._left = 0
                self._change.notify_all()
            raise
        if self._error is not None:
            raise self._error

    def _serve(self) -> None:
        while (number := self._take()) is not None:
            stores, call = self._work[number]
            error: BaseException | None = None
            try:
                call()
            except BaseException as raised:  # noqa: BLE001 - it is raised again where the caller waits
                error = raised
            with self._change:
                self._busy.subtract(set(stores))
                self._left -= 1
                if error is not None:
                    self._error = self._error or error
                    self._left = 0
                ready = 0
                for follower in self._then.get(number, ()):
                    self._waits[follower] -= 1
                    if not self._waits[follower]:
                        self._enqueue(follower)
                        ready += 1
                # one for each place that is free again, and for what waited for this alone: to wake all of them for
                # every piece costs more than many a piece
                self._change.notify(len(set(stores)) + ready)
                if self._left <= 0:
                    self._change.notify_all()

    def _take(self) -> int | None:
        with self._change:
            while self._left > 0:
                free = [
                    (queue[0], stores, queue)
                    for stores, queue in self._queues.items()
                    if queue and all(self._busy[store] < self._per_store for store in stores)
                ]
                if free:
                    number, stores, queue = min(free, key=lambda entry: entry[0])
                    self._busy.update(set(stores))
                    queue.popleft()
                    return number
                self._change.wait()
            return None

    def _enqueue(self, number: int) -> None:
        self._queues.setdefault(self._work[number][0], deque()).append(number)
