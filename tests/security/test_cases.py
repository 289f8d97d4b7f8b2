"""The table is whole, and the page says what the tests do."""

from __future__ import annotations

from tests.security import cases


def test_every_row_has_a_test() -> None:
    assert {case.row for case in cases.cases()} == set(cases.ROWS)


def test_the_page_is_the_table() -> None:
    assert cases.PAGE.read_text(encoding="utf-8") == cases.page(), "run `make docs`"
