"""Runs the client matrix and prints it: rows are clients, columns are operations.

usage: python -m tests.clients.print_matrix [--cluster] [-o json|markdown]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.clients.matrix import MATRIX, OPERATIONS

HERE = Path(__file__).parent
GREEN, RED, NONE = "✓", "✗", "–"  # noqa: RUF001 - what tables write for nothing


class Recorder:
    """Remembers how each cell ended."""

    def __init__(self) -> None:
        self.ended: dict[str, str] = {}
        self.said: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        _, bracket, cell = report.nodeid.partition("[")
        if not bracket:
            return
        cell = cell.removesuffix("]")
        if report.failed:
            self.ended[cell] = RED
            self.said[cell] = str(report.longrepr)[-1500:]
        elif report.when == "call" and report.passed:
            self.ended.setdefault(cell, GREEN)


def rows(ended: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Every cell; one that should have run and did not is red."""
    return {
        client: {
            operation: NONE if isinstance(cells[operation], str) else ended.get(f"{client}: {operation}", RED)
            for operation in OPERATIONS
        }
        for client, cells in MATRIX.items()
    }


def as_text(found: Mapping[str, Mapping[str, str]]) -> str:
    width = max(map(len, found))
    lines = [" " * width + "  " + "  ".join(OPERATIONS)]
    for client, cells in found.items():
        shown = (cells[operation].center(len(operation)) for operation in OPERATIONS)
        lines.append(f"{client:<{width}}  {'  '.join(shown)}".rstrip())
    every = [cell for cells in found.values() for cell in cells.values()]
    counts = f"{every.count(GREEN)} green, {every.count(RED)} red, {every.count(NONE)} that the client cannot do"
    return "\n".join([*lines, "", counts])


def as_markdown(found: Mapping[str, Mapping[str, str]]) -> str:
    """The table of ``docs/reference/clients.md``."""
    lines = [f"| client | {' | '.join(OPERATIONS)} |", f"| --- |{' :---: |' * len(OPERATIONS)}"]
    lines += [
        f"| {client} | {' | '.join(cells[operation] for operation in OPERATIONS)} |" for client, cells in found.items()
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the client matrix and print it.")
    parser.add_argument("--cluster", action="store_true", help="against the registry in the lab's cluster")
    parser.add_argument("-o", "--output", choices=["text", "json", "markdown"], default="text")
    options = parser.parse_args()
    file = (
        HERE.parent / "cluster/test_client_matrix_in_a_cluster.py"
        if options.cluster
        else HERE / "test_client_matrix.py"
    )
    recorder = Recorder()
    # the table is the report: pytest's own, and the options for it, are left out
    pytest.main([str(file), "-p", "no:terminal", "-o", "addopts=--import-mode=importlib"], plugins=[recorder])
    found = rows(recorder.ended)
    red = [cell for cells in found.values() for cell in cells.values() if cell == RED]
    if options.output == "json":
        reasons = {
            client: {operation: cell for operation, cell in cells.items() if isinstance(cell, str)}
            for client, cells in MATRIX.items()
        }
        print(json.dumps({"cells": found, "reasons": reasons, "failures": recorder.said}, indent=2))
    else:
        print(as_text(found) if options.output == "text" else as_markdown(found))
        for cell, said in recorder.said.items():
            print(f"\n{cell}:\n{said}", file=sys.stderr)
    return int(bool(red))


if __name__ == "__main__":
    sys.exit(main())
