"""The security table: bugs of other registries that became advisories, and the test here that would catch each.

``python -m tests.security.cases`` writes ``docs/reference/security-cases.md`` from the docstrings of the tests.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
PAGE = FOLDER.parents[1] / "docs/reference/security-cases.md"
ROWS = range(1, 61)

_LINE = re.compile(r"Rows? (?P<rows>\d+(?:(?:, | and )\d+)*) \((?P<where>[^)]+)\): (?P<what>.+)", re.DOTALL)

HEAD = """# Security cases

Bugs of other registries that became advisories, and risks of this one, each with the tests here that would catch it
(`tests/security`). The table is generated (`make docs`) from the docstrings of the tests and kept equal by a test. Rows
about what does not exist here (a web console, webhooks) test the promise that is nearest: there is no such door.
Registries and hosts that an import names are asked by one client, and no other request makes the registry open a
connection.

Beside these, a generated matrix (`tests/security/test_matrix.py`) calls every route of both applications as every kind
of caller, in their own and in a foreign namespace; a new route without a row in it fails. `make fuzz` throws malformed
requests and raw bytes at a served registry: no answer may be a 5xx, be late, or be a refusal without a reason, memory
may not grow, and everything that is tagged must be there afterwards. A run of ten minutes (306,870 requests and 77,430
times raw bytes by four clients, no failure) took 79 MiB at first and 170 at the end, all processes together and without
what they share: 17 of them in the second half, 5 in the last quarter. Most of it is what is remembered of answers,
tokens and uploads, and kept buffers, each up to a bound; a run that grows by more than 24 MiB in its second half fails.

| # | Where it was seen | What could go wrong | Test |
| --- | --- | --- | --- |
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One row of one test."""

    row: int
    where: str
    what: str
    test: str


def tests() -> Iterator[tuple[str, str]]:
    """Name and docstring of every test of this folder; ``""`` for one without."""
    for file in sorted(FOLDER.glob("test_*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield f"{file.name}::{node.name}", ast.get_docstring(node) or ""


def cases() -> list[Case]:
    """Every case, by row. Raises :class:`ValueError` for a test that names none."""
    found = []
    for name, text in tests():
        if name.startswith(("test_cases.py", "test_matrix.py", "test_fuzz.py")):
            continue
        match = _LINE.match(text)
        if match is None:
            raise ValueError(f"{name}: begin its docstring with 'Row N (where it was seen): what could go wrong'")
        what = " ".join(match["what"].split("\n\n")[0].split())
        found += [Case(int(row), match["where"], what, name) for row in re.findall(r"\d+", match["rows"])]
    return sorted(found, key=lambda case: case.row)


def page() -> str:
    """The whole page."""
    rows: dict[int, list[Case]] = defaultdict(list)
    for case in cases():
        rows[case.row].append(case)
    lines = []
    for row, together in sorted(rows.items()):
        where = "; ".join(dict.fromkeys(case.where for case in together))
        what = "<br>".join(dict.fromkeys(case.what for case in together))
        names = "<br>".join(f"`{case.test}`" for case in together)
        lines.append(f"| {row} | {where} | {what} | {names} |\n")
    return HEAD + "".join(lines)


if __name__ == "__main__":
    sys.exit(not PAGE.write_text(page(), encoding="utf-8"))
