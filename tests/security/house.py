"""What the source of the product says of itself: its imports, its calls, its patterns."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import image_registry

SOURCE = Path(image_registry.__file__).parent


@cache
def trees() -> dict[str, ast.Module]:
    """Every module of the product, by its path inside the package."""
    return {
        str(file.relative_to(SOURCE)): ast.parse(file.read_text(encoding="utf-8"))
        for file in sorted(SOURCE.rglob("*.py"))
    }


def imports() -> Iterator[tuple[str, str]]:
    """(module file, what it imports), in dotted names."""
    for file, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield file, alias.name
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield file, node.module
                for alias in node.names:
                    yield file, f"{node.module}.{alias.name}"


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    """(module file, dotted name of what is called, the call)."""
    for file, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                yield file, ast.unparse(node.func), node


@dataclass(frozen=True, slots=True)
class Pattern:
    """A use of ``re``; ``compiled`` if its text is written out."""

    file: str
    line: int
    method: str
    is_constant: bool
    compiled: re.Pattern[str] | None


def patterns() -> Iterator[Pattern]:
    """Every call of the module ``re``."""
    for file, name, call in calls():
        module, _, method = name.rpartition(".")
        if module != "re" or method not in {"compile", "match", "fullmatch", "search", "sub", "findall", "split"}:
            continue
        text = call.args[0]
        constant = isinstance(text, ast.Constant) and isinstance(text.value, str)
        compiled = re.compile(text.value) if constant else None  # type: ignore[attr-defined]
        yield Pattern(file, call.lineno, method, constant, compiled)
