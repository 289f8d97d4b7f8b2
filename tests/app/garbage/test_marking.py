"""A mark may say yes too often, never too seldom."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from image_registry.garbage.marking import Mark

VALUES = st.binary(min_size=32, max_size=32).map(bytes.hex)


@given(st.lists(VALUES))
def test_whatever_was_added_is_known(values: list[str]) -> None:
    mark = Mark()
    mark.add(values)
    assert all(value in mark for value in values)


@given(st.sets(VALUES), VALUES)
def test_what_was_not_added_is_unknown(values: set[str], other: str) -> None:
    mark = Mark()
    mark.add_digests(f"sha256:{value}" for value in values)
    assert (other in mark) == any(value[:15] == other[:15] for value in values)


def test_names_that_are_no_digests_are_passed_over() -> None:
    mark = Mark()
    mark.add(["not a digest", "", "_layers"])
    assert len(mark) == 0
    assert "not a digest" not in mark
