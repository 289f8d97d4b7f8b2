"""What a store can join as it is: the plan for pieces of any size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_registry.storage.joining import COPIED, LARGEST, MINIMUM, Part, plan

SMALL = st.integers(1, MINIMUM - 1)
LARGE = st.integers(MINIMUM, 3 * MINIMUM)


def joined(parts: list[Part]) -> list[tuple[int, int]]:
    """Piece and offset of every stretch, in the order in which the parts are joined."""
    return [(section.piece, section.start) for part in parts for section in part.sections]


@given(st.lists(SMALL | LARGE | st.just(MINIMUM) | st.just(MINIMUM + 1), max_size=12))
def test_every_byte_is_there_once_in_order_and_no_part_but_the_last_is_too_small(sizes: list[int]) -> None:
    parts = plan(sizes)
    piece = offset = 0
    for section in (section for part in parts for section in part.sections):
        if offset == sizes[piece]:
            piece, offset = piece + 1, 0
        assert (section.piece, section.start) == (piece, offset)
        assert section.whole == (section.size == sizes[piece])
        offset = section.stop
    assert not sizes or (piece, offset) == (len(sizes) - 1, sizes[-1])
    for part in parts[:-1]:
        assert sum(section.size for section in part.sections) >= MINIMUM


@given(st.lists(SMALL | LARGE, max_size=12))
def test_what_passes_through_the_registry_is_small(sizes: list[int]) -> None:
    for part in plan(sizes):
        if not part.inside:
            assert sum(section.size for section in part.sections) <= MINIMUM


@pytest.mark.parametrize(
    ("sizes", "inside"),
    [
        ([MINIMUM, MINIMUM, 1], [True, True, True]),
        ([3 * MINIMUM], [True]),
        ([1], [True]),
        ([1, 3 * MINIMUM], [False, True]),
        ([1, 2, 3], [False]),
        ([], []),
    ],
)
def test_whole_pieces_stay_in_the_store(sizes: list[int], inside: list[bool]) -> None:
    assert [part.inside for part in plan(sizes)] == inside


@pytest.mark.parametrize("size", [LARGEST + 1, LARGEST + MINIMUM, 3 * LARGEST, 3 * LARGEST + 17])
def test_what_a_store_does_not_copy_at_once_is_copied_in_parts(size: int) -> None:
    parts = plan([size])
    assert [section.start for part in parts for section in part.sections] == [
        number * COPIED for number in range(len(parts))
    ]
    assert sum(section.size for part in parts for section in part.sections) == size
    assert all(part.inside for part in parts[:-1])
    assert max(section.size for part in parts for section in part.sections) <= LARGEST
