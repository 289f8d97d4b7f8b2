"""Work of several workers: once, in order, at its time, and no faster than allowed."""

from __future__ import annotations

from image_registry.operator.work_queue import Pace, Restraint, WorkQueue


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_is_urgent_goes_first_and_everything_once() -> None:
    queue: WorkQueue[str] = WorkQueue(Clock())
    for item in ("one", "two", "one", "three"):
        queue.add(item)
    queue.add("three", urgent=True)
    assert [queue.take(0) for _ in range(4)] == ["three", "one", "two", None]


def test_what_is_looked_at_is_not_given_to_another_but_comes_again() -> None:
    queue: WorkQueue[str] = WorkQueue(Clock())
    queue.add("one")
    assert queue.take(0) == "one"
    queue.add("one")
    assert queue.take(0) is None
    assert queue.waiting() == 1
    queue.done("one")
    assert queue.take(0) == "one"
    queue.done("one")
    assert queue.take(0) is None
    assert queue.waiting() == 0


def test_the_earliest_time_counts() -> None:
    clock = Clock()
    queue: WorkQueue[str] = WorkQueue(clock)
    queue.add("one", 100)
    queue.add("one", 10)
    queue.add("one", 50)
    assert queue.take(0) is None
    assert queue.waiting() == 0
    clock.now = 10
    assert queue.take(0) == "one"
    queue.done("one")
    clock.now = 200
    assert queue.take(0) is None


def test_who_waits_is_let_go_at_the_end() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.close()
    assert queue.take(60) is None


def test_calls_keep_their_pace() -> None:
    clock, slept = Clock(), []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.now += seconds

    pace = Pace(10, clock)
    for _ in range(20):
        pace.wait(sleep)
    assert slept == [], "a short burst is free"
    for _ in range(100):
        pace.wait(sleep)
    assert 9.9 < clock.now < 10.1


def test_who_is_always_urgent_keeps_nobody_from_a_turn() -> None:
    queue: WorkQueue[str] = WorkQueue(Clock())
    for number in range(100):
        queue.add(f"busy {number}", urgent=True)
    queue.add("due", 0)
    taken = [queue.take(0) for _ in range(8)]
    assert taken.index("due") == 3
    assert taken[4:] == ["busy 3", "busy 4", "busy 5", "busy 6"]


def test_two_who_write_the_same_thing_in_turns_are_slowed_down_and_nobody_else() -> None:
    clock = Clock()
    restraint: Restraint[str] = Restraint(10, 6.0, clock)
    assert [restraint.pause("one") for _ in range(10)] == [0.0] * 10
    assert restraint.pause("one") == 6.0
    assert restraint.pause("one") == 6.0, "who asks and may not does not have to wait longer"
    assert restraint.pause("two") == 0.0
    clock.now = 6.0
    assert restraint.pause("one") == 0.0
    assert restraint.pause("one") == 6.0
    clock.now = 600.0
    assert [restraint.pause("one") for _ in range(10)] == [0.0] * 10


def test_what_rests_is_forgotten() -> None:
    clock = Clock()
    restraint: Restraint[int] = Restraint(10, 6.0, clock)
    for number in range(5000):
        clock.now += 1
        restraint.pause(number)
    assert len(restraint._full_at) <= 1001
