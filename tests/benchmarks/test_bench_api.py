"""The benchmark of the Image API works on a small platform, and says when a target is missed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.api.__main__ import Result, main
from benchmarks.api.data import Size
from benchmarks.api.measures import TARGETS, Figure

pytestmark = pytest.mark.slow

SMALL = ["--images", "120", "--streams", "60", "--tags", "240", "--requests", "2", "--watches", "6", "--large", "5"]


def run(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, Any]:
    status = main([*SMALL, "--pushes", "1", "-o", "json", *options])
    said = capsys.readouterr()
    assert said.out, said.err
    return status, json.loads(said.out)


def test_a_small_platform_is_measured_and_everything_answers(capsys: pytest.CaptureFixture[str]) -> None:
    generous = [option for name in TARGETS for option in ("--target", f"{name}=60000")]
    status, document = run(capsys, *generous, "--once")
    assert (status, document["missed"]) == (0, [])
    figures = {figure["name"]: figure for figure in document["figures"]}
    assert {"imagestreams -A, limit 500, JSON", "push transaction", "image", "memory of the server"} <= set(figures)
    assert figures["images, limit 100, JSON"]["rows"] == 100
    assert all(figure["p99"] >= figure["p50"] > 0 for figure in figures.values())


def test_a_target_that_is_missed_fails_the_run_and_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    status, document = run(capsys, "--once", "--only", "image", "--target", "get=0.001", "--target", "page=60000")
    assert status == 1
    assert "image" in document["missed"]


def test_a_cost_that_grows_with_the_total_is_a_miss() -> None:
    few, many = (Figure("page", "page", [1.0 * factor] * 3, rows=100) for factor in (1, 3))
    shown = Result(Size(1, 1, 1), [many], [few], dict(TARGETS))
    assert shown.missed == ["page"]
    assert not Result(Size(1, 1, 1), [few], [few], dict(TARGETS)).missed
    other = Figure("page", "page", [1.0], rows=50)
    assert not Result(Size(1, 1, 1), [many], [other], dict(TARGETS)).missed, "pages of other sizes say nothing"
