"""The folder of reports of ``ac adm migrate``: the same files, by the same names, as the role ``migrate`` leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from image_registry.cli.failures import Wrong
from image_registry.migration.documents import to_document
from image_registry.migration.facts import Inventory
from image_registry.migration.findings import Finding, open_blockers
from image_registry.migration.plan import Plan, write_plan
from image_registry.migration.report import html
from image_registry.migration.reports import put

F = TypeVar("F", bound=Callable[..., Any])
FOLDER = click.Path(path_type=Path, file_okay=False)


def reports_option(command: F) -> F:
    """Where reports for people and for programs are left."""
    return click.option(
        "--reports", type=FOLDER, default=None, help="Write all reports there, HTML and JSON; it is made if need be."
    )(command)


def inventory_files(found: Inventory) -> dict[str, str]:
    return {"inventory.json": as_json(to_document(found)), "inventory.html": html(found, ())}


def findings_file(findings: tuple[Finding, ...], digest: str = "") -> dict[str, str]:
    """``digest`` is that of the plan, if there is one."""
    listed = [to_document(found) for found in findings]
    blockers = [found.id for found in open_blockers(findings)]
    return {"findings.json": as_json({"plan": digest, "findings": listed, "blockers": blockers})}


def plan_files(found: Inventory, made: Plan) -> dict[str, str]:
    return {
        **findings_file(made.findings, made.digest),
        "plan.json": as_json(write_plan(made)),
        "plan.html": html(found, made.findings, made),
    }


def write(folder: Path | None, files: dict[str, str]) -> None:
    """Nothing without a folder. Raises :class:`Wrong` where it cannot be written to."""
    if folder is None:
        return
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, text in files.items():
            put(folder / name, text)
    except OSError as error:
        raise Wrong(f"--reports {folder}: {error.strerror}") from None


def as_json(document: Any) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def write_one(option: str, path: Path, text: str) -> None:
    """Raises :class:`Wrong` where it cannot be written to."""
    try:
        put(path, text)
    except OSError as error:
        raise Wrong(f"{option} {path}: {error.strerror}") from None
