"""What the engine advises is called as the modules and the role call it."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from ansible_collections.alauda.registry.plugins.doc_fragments._cluster import ModuleDocFragment
from ansible_collections.alauda.registry.plugins.module_utils import _pruning, _spelling
from ansible_collections.alauda.registry.plugins.modules import (
    image_mirror,
    legacy_migration,
    legacy_migration_plan,
    legacy_registry_info,
    legacy_registry_survey,
    registry_gc,
    registry_storage_copy,
)

from image_registry.migration.spelling import Said
from image_registry.pruning.reasons import COMMAND_LINE, Reason, sentence
from tests.collection.conftest import ROOT
from tests.collection.test_documents import COLLECTION

if TYPE_CHECKING:
    from types import ModuleType

ROLE = COLLECTION / "roles/migrate"
SOURCES = ROOT / "app/src/image_registry"


def options() -> set[str]:
    """Of the modules that are doors to the engine."""
    found: set[str] = set()
    for module in (legacy_migration, legacy_migration_plan, legacy_registry_info, legacy_registry_survey):
        found |= set(yaml.safe_load(module.DOCUMENTATION)["options"])
    return found | set(yaml.safe_load(ModuleDocFragment.HELM)["options"])


def variables() -> set[str]:
    specs: dict[str, Any] = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]
    return {name for entry in specs.values() for name in entry["options"]}


@pytest.mark.parametrize("what", list(Said), ids=lambda what: what.name)
def test_every_piece_of_advice_has_words_for_playbooks(what: Said) -> None:
    for value in ("", "'pod:team/app-1'" if what is Said.ACCEPT else "old=new"):
        words = _spelling.for_playbooks(what, value)
        assert "--" not in words
        assert "ac " not in words
    if what.value in {*_spelling.TASKS, _spelling.LEAVE_ROLES}:
        return
    option = _spelling.OPTIONS[what.value]
    assert option in options(), f"no module of the migration has the option {option}"
    variable = _spelling.VARIABLES.get(what.value, f"registry_migrate_{option}")
    assert not variable or variable in variables(), f"the role has no variable {variable}"


def test_nothing_has_words_that_the_engine_does_not_ask_for() -> None:
    assert {*_spelling.OPTIONS, *_spelling.TASKS, _spelling.LEAVE_ROLES} == {what.value for what in Said}


def test_values_stand_as_yaml_has_them() -> None:
    words = _spelling.for_playbooks
    assert words("accept", "'changed:Deployment a/b'") == (
        "registry_migrate_accept_exceptions: ['changed:Deployment a/b'] of the role, accept of the module"
    )
    assert words("way", "copy") == "registry_migrate_way: copy of the role, way of the module"
    assert words("rename", "a/b/c=a/c") == "registry_migrate_renames: {a/b/c: a/c} of the role, renames of the module"
    assert "registry_operator_values: {operand: {clusterRoles: {leave: [a, b]}}} in" in words("leave-roles", "a,b")
    assert words("until") == "until of the module"


@pytest.mark.parametrize("reason", list(Reason), ids=lambda reason: reason.name)
def test_why_an_image_stays_is_told_in_options_of_the_module(reason: Reason) -> None:
    assert "--" not in sentence(reason, "somebody", _pruning.WORDS)
    assert set(_pruning.WORDS) == set(COMMAND_LINE)


def passed_on(*sources: str) -> list[str]:
    """Words of a program's messages about its own options, which a module passes on."""
    texts = [
        node.value
        for source in sources
        for node in ast.walk(ast.parse((SOURCES / source).read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return [text for text in texts if re.search(r"[ (]--", re.sub(r"`[^`]*`", "", text))]


@pytest.mark.parametrize(
    ("module", "sources", "said"),
    [
        (
            image_mirror,
            ("mirroring/applying.py", "mirroring/looking.py"),
            ("(continue_on_error=true goes", "(filter_by_os)"),
        ),
        (
            registry_storage_copy,
            ("relocating/note.py", "relocating/copying.py"),
            ("or say replace=true (registry_storage_copy_replace of the role storage) if",),
        ),
        (registry_gc, ("garbage/collection.py",), ("allow it with at_most 100",)),
    ],
    ids=("image_mirror", "registry_storage_copy", "registry_gc"),
)
def test_what_a_program_says_of_its_options_is_said_of_those_of_the_module(
    module: ModuleType, sources: tuple[str, ...], said: tuple[str, ...]
) -> None:
    known = yaml.safe_load(module.DOCUMENTATION)["options"]
    texts = [_spelling.as_options(text, known) for text in passed_on(*sources)]
    assert texts, "nothing is said of options: look where it is said now"
    assert not [text for text in texts if "--" in text]
    for words in said:
        assert any(words in text for text in texts), texts


def test_options_that_a_module_has_not_are_left_alone() -> None:
    known = {"ca_path": {"type": "path"}}
    told = "name its CA by --certificate-authority; kubectl scale --replicas=0; `x --certificate-authority`"
    said = "name its CA by ca_path; kubectl scale --replicas=0; `x --certificate-authority`"
    assert _spelling.as_options(told, known) == said
