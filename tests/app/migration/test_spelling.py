"""Messages of the engine advise in the words of the door that somebody came in by."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import image_registry.migration
from image_registry.migration.documents import InvalidDocument
from image_registry.migration.execution import Refused
from image_registry.migration.opening import chosen_way, load_plan
from image_registry.migration.plan import read_plan
from image_registry.migration.spelling import Said, command_line

ENGINE = [path for path in sorted(Path(image_registry.migration.__path__[0]).glob("*.py")) if path.stem != "spelling"]
OTHERS = re.compile(r"(kubectl|helm|image-registry) [^`)]*|--insecure-registry|--requestheader\S*")
"""Commands of other programs, and what clients are told."""
OURS = re.compile(r"(?:^|[\s(`'\"])(--[a-z][a-z-]+|`?ac (?:adm|tag|image)\b|`discover\b)")


def told(tree: ast.Module) -> list[tuple[int, str]]:
    """Texts that somebody may read; not documentation, not arguments of a program."""
    whole = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    parts = {id(part) for node in whole for part in node.values}
    alone = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)  # documentation
    ]
    parts |= {id(node) for node in alone}
    found = [
        (node.lineno, "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values))
        for node in whole
    ]
    found += [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts
    ]
    return [(line, text) for line, text in found if not text.startswith("--")]


@pytest.mark.parametrize("path", ENGINE, ids=lambda path: path.stem)
def test_no_message_of_the_engine_names_an_option_by_itself(path: Path) -> None:
    for line, text in told(ast.parse(path.read_text(encoding="utf-8"))):
        named = OURS.findall(OTHERS.sub("", text))
        assert not named, f"{path.name}:{line} names {named}: ask the spelling for it, users of Ansible read this, too"


def test_the_search_finds_what_it_is_for() -> None:
    text = "accept it (--accept 'x'), or run `ac adm migrate plan`; see `kubectl get pods --all` (`discover --content`)"
    assert OURS.findall(OTHERS.sub("", text)) == ["--accept", "`ac adm", "`discover", "--content"]
    assert OURS.findall("run `discover --content` again") == ["`discover", "--content"]


def test_the_command_says_it_as_it_is_typed() -> None:
    assert command_line(Said.WAY, "copy") == "--way copy"
    assert command_line(Said.ACCEPT) == "--accept"
    assert command_line(Said.RENAME, "a/b/c=a/c") == "--rename a/b/c=a/c"
    assert command_line(Said.DO_PLAN) == "`ac adm migrate plan --out`"


def another(what: Said, value: str = "") -> str:
    return f"<{what.name} {value}>"


def test_what_is_refused_before_anything_is_opened_is_said_by_the_door(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="<DO_PLAN >"):
        load_plan(tmp_path / "nowhere.json", another)
    with pytest.raises(InvalidDocument, match="<DO_PLAN >"):
        read_plan({}, another)
    with pytest.raises(Refused, match="<CHART >"):
        chosen_way("helm", "", "", begun="", spelling=another)
    with pytest.raises(Refused, match="<METHOD >"):
        chosen_way("helm", "chart", "an operator", begun="", spelling=another)
