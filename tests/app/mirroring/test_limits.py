"""Work is done once, in its order, and never more at once for a store than it should have."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from functools import partial

import pytest

from image_registry.mirroring.limits import Limits


def test_no_store_has_more_work_at_once_than_its_limit() -> None:
    lock, busy, most = threading.Lock(), Counter[str](), Counter[str]()

    def call(item: tuple[int, tuple[str, ...]]) -> None:
        with lock:
            busy.update(set(item[1]))
            most.update({name: max(0, busy[name] - most[name]) for name in item[1]})
        time.sleep(0.002)
        with lock:
            busy.subtract(set(item[1]))

    items = [(number, (("a", "b"), ("a",), ("c", "b"))[number % 3]) for number in range(60)]
    Limits(3, 4).each(items, lambda item: item[1], call)
    assert most["a"] == most["b"] == 3
    assert most["c"] <= 3


def test_what_waits_for_a_busy_store_holds_up_nothing_else() -> None:
    free = threading.Event()

    def call(item: str) -> None:
        if item == "slow":
            assert free.wait(10)
        elif item == "last":
            free.set()

    Limits(1, 4).each(["slow", "blocked", "last"], lambda item: ("b",) if item == "last" else ("a",), call)
    assert free.is_set()


def test_work_begins_after_what_it_waits_for() -> None:
    order: list[int] = []
    work = {number: (("s",), lambda number=number: order.append(number)) for number in (1, 2, 3, 4)}
    Limits(2, 2).run(work, {1: {4}, 2: {1, 3}})  # type: ignore[arg-type]
    assert order.index(4) < order.index(1) < order.index(2)
    assert order.index(3) < order.index(2)


def test_an_error_ends_the_work_and_is_raised() -> None:
    done: list[int] = []

    def call(number: int) -> None:
        if number == 2:
            raise ZeroDivisionError
        done.append(number)

    with pytest.raises(ZeroDivisionError):
        Limits(1, 1).each(list(range(10)), lambda _number: ("s",), call)
    assert done == [0, 1]


def test_no_piece_of_work_is_forgotten_while_workers_wait() -> None:
    """A worker is woken for what it can do, and not for every piece: none may then sleep beside work."""
    chance = random.Random(7)  # noqa: S311 - the same each time
    for _ in range(30):
        done: Counter[int] = Counter()
        lock = threading.Lock()

        def call(number: int, done: Counter[int] = done, lock: threading.Lock = lock) -> None:
            with lock:
                done[number] += 1

        stores = (("a",), ("b",), ("a", "b"), ("c", "a"))
        work = {number: (stores[chance.randrange(4)], partial(call, number)) for number in range(80)}
        after = {number: set(chance.sample(range(number), min(number, chance.randrange(4)))) for number in range(80)}
        run = threading.Thread(target=Limits(2, 8).run, args=(work, after), daemon=True)
        run.start()
        run.join(20)
        assert not run.is_alive()
        assert done == Counter(range(80))
