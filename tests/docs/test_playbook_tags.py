"""The page about the collection lists every playbook, with exactly the tags that it has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/reference/collection.md"
COLLECTION = ROOT / "collections/ansible_collections/alauda/registry"
ROLES = COLLECTION / "roles"
DEMO = {"demo.yml", "demo-down.yml"}
"""For the lab; `make demo` runs them."""


@dataclass
class Tags:
    """``named`` are those of tasks that run only if they are named."""

    usual: set[str] = field(default_factory=set)
    named: set[str] = field(default_factory=set)

    def add(self, given: Any) -> None:
        tags = {given} if isinstance(given, str) else set(given or ())
        (self.named if "never" in tags else self.usual).update(tags - {"never", "always"})


def tags_of(playbook: Path) -> Tags:
    """Of its plays, and of every task that it can come to by a role or a file."""
    found = Tags()
    for play in yaml.safe_load(playbook.read_text(encoding="utf-8")):
        found.add(play.get("tags"))
        if imported := play.get("ansible.builtin.import_playbook"):
            whole = tags_of(COLLECTION / f"playbooks/{imported.removeprefix('alauda.registry.')}.yml")
            found.add(whole.usual)
            found.named |= whole.named
        for entry in play.get("roles", ()):
            named = entry if isinstance(entry, dict) else {"role": entry}
            found.add(named.get("tags"))
            _of_file(_role(named["role"]) / "main.yml", found, set())
        for section in ("pre_tasks", "tasks", "post_tasks", "handlers"):
            _of_tasks(play.get(section, ()), playbook.parent, found, set())
    found.named -= found.usual
    return found


def _role(name: str) -> Path:
    return ROLES / name.rpartition(".")[2] / "tasks"


def _of_file(path: Path, found: Tags, seen: set[Path]) -> None:
    if path not in seen:
        seen.add(path)
        _of_tasks(yaml.safe_load(path.read_text(encoding="utf-8")) or (), path.parent, found, seen)


def _of_tasks(tasks: Any, folder: Path, found: Tags, seen: set[Path]) -> None:
    for task in tasks:
        found.add(task.get("tags"))
        for part in ("block", "rescue", "always"):
            _of_tasks(task.get(part, ()), folder, found, seen)
        for key, value in task.items():
            action = key.rpartition(".")[2]
            if action in ("include_tasks", "import_tasks"):
                given = value if isinstance(value, dict) else {"file": value}
                found.add(_applied(given, task))
                for path in _files(folder, given["file"]):
                    _of_file(path, found, seen)
            elif action in ("include_role", "import_role"):
                found.add(_applied(value, task))
                for path in _files(_role(value["name"]), value.get("tasks_from", "main.yml")):
                    _of_file(path, found, seen)


def _applied(include: Any, task: Any) -> list[str]:
    """What an include gives its tasks, which run only if the include does."""
    tags = include.get("apply", {}).get("tags") or []
    return [*([tags] if isinstance(tags, str) else tags), *(["never"] if "never" in (task.get("tags") or ()) else [])]


def _files(folder: Path, name: str) -> Iterator[Path]:
    """A file, or all that a name with a variable in it can be."""
    pattern = re.sub(r"\{\{.*?\}\}", "*", name)
    paths = sorted(folder.glob(pattern if pattern.endswith(".yml") else f"{pattern}.yml"))
    assert paths, f"{folder} has no {name}"
    yield from paths


def rows(header: str) -> dict[str, list[str]]:
    """Cells of a table of the page by the playbook in the first one."""
    text = PAGE.read_text(encoding="utf-8")
    table = text[text.index(header) :].partition("\n\n")[0]
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {row[0].strip("`"): row[1:] for row in found}


def test_every_playbook_is_listed_with_exactly_the_tags_that_it_has() -> None:
    playbooks = {f"playbooks/{path.name}": path for path in (ROOT / "playbooks").glob("*.yml") if path.name not in DEMO}
    assert set(rows("| Playbook | What it does |")) == set(playbooks)
    listed = {
        name: Tags(*(set(re.findall(r"`([^`]+)`", cell)) for cell in cells))
        for name, cells in rows("| Playbook | Tags | Only if named |").items()
    }
    real = {name: tags for name, path in playbooks.items() if (tags := tags_of(path)) != Tags()}
    assert listed == real


def test_a_tag_is_found_wherever_it_stands(tmp_path: Path) -> None:
    (tmp_path / "more.yml").write_text("- {debug: {}, tags: deep}\n", encoding="utf-8")
    task = {
        "block": [{"include_tasks": {"file": "more.yml", "apply": {"tags": ["applied"]}}, "tags": ["never", "rare"]}]
    }
    playbook = tmp_path / "play.yml"
    playbook.write_text(yaml.safe_dump([{"tags": "all-of-it", "tasks": [task]}]), encoding="utf-8")
    assert tags_of(playbook) == Tags({"all-of-it", "deep"}, {"applied", "rare"})
