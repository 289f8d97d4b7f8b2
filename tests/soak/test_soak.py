"""A short soak in every run of the tests; ``make soak`` makes a long one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serve.conftest import Served, serve
from tests.soak import run


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    yield from serve(tmp_path, "--auth", "none", "--blob-promise", f"{run.PROMISE:.0f}s")


@pytest.mark.parity(20)
def test_nothing_is_lost_and_nothing_is_left_over_while_garbage_is_collected(served: Served) -> None:
    result = run.soak(served.host, served.root, 30, clients=4, seed=7, say=lambda _line: None)
    assert result.failures == []
    assert (result.lost, result.left_over) == (set(), set())
    assert result.cycles > 2
    assert result.removed > 0
    assert result.memory.counts["pushes"] > 50
