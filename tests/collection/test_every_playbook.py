"""Every playbook is played by a test: checked, run, and run again, or it is said who plays it otherwise."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from types import ModuleType

from tests.collection import test_playbook_of_backup, test_playbooks_without_nodes
from tests.collection.conftest import ROOT

PLAYBOOKS = {path.stem for path in (ROOT / "playbooks").glob("*.yml")}
THRICE = (test_playbooks_without_nodes, test_playbook_of_backup)
OTHERWISE = {
    "demo": ("lab/demo", "by make test, before the tests of a cluster"),
    "demo-down": ("lab/demo", "by make test, after them"),
    "migrate": ("tests/migration/moving.py", "by test_checked_first.py, for minutes"),
    "rollback": ("tests/migration/moving.py", "by test_checked_first.py; shown before, too"),
}
"""Where the playbooks are played that no test hands to ``thrice``, and how."""


def played_thrice(module: ModuleType) -> set[str]:
    """Names of the playbooks that the tests of a module hand to ``thrice``, by constants of the module."""
    found: set[str] = set()
    for call in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "thrice":
            names = {part.id for argument in call.args for part in ast.walk(argument) if isinstance(part, ast.Name)}
            for said in (getattr(module, name, ()) for name in names):
                found |= {said} if isinstance(said, str) else set(said) if isinstance(said, tuple) else set()
    return {Path(text).stem for text in found}


def test_every_playbook_is_played_thrice_or_it_is_said_who_plays_it() -> None:
    thrice = set().union(*(played_thrice(module) for module in THRICE))
    assert thrice >= {"install", "upgrade", "uninstall", "storage", "routes", "prune", "backup", "restore"}
    assert thrice | OTHERWISE.keys() == PLAYBOOKS
    assert not thrice & OTHERWISE.keys()
    for playbook, (place, _how) in OTHERWISE.items():
        assert f"{playbook}.yml" in (ROOT / place).read_text(encoding="utf-8"), playbook
