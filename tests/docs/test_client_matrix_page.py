"""The page shows the matrix that is tested: no cell more, no cell less."""

from __future__ import annotations

from pathlib import Path

from tests.clients.matrix import MATRIX, checks
from tests.clients.print_matrix import GREEN, as_markdown, rows

PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/clients.md").read_text(encoding="utf-8")


def test_every_check_is_a_cell_of_the_page() -> None:
    assert as_markdown(rows(dict.fromkeys(checks(), GREEN))) in PAGE


def test_every_cell_without_a_check_has_its_reason() -> None:
    for client, cells in MATRIX.items():
        for operation, cell in cells.items():
            if isinstance(cell, str):
                assert f"| {client} | {operation} | {cell} |" in PAGE
