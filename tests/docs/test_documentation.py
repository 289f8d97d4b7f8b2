"""Documentation is tested: what it names exists, and what exists is named."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from unittest.mock import MagicMock

import click
import pytest

from image_registry.cli.ac import cli as ac
from image_registry.distribution_api.app import create_app
from image_registry.distribution_api.parts import Parts
from image_registry.oci.errors import RegistryError
from image_registry.server import command, proxy_settings, settings, storage_settings

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
LINK = re.compile(r"\[[^\]\[]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def tracked(*patterns: str) -> list[Path]:
    """Files of the repository, new ones included."""
    arguments = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    return sorted({ROOT / name for name in listed if name and (ROOT / name).is_file()})


PAGES = tracked("*.md")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.replace("`", "")).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken = []
    for target in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        path, _, anchor = target.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and there.suffix == ".md" and anchor not in anchors(there)):
            broken.append(target)
    assert not broken


def test_no_file_has_the_marks_of_a_merge() -> None:
    marks = re.compile(rb"^(<{7}|>{7}) ", re.MULTILINE)
    assert not [named(path) for path in tracked() if marks.search(path.read_bytes())]


def test_the_distribution_api_is_described_route_by_route_and_code_by_code() -> None:
    parts = Parts(store=MagicMock(), streams=MagicMock(), authorizer=MagicMock())
    page = (ROOT / "docs/reference/distribution-api.md").read_text(encoding="utf-8")
    described = set(re.findall(r"`((?:GET|PUT|POST|PATCH|DELETE) /[^`]*)`", page))
    served = {
        f"{method} {rule}"
        for rule in create_app(parts).url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert described == served

    def kinds(base: type[RegistryError]) -> set[type[RegistryError]]:
        return {base}.union(*(kinds(kind) for kind in base.__subclasses__()))

    missing = {
        f"{int(kind.status)} {kind.code}"
        for kind in kinds(RegistryError)
        if not re.search(rf"\b{int(kind.status)}\b[^|;]*`{kind.code}`|\| {int(kind.status)} \| `{kind.code}`", page)
    }
    assert not missing


def make_targets() -> set[str]:
    return {name for line in re.findall(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE) for name in line.split()}


def test_every_target_of_make_has_a_line_in_its_help() -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = set(re.findall(r"^  ([a-z0-9-]+) +\S", shown, re.MULTILINE))
    assert listed == make_targets()


def test_every_make_command_in_the_documentation_is_a_target() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    spoken = set(re.findall(r"`make ([a-z][a-z-]+)", text)) | set(
        re.findall(r"^make ([a-z][a-z-]+)", text, re.MULTILINE)
    )
    assert {"serve", "test"} <= spoken
    assert spoken <= make_targets()


def test_every_group_of_gates_that_make_calls_is_known() -> None:
    called = set(re.findall(r"\$\(RUN\) (\w+)", MAKEFILE))
    for group in called:
        done = subprocess.run(
            [sys.executable, "-m", "tests.run", group, "--list"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout


def test_every_setting_is_documented_with_its_default() -> None:
    page = (ROOT / "docs/reference/settings.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(REGISTRY_\w+)` \| (\S+) \|", page, re.MULTILINE))
    own = {settings.PREFIX + field.name.upper(): field for field in fields(settings.Settings)}
    del own[f"{settings.PREFIX}STORAGE"]  # has variables of its own
    del own[f"{settings.PREFIX}PROXY"]  # likewise
    assert {name for name in proxy_settings.VARIABLES if f"`{name}`" in page} == set(proxy_settings.VARIABLES)
    storage = storage_settings.variables()
    source = Path(settings.__file__).read_text(encoding="utf-8")
    parts = {settings.PREFIX + name for name in re.findall(r"\{PREFIX\}(DATABASE_[A-Z_]+)", source)}
    assert set(rows) == set(own) | set(storage) | parts
    assert {name: rows[name].strip("`-") for name in storage} == storage
    assert {name for name in storage_settings.secrets() if f"`{name}`" in page} == set(storage_settings.secrets())
    for name, field in own.items():
        default = "" if field.default in (None, ()) else str(field.default)
        shown = {"": "-", "False": "false", "True": "true"}.get(default, default)
        assert rows[name].strip("`") == shown, name


@pytest.mark.parametrize(("program", "group"), [("image-registry", command.cli), ("ac", ac)])
def test_every_command_is_documented(program: str, group: click.Group) -> None:
    page = (ROOT / "docs/reference/commands.md").read_text(encoding="utf-8")
    section = page.partition(f"\n## {program}\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `([\w-]+)` \|", section, re.MULTILINE)) == set(group.commands)


def test_paths_and_playbooks_that_the_readme_types_exist() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = "\n".join(FENCE.findall(readme))
    paths = set(re.findall(r"\b(?:playbooks|charts|inventories|app)/[\w./-]+", commands)) - {"inventories/mine"}
    missing = sorted(path for path in paths if not (ROOT / path).exists())
    assert not missing


def test_continuous_integration_runs_the_command_of_the_readme() -> None:
    assert re.search(r"^make test$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert re.search(r"^make test$", (ROOT / ".ci/run").read_text(encoding="utf-8"), re.MULTILINE)


def test_decisions_have_a_number_of_their_own_and_all_sections() -> None:
    records = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))
    assert len({record.name[:4] for record in records}) == len(records)
    for record in records:
        text = record.read_text(encoding="utf-8")
        assert text.startswith(f"# {int(record.name[:4])}. "), record.name
        for section in ("Status: ", "## Context", "## Decision", "## Consequences"):
            assert section in text, f"{record.name}: {section}"


def test_lock_files_pin_by_hash_and_name_no_index() -> None:
    for name in ("requirements/dev.lock", "app/requirements.lock"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "--hash=sha256:" in text
        assert not re.search(r"://|--(?:extra-)?index-url|--find-links|--trusted-host", text), name
        entries = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
        assert all(re.match(r"[\w.-]+==\S+ .*\\$", line) for line in entries), name


def test_the_image_gets_the_same_versions_as_the_tests() -> None:
    def pins(name: str) -> set[tuple[str, str]]:
        return set(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE))

    assert pins("app/requirements.lock") <= pins("requirements/dev.lock")


def test_fragments_use_the_sections_of_the_changelog() -> None:
    program = Path(sys.executable).with_name("antsibull-changelog")
    done = subprocess.run([program, "lint"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
