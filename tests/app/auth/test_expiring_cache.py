from __future__ import annotations

import threading
import time

from image_registry.auth.expiring_cache import ExpiringCache
from tests.at_once import at_once


def test_a_failure_is_shared_by_those_who_wait_and_remembered_for_nobody_else() -> None:
    cache: ExpiringCache[str, int] = ExpiringCache(10)
    asked: list[int] = []
    failures: list[str] = []

    def ask() -> tuple[int, float]:
        asked.append(1)
        time.sleep(0.2)
        raise TimeoutError("nobody answers")

    def run() -> None:
        try:
            cache.get("key", ask)
        except TimeoutError as error:
            failures.append(str(error))

    began = time.monotonic()
    at_once([run] * 20)
    assert failures == ["nobody answers"] * 20
    assert len(asked) == 1
    assert time.monotonic() - began < 2
    assert cache.get("key", lambda: (7, 1.0)) == 7


def test_an_answer_asked_for_before_a_clear_is_not_remembered_after_it() -> None:
    cache: ExpiringCache[str, int] = ExpiringCache(10)

    def ask() -> tuple[int, float]:
        cache.clear()
        return 1, 60.0

    assert cache.get("key", ask) == 1
    assert cache.get("key", lambda: (2, 60.0)) == 2


def test_different_keys_do_not_wait_for_each_other() -> None:
    cache: ExpiringCache[str, int] = ExpiringCache(10)
    inside = threading.Event()
    go = threading.Event()

    def slow() -> tuple[int, float]:
        inside.set()
        assert go.wait(5)
        return 1, 1.0

    thread = threading.Thread(target=cache.get, args=("slow", slow))
    thread.start()
    assert inside.wait(5)
    assert cache.get("quick", lambda: (2, 1.0)) == 2
    go.set()
    thread.join()


def test_an_answer_that_is_good_for_no_time_is_given_and_forgotten() -> None:
    cache: ExpiringCache[str, int] = ExpiringCache(10, lambda: 0.0)
    assert cache.get("key", lambda: (1, 0.0)) == 1
    assert cache.get("key", lambda: (2, 0.0)) == 2


def test_a_scope_is_forgotten_and_no_other() -> None:
    cache: ExpiringCache[str, int] = ExpiringCache(10)
    cache.get("a", lambda: (1, 60.0), "one")
    cache.get("b", lambda: (1, 60.0), "two")
    cache.forget("one")
    assert cache.get("a", lambda: (2, 60.0), "one") == 2
    assert cache.get("b", lambda: (2, 60.0), "two") == 1


def test_an_answer_asked_for_before_its_scope_was_forgotten_is_not_remembered() -> None:
    cache: ExpiringCache[str, int] = ExpiringCache(10)

    def ask() -> tuple[int, float]:
        cache.forget("one")
        return 1, 60.0

    assert cache.get("a", ask, "one") == 1
    assert cache.get("a", lambda: (2, 60.0), "one") == 2


def test_an_answer_soon_after_a_change_ends_when_everybody_knows_of_it() -> None:
    now = [100.0]
    cache: ExpiringCache[str, int] = ExpiringCache(10, lambda: now[0], settle=1.0)
    cache.forget("one")
    now[0] += 0.5
    assert cache.get("a", lambda: (1, 60.0), "one") == 1
    assert cache.get("b", lambda: (1, 60.0), "two") == 1
    now[0] += 0.5
    assert cache.get("a", lambda: (2, 60.0), "one") == 2
    assert cache.get("b", lambda: (2, 60.0), "two") == 1
    now[0] += 30
    assert cache.get("a", lambda: (3, 60.0), "one") == 2


def test_more_changes_than_are_remembered_count_as_a_change_of_everything() -> None:
    cache: ExpiringCache[str, int] = ExpiringCache(10)

    def ask() -> tuple[int, float]:
        cache.forget("mine")
        for number in range(2000):
            cache.forget(f"other-{number}")
        return 1, 60.0

    assert cache.get("a", ask, "mine") == 1
    assert cache.get("a", lambda: (2, 60.0), "mine") == 2


def test_what_nobody_asks_for_any_more_does_not_stay() -> None:
    """Or a process would keep every token of a day, up to its bound, though none is good for longer than minutes."""
    now = 0.0
    cache: ExpiringCache[int, int] = ExpiringCache(1000, lambda: now)
    for number in range(100):
        cache.get(number, lambda: (1, 60.0))
    now = 61.0
    for number in range(100, 160):
        cache.get(number, lambda: (1, 60.0))
    assert len(cache._answers) == 60
