"""A short run of the fuzzer; the long one is ``make fuzz``."""

from __future__ import annotations

import random

import pytest

from tests.security.conftest import Guarded
from tests.security.fuzz.grammar import Grammar, mangled
from tests.security.fuzz.run import LEVEL, Target, fuzz, grown, level

SEED, SECONDS = 20, 20.0


@pytest.mark.slow
def test_nothing_that_is_sent_makes_the_registry_fail_or_grow(of_its_own: Guarded) -> None:
    target = Target(of_its_own.served.host, of_its_own.served.pid, of_its_own.user, of_its_own.password)
    report = fuzz(target, SECONDS, SEED)
    shown = "\n".join(report.lines())
    assert not report.failures, shown
    assert report.sent > 300, shown
    assert {200, 201, 202, 400, 401, 404} <= set(report.statuses), shown


def test_a_seed_gives_the_same_requests_again() -> None:
    def requests(seed: int) -> list[bytes]:
        chance = random.Random(seed)  # noqa: S311 - chance that can be had again is the point
        grammar = Grammar(chance, "user", "password")
        return [mangled(chance, grammar.next().bytes("host")) for _ in range(200)]

    assert requests(7) == requests(7)
    assert requests(7) != requests(8)


def test_memory_that_grows_is_seen() -> None:
    steady = [(float(second), 100 << 20) for second in range(60)]
    leaking = [(float(second), (100 + second * 10) << 20) for second in range(60)]
    assert grown(steady, 60, 0) == []
    [found] = grown(leaking, 60, 0)
    assert grown(leaking, 60, 1 << 30) == [], "what is kept for reuse is no leak"
    assert "memory grows" in found


def test_a_long_run_must_level_off_and_a_short_one_need_not() -> None:
    def run(late: float) -> list[tuple[float, int]]:
        """As caches fill up, and then by so many bytes a second."""
        filling = [(100 + 60 * min(at / 250, 1)) * (1 << 20) for at in range(600)]
        return [(float(at), int(size + late * at)) for at, size in enumerate(filling)]

    assert level(run(0), 600) == []
    [found] = level(run(LEVEL / 200), 600)
    assert "does not level off" in found
    assert level(run(LEVEL / 200), 60) == []
    assert level([], 600) == []
