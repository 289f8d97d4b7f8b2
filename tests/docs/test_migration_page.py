"""The page about migration names every finding that there is."""

from __future__ import annotations

import re
from pathlib import Path

import image_registry.migration
from tests.docs import migration_reports

PAGE = (Path(__file__).resolve().parents[2] / "docs/explanation/migration.md").read_text(encoding="utf-8")
ROOM = Path(image_registry.migration.__file__).parent


def test_every_rule_is_on_the_page_and_no_other() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (*ROOM.glob("*_rules.py"), ROOM / "assess.py"))
    rules = set(re.findall(r'(?:blocking|warning|note|severity)\(\s*"([a-z-]+)"', sources))
    kinds = "\n".join(
        path.read_text(encoding="utf-8") for path in (ROOM / "content.py", ROOM.parent / "rebuilding/survey.py")
    )
    kinds = "\n".join(line for line in kinds.splitlines() if re.match(r"[A-Z_1, ]+ = \"", line))
    faults = {kind.replace(" ", "-") for kind in re.findall(r'"([a-z0-9 ]+)"', kinds)}
    table = PAGE.partition("## Findings")[2].partition("\n\nAn identity")[0]
    assert set(re.findall(r"`([a-z0-9-]+)`", table)) == rules | faults


def test_the_documents_of_a_migration_are_described_as_they_are() -> None:
    assert migration_reports.PAGE.read_text(encoding="utf-8") == migration_reports.page(), "run `make docs`"
