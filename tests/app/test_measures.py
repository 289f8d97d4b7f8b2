"""Bytes, counts and times as people say them."""

from __future__ import annotations

import pytest

from image_registry import measures


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (90, "90 s"), (3000, "50 min"), (7500, "2 h 5 min"), (7200, "2 h")]
)
def test_times_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert measures.duration(seconds) == said


def test_a_size_that_is_not_known_is_a_dash() -> None:
    assert (measures.size(None), measures.size(1536)) == ("-", "1.5 KiB")


def test_one_thing_is_no_plural() -> None:
    assert [measures.count(number, "finding") for number in (0, 1, 2)] == ["0 findings", "1 finding", "2 findings"]
    assert measures.count(3, "repository", "repositories") == "3 repositories"
