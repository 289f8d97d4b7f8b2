"""The reference page says what is served."""

from __future__ import annotations

import re
from pathlib import Path

from image_registry.image_api import status
from image_registry.image_api.discovery import paths
from image_registry.image_api.resources import RESOURCES
from image_registry.image_api.tables import COLUMNS

PAGE = (Path(__file__).resolve().parents[3] / "docs/reference/image-api.md").read_text(encoding="utf-8")


def rows(section: str) -> list[list[str]]:
    """Cells of the first table of a section, without its head."""
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")][2:]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]


def test_resources_and_verbs_are_those_of_discovery() -> None:
    assert [(row[0], row[1], row[2], row[3], re.findall(r"`?(\w+)`?", row[5])) for row in rows("Resources")] == [
        (
            resource.name,
            resource.kind,
            "namespace" if resource.namespaced else "cluster",
            ", ".join(resource.short_names) or "-",
            list(resource.verbs),
        )
        for resource in RESOURCES
    ]


def test_columns_are_those_of_the_tables() -> None:
    kinds = {resource.kind: resource.name for resource in RESOURCES if resource.name in COLUMNS}
    for kind, narrow, wide in rows("Columns of `kubectl get`"):
        columns = COLUMNS[kinds.pop(kind)]
        assert narrow == ", ".join(column.name for column in columns if not column.priority)
        assert wide == ", ".join(column.name for column in columns if column.priority)
    assert not kinds


def test_failures_are_those_of_the_code() -> None:
    own = {(str(int(error.code)), error.reason) for error in status.APIError.__subclasses__()}
    assert {(code, reason) for code, reason, _ in rows("Failures")} == own


def test_open_paths_are_those_that_exist() -> None:
    text = PAGE.partition("\n## Open paths\n")[2]
    assert set(re.findall(r"`(/[\w./]*)`", text)) == set(paths()["paths"])
