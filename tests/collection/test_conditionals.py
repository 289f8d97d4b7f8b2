"""Conditions of the roles are true or false, of what there is.

ansible-core fails a task whose condition is a text, even an empty one, or names what nobody has set.
"""

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
    [output] = _parsed(condition).find_all(nodes.Output)
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


def given(document: Any) -> Iterator[str]:
    """Names that a file of a role sets: every key, and what tasks register."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield str(key)
            if key == "register":
                yield str(value)
            yield from given(value)
    elif isinstance(document, list):
        for entry in document:
            yield from given(entry)


@pytest.mark.parametrize("role", ROLES, ids=[role.name for role in ROLES])
def test_no_condition_names_what_nobody_sets(role: Path) -> None:
    """Another role may set it, as the one that asks for a cluster does for all."""
    known = {name for file in ROLES[0].parent.glob("*/*/**/*.yml") for name in given(yaml.safe_load(file.read_text()))}
    found = [
        f"{file.name}: {name}"
        for file in sorted((role / "tasks").glob("**/*.yml"))
        for condition in conditions(yaml.safe_load(file.read_text()))
        for name in {node.name for node in _parsed(condition).find_all(nodes.Name)}
        if name.lstrip("_").startswith("registry_") and name not in known
    ]
    assert found == []


def _parsed(condition: str) -> nodes.Template:
    return Environment(autoescape=True).parse(f"{{{{ {condition} }}}}")
