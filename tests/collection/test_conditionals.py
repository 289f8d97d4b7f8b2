"""Conditions of the roles are true or false: ansible-core fails a task whose condition is a text, even an empty one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import Environment, nodes

ROLES = sorted(
    (Path(__file__).resolve().parents[2] / "collections/ansible_collections/alauda/registry/roles").iterdir()
)
INNER = ("block", "rescue", "always")


def types(role: Path) -> dict[str, str]:
    """Of the variables of a role."""
    specs = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]
    return {name: option.get("type", "str") for spec in specs.values() for name, option in spec["options"].items()}


def conditions(tasks: Any) -> Iterator[str]:
    for task in tasks or ():
        for word in ("when", "failed_when", "changed_when", "until"):
            found = task.get(word, [])
            yield from (entry for entry in (found if isinstance(found, list) else [found]) if isinstance(entry, str))
        for word in INNER:
            yield from conditions(task.get(word))


def bare(condition: str) -> Iterator[str]:
    """Names that decide by themselves, without a filter, a test or a comparison."""
    [output] = Environment(autoescape=True).parse(f"{{{{ {condition} }}}}").find_all(nodes.Output)
    waiting = list(output.nodes)
    while waiting:
        node = waiting.pop()
        if isinstance(node, nodes.Name):
            yield node.name
        elif isinstance(node, nodes.And | nodes.Or | nodes.Not):
            waiting += list(node.iter_child_nodes())


@pytest.mark.parametrize("role", ROLES, ids=[role.name for role in ROLES])
def test_no_text_decides_whether_a_task_runs(role: Path) -> None:
    known = types(role)
    found = [
        f"{file.name}: {condition}"
        for file in sorted((role / "tasks").glob("**/*.yml"))
        for condition in conditions(yaml.safe_load(file.read_text()))
        for name in bare(condition)
        if known.get(name, "bool") != "bool"
    ]
    assert found == []
