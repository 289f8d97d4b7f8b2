"""Small collections that say the same as large ones."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_registry.pruning.compact import Digests, Ledger, Texts

hexes = st.binary(min_size=32, max_size=32).map(bytes.hex) | st.integers(0, 40).map(
    lambda number: f"{7:016x}{number:048x}"
)


@given(known=st.sets(hexes, max_size=30), others=st.sets(hexes, max_size=5), long=st.sets(hexes, max_size=3))
def test_digests_are_found_by_their_numbers_and_the_other_way_round(
    known: set[str], others: set[str], long: set[str]
) -> None:
    digests = Digests()
    texts = [f"sha256:{text}" for text in sorted(known)] + [f"sha512:{text * 2}" for text in sorted(long)]
    assert [digests.append(text) for text in texts] == list(range(len(texts)))
    assert [digests[digests.find(text)] for text in texts] == texts
    strangers = [f"sha256:{text}" for text in others - known]
    assert [digests.find(text) for text in strangers] == [-1] * len(strangers)
    for text in strangers:
        assert digests.find_or_add(text) == digests.find_or_add(text) == digests.find(text)
        assert digests[digests.find(text)] == text
    assert len(digests) == len(texts) + len(strangers)


def test_what_comes_out_of_order_is_refused() -> None:
    digests = Digests()
    digests.append(f"sha256:{'b' * 64}")
    for text in (f"sha256:{'a' * 64}", f"sha256:{'b' * 64}", "sha256:ab"):
        with pytest.raises(ValueError, match="order"):
            digests.append(text)


@given(st.lists(st.text(max_size=5)))
def test_texts_are_kept_as_they_were(texts: Sequence[str]) -> None:
    kept = Texts()
    assert [kept.append(text) for text in texts] == list(range(len(texts)))
    assert [kept[index] for index in range(len(kept))] == list(texts)


@given(
    images=st.lists(st.dictionaries(st.integers(0, 9), st.just(0), max_size=5), max_size=8),
    goes=st.lists(st.booleans(), min_size=8, max_size=8),
)
def test_bytes_are_free_when_nobody_else_has_them(images: Sequence[dict[int, int]], goes: list[bool]) -> None:
    sizes = {number: 10**number for number in range(10)}  # the last ones are beyond 4 GiB
    sizes[9] = 5 << 30
    ledger = Ledger()
    for image, blobs in enumerate(images):
        for blob in blobs:
            ledger.add(image, f"sha256:{str(blob) * 64}", sizes[blob])
    everything = {blob for blobs in images for blob in blobs}
    needed = {blob for image, blobs in enumerate(images) for blob in blobs if not goes[image]}
    free = everything - needed
    expected = (len(free), sum(sizes[blob] for blob in free), sum(sizes[blob] for blob in everything))
    assert ledger.freed(bytearray(goes)) == expected
