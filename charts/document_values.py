#!/usr/bin/env python3
"""Keeps the table of values in a chart's README equal to the comments and defaults of its values.yaml.

A value is documented where it is defined, by a ``# --`` comment above it; this turns those comments into the table
between the two markers of README.md. ``--check`` changes nothing and fails when the table is old.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from config_language import documented

CHARTS = [Path(__file__).resolve().parent / name for name in ("image-registry", "cluster-image-registry-operator")]
BEGIN, END = "<!-- values: begin -->", "<!-- values: end -->"


def leaves(values: dict[str, Any], names: set[str], prefix: str = "") -> Iterator[str]:
    """Names of values below which nothing is documented: each must be documented itself."""
    for key, value in values.items():
        name = prefix + key
        if name not in names and isinstance(value, dict) and value:
            yield from leaves(value, names, f"{name}.")
        else:
            yield name


def table(text: str) -> str:
    """The Markdown table; ValueError names a value without a comment."""
    values = yaml.safe_load(text)
    rows = dict(documented(text))
    if missing := [name for name in leaves(values, set(rows)) if name not in rows]:
        raise ValueError(f"values.yaml: write a `# --` comment above {', '.join(missing)}")
    lines = ["| Value | Default | Meaning |", "| --- | --- | --- |"]
    for name, meaning in rows.items():
        default: Any = values
        for part in name.split("."):
            default = default[part]
        lines.append(
            f"| `{name}` | `{json.dumps(default, ensure_ascii=False)}` | {meaning.replace('|', chr(92) + '|')} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Write the table, or say what to do when it is old."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="change nothing; fail when the README is old")
    arguments = parser.parse_args()
    for chart in CHARTS:
        readme = chart / "README.md"
        before = readme.read_text(encoding="utf-8")
        head, _, rest = before.partition(BEGIN)
        _, _, tail = rest.partition(END)
        try:
            after = f"{head}{BEGIN}\n{table((chart / 'values.yaml').read_text(encoding='utf-8'))}\n{END}{tail}"
        except ValueError as error:
            parser.exit(1, f"{chart.name}: {error}\n")
        if arguments.check and after != before:
            parser.exit(1, f"{readme}: not the values of values.yaml: run python3 charts/document_values.py\n")
        if after != before:
            readme.write_text(after, encoding="utf-8")


if __name__ == "__main__":
    main()
