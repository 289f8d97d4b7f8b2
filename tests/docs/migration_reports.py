"""Writes the members of documents into ``docs/reference/migration-reports.md``, from the documents' own classes.

usage: python -m tests.docs.migration_reports
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
import types
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from image_registry.migration.facts import Inventory
from image_registry.migration.findings import Finding
from image_registry.migration.item_results import ItemResult
from image_registry.migration.plan import Plan
from image_registry.migration.progress import Progress

PAGE = Path(__file__).resolve().parents[2] / "docs/reference/migration-reports.md"
DOCUMENTS = {
    "inventory.json": Inventory,
    "plan.json": Plan,
    "progress.json": Progress,
    "findings.json": Finding,
    "*.results.jsonl": ItemResult,
}

BEGIN = "<!-- members: begin -->\n"
"""What stands above it is written by hand."""


def classes(kind: type, seen: dict[type, None]) -> dict[type, None]:
    """It and every class of its fields, each once, in their order."""
    if kind not in seen:
        seen[kind] = None
        for hint in get_type_hints(kind).values():
            for inner in _inside(hint):
                classes(inner, seen)
    return seen


def section(kind: type) -> str:
    """One class: what it is about, and its fields."""
    about = inspect.getdoc(kind) or ""
    generated = about.startswith(f"{kind.__name__}(")  # what a dataclass says of itself, if nobody does
    lines = [f"\n## {kind.__name__}\n", *([] if generated else [_plain(about) + "\n"])]
    lines += ["| Member | Type | Meaning |", "| --- | --- | --- |"]
    hints, said = get_type_hints(kind), _said(kind)
    for field in fields(kind):
        name = _type(hints[field.name])
        lines.append(f"| `{field.name}` | {name} | {_plain(said.get(field.name, ''))} |".replace("|  |", "| |"))
    return "\n".join(lines) + "\n"


def page() -> str:
    """The whole page."""
    seen: dict[type, None] = {}
    for kind in DOCUMENTS.values():
        classes(kind, seen)
    head = PAGE.read_text(encoding="utf-8").partition(BEGIN)[0]
    return head + BEGIN + "".join(section(kind) for kind in seen)


def _inside(hint: Any) -> Iterator[type]:
    if isinstance(hint, type) and is_dataclass(hint):
        yield hint
    for inner in get_args(hint):
        yield from _inside(inner)


def _type(hint: Any) -> str:
    origin, inside = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _type(next(inner for inner in inside if inner is not type(None)))
    if origin is tuple:
        return f"list of {_type(inside[0])}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"object of {_type(inside[1])}" if inside[1] is not Any else "object"
    if isinstance(hint, type) and is_dataclass(hint):
        return f"[{hint.__name__}](#{hint.__name__.lower()})"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return " or ".join(f"`{member.value}`" for member in hint)
    names = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    return names.get(hint, "any")


def _said(kind: type) -> dict[str, str]:
    """The texts under its fields."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    found, last = {}, ""
    for node in body.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            last = node.target.id
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and last:
            found[last] = str(node.value.value)
    return found


def _plain(text: str) -> str:
    text = re.sub(r":(?:class|func|mod|meth):`[~.]*(?:[\w.]*\.)?(\w+)`", r"`\1`", " ".join(text.split()))
    return text.replace("``", "`").replace("|", "\\|").replace("<", "&lt;") if "`" not in text else _code(text)


def _code(text: str) -> str:
    parts = text.replace("``", "`").replace("|", "\\|").split("`")
    return "`".join(part if number % 2 else part.replace("<", "&lt;") for number, part in enumerate(parts))


if __name__ == "__main__":
    sys.exit(not PAGE.write_text(page(), encoding="utf-8"))
