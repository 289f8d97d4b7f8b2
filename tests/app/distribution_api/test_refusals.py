"""Every refusal that the data plane can give: its code, and a message that says what to change.

The list is complete: a refusal that is written down in the code and that no request below provokes fails the test.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from image_registry import distribution_api
from image_registry.oci.errors import RegistryError

from .conftest import Registry, code
from .refusal_stage import Refusals, Stage
from .refusals_of_callers import ACCESS
from .refusals_of_content import CONTENT
from .refusals_of_failures import FAILURES

FOLDER = Path(next(iter(distribution_api.__path__)))

Site = tuple[str, int]

REFUSALS: Refusals = {**ACCESS, **CONTENT, **FAILURES}


@pytest.fixture
def stage(build: Callable[..., Registry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    users = tmp_path / "users"
    users.write_text(f"ann:{bcrypt.hashpw(b'word', bcrypt.gensalt(4)).decode()}\n", encoding="utf-8")
    return Stage(build, monkeypatch, users)


PROVOKED: set[Site] = set()


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where refusals are made: every line of the data plane from which one is raised."""
    made = RegistryError.__init__

    def record(self: RegistryError, *arguments: Any, **options: Any) -> None:
        frame = sys._getframe(1)
        while frame is not None:
            if Path(frame.f_code.co_filename).parent == FOLDER:
                PROVOKED.add((Path(frame.f_code.co_filename).name, frame.f_lineno))
                break
            frame = frame.f_back  # type: ignore[assignment]
        made(self, *arguments, **options)

    monkeypatch.setattr(RegistryError, "__init__", record)


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_has_its_code_and_says_what_to_change(stage: Stage, case: str) -> None:
    provoke, status, expected, words = REFUSALS[case]
    refused = provoke(stage)
    assert (refused.status_code, code(refused)) == (status, expected), refused.text
    assert words in refused.json["errors"][0]["message"]  # type: ignore[index]
    assert refused.content_type == "application/json"
    if status == 401:
        assert refused.headers["WWW-Authenticate"].startswith("Bearer realm=")
    if status in {429, 503, 507}:
        assert int(refused.headers["Retry-After"]) > 0


def written_down() -> dict[Site, str]:
    """Every place in the data plane that makes a refusal, by its first line."""
    kinds = {kind.__name__ for kind in _kinds(RegistryError)} | {"RegistryError"}
    found = {}
    for path in sorted(FOLDER.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                if name in kinds:
                    found[(path.name, node.lineno)] = ast.unparse(node)[:120]
    return found


def _kinds(base: type[RegistryError]) -> Iterator[type[RegistryError]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _kinds(kind)


def test_no_refusal_is_left_out() -> None:
    """Runs after the others of this file."""
    if len(PROVOKED) < 10:
        pytest.fail("run the whole file: this test looks at what the others provoked")
    left_out = {site: text for site, text in written_down().items() if site not in PROVOKED}
    assert not left_out


def test_no_case_hides_one_of_another_table() -> None:
    assert len(REFUSALS) == len(ACCESS) + len(CONTENT) + len(FAILURES)
