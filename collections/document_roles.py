"""Writes the table of variables in each role's README from its argument specs, so that there is one place to say it.

usage: python collections/document_roles.py [--check]
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

ROLES = Path(__file__).parent / "ansible_collections/alauda/registry/roles"
BEGIN, END = "<!-- variables: begin -->", "<!-- variables: end -->"
MARKUP = re.compile(r"[COVPM]\(((?:\\.|[^\\)#])*)(?:#[^)]*)?\)")
ESCAPED = re.compile(r"\\(.)")


def table(specs: dict[str, Any]) -> str:
    """One row for each variable of the entry point ``main``; the others take the same ones."""
    rows = ["| Variable | Default | Meaning |", "| --- | --- | --- |"]
    for name, option in specs["argument_specs"]["main"]["options"].items():
        if option.get("required"):
            default = "**required**"
        else:
            default = f"`{json.dumps(option['default'])}`" if "default" in option else "see the meaning"
        meaning = MARKUP.sub(lambda found: "`" + ESCAPED.sub(r"\1", found[1]) + "`", option["description"].strip())
        rows.append(f"| `{name}` | {default} | {meaning} |")
    return "\n".join(rows)


def documented(readme: str, specs: dict[str, Any]) -> str:
    """The README with the table as it should be."""
    head, _, rest = readme.partition(BEGIN)
    return f"{head}{BEGIN}\n{table(specs)}\n{END}{rest.partition(END)[2]}"


def main() -> int:
    """Write, or with ``--check`` say which READMEs are not up to date."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 if something would change")
    check = parser.parse_args().check
    stale = []
    for path in sorted(ROLES.glob("*/README.md")):
        specs = yaml.safe_load((path.parent / "meta/argument_specs.yml").read_text(encoding="utf-8"))
        text = path.read_text(encoding="utf-8")
        wanted = documented(text, specs)
        if wanted != text:
            stale.append(str(path))
            if not check:
                path.write_text(wanted, encoding="utf-8")
    if check and stale:
        sys.stderr.write(f"run python collections/document_roles.py: {', '.join(stale)}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
