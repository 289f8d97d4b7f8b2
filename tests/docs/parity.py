"""The list of what OpenShift's integrated registry does, and the tests here that hold each point.

A test says so itself: ``@pytest.mark.parity(3)``, or ``pytestmark`` for all tests of a file. The files are read and not
imported, so the list is the same on a machine that could not run them. ``make docs`` writes the page.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
PAGE = TESTS.parent / "docs/reference/parity.md"

POINTS = {
    1: "The APIService is Available within a minute, and no rolling restart takes it away.",
    2: "Names in headers are believed only with the front proxy's certificate; a new CA needs no restart.",
    3: "Aggregated and legacy discovery agree; `kubectl api-resources` shows the short names.",
    4: "`kubectl explain imagestream.spec.tags` works.",
    5: "A namespace with 10,000 tags is deleted without help, also while a push runs.",
    6: "The garbage collector deletes streams whose owner is gone, and logs no error about this group.",
    7: "An informer with bookmarks goes on for as long as it likes, and copes with 410.",
    8: "A quota on `count/imagestreams.image.alauda.io` refuses; it does not only count.",
    9: "A push makes Image and event, and a stream only if the caller may.",
    10: "Manifests pushed by digest, then their index by tag: the tag means the index, and each can be pulled.",
    11: "A tag's history follows the table of events; an event ends the tag's conditions.",
    12: "Imports: a failure is a condition with reason and generation; schedule, whole indexes, allowed registries.",
    13: "A tag from another namespace needs `get imagestreams/layers` there.",
    14: "`docker login` with a token; anonymous pulls by a binding; a mount without the right is an ordinary upload.",
    15: "Pull-through with the namespace's Secrets, kept while it is served, and on when the source is away.",
    16: "The operator: Managed, Unmanaged, Removed; both rules for volumes of one node; no data deleted but its own.",
    17: "The default ServiceAccount of a new namespace pulls from it with nothing to set up.",
    18: "Pull Secrets rotate, survive a lost annotation, go with their ServiceAccount; one for each.",
    19: "Pruning keeps everything that is protected, and a dry run says what a run does.",
    20: "A blob goes only when no Image needs it; a push that runs keeps its own.",
    21: "Metrics and alerts exist under the names of this registry.",
}

NOT_YET: dict[int, str] = {}
"""Points without any test, and why. Delete the line when the first test says ``parity`` of it."""

HEAD = """# Parity with OpenShift's integrated registry

What users and controllers of OpenShift's image API rely on, in 21 points, each with the tests here that hold it. Tests
in `tests/cluster` run in a real Kubernetes ([the lab](../how-to/lab.md)). The table is generated (`make docs`) from the
marks of the tests, `@pytest.mark.parity(3)`; a point that loses its last test fails a test.

| # | Behaviour | Tests |
| --- | --- | --- |
"""


@dataclass(frozen=True, slots=True, order=True)
class Held:
    """One test that holds a point."""

    point: int
    test: str


def held(folder: Path = TESTS) -> list[Held]:
    """Every mark of every test below a folder. Raises :class:`ValueError` for a mark that is no list of numbers."""
    return sorted(
        {
            Held(point, f"{file.relative_to(folder)}::{name}")
            for file in folder.rglob("test_*.py")
            for name, points in _marked(file)
            for point in points
        }
    )


def _marked(file: Path) -> Iterator[tuple[str, set[int]]]:
    text = file.read_text(encoding="utf-8")
    if ".parity(" not in text:
        return
    body = ast.parse(text).body
    of_file = {
        point
        for node in body
        if isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets)
        for call in ast.walk(node.value)
        for point in _points(call, file)
    }
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            own = {point for call in node.decorator_list for point in _points(call, file)}
            if own or of_file:
                yield node.name, own | of_file


def _points(node: ast.AST, file: Path) -> Iterator[int]:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "parity"):
        return
    values = [argument.value if isinstance(argument, ast.Constant) else None for argument in node.args]
    if not values or node.keywords or any(not isinstance(value, int) or value not in POINTS for value in values):
        raise ValueError(f"{file}:{node.lineno}: parity() takes numbers from 1 to {max(POINTS)}, written out")
    yield from (value for value in values if isinstance(value, int))


def page(found: list[Held]) -> str:
    """The whole page."""
    lines = []
    for point, behaviour in POINTS.items():
        names = "<br>".join(f"`{entry.test}`" for entry in found if entry.point == point)
        lines.append(f"| {point} | {behaviour} | {names or 'none yet: ' + NOT_YET.get(point, '')} |\n")
    return HEAD + "".join(lines)


if __name__ == "__main__":
    sys.exit(not PAGE.write_text(page(held()), encoding="utf-8"))
