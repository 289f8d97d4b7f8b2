"""No point of the list of parity loses its test in silence, and the page says what the tests do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs import parity

HELD = parity.held()


@pytest.mark.parametrize("point", sorted(parity.POINTS.keys() - parity.NOT_YET.keys()))
def test_every_point_that_was_reached_has_a_test(point: int) -> None:
    assert [entry.test for entry in HELD if entry.point == point], parity.POINTS[point]


def test_what_has_a_test_is_not_said_to_have_none() -> None:
    found = {entry.point for entry in HELD} & parity.NOT_YET.keys()
    assert not found, f"delete {sorted(found)} from NOT_YET in tests/docs/parity.py"


def test_the_page_is_the_list() -> None:
    assert parity.PAGE.read_text(encoding="utf-8") == parity.page(HELD), "run `make docs`"


def test_marks_of_a_test_and_of_its_file_add_up(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text(
        "pytestmark = [pytest.mark.lab, pytest.mark.parity(1)]\n"
        "@pytest.mark.parity(2, 3)\ndef test_a() -> None: ...\n"
        "def test_b() -> None: ...\ndef no_test() -> None: ...\n"
    )
    assert parity.held(tmp_path) == [
        parity.Held(1, "test_one.py::test_a"),
        parity.Held(1, "test_one.py::test_b"),
        parity.Held(2, "test_one.py::test_a"),
        parity.Held(3, "test_one.py::test_a"),
    ]


@pytest.mark.parametrize("mark", ["parity()", "parity(22)", "parity('1')", "parity(N)", "parity(point=1)"])
def test_a_mark_that_cannot_be_read_is_no_mark(tmp_path: Path, mark: str) -> None:
    (tmp_path / "test_one.py").write_text(f"@pytest.mark.{mark}\ndef test_a() -> None: ...\n")
    with pytest.raises(ValueError, match=r"test_one\.py:1: parity\(\) takes numbers"):
        parity.held(tmp_path)
