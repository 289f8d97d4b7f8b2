"""The benchmark of the collectors holds both to the same garbage."""

from __future__ import annotations

import json

import pytest

from benchmarks import garbage

pytestmark = pytest.mark.slow
SMALL = ["--manifests", "40", "--garbage", "7", "--repeats", "1", "-o", "json"]


def test_both_collectors_find_the_same_blobs_in_a_small_tree(capsys: pytest.CaptureFixture[str]) -> None:
    assert garbage.main(SMALL) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["blobs"], figures["garbage"]) == (40 * 10 + 7, 7)
    assert figures["ratio"] > 0


def test_a_collector_that_finds_something_else_makes_the_figures_invalid(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(garbage, "_theirs", lambda _program, _config: set())
    assert garbage.main(SMALL) == 1
    assert "distribution found 0 blobs, 7 of them wrong or missing" in capsys.readouterr().err
