"""The language as options of Ansible modules: their documentation, and the argument specs that are held to it."""

from __future__ import annotations

import re
from typing import Any

from config_language import Field, Schema
from role_options import options

HEAD = """# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""
LOOKS_SECRET = re.compile(r"pass(?!ive)|secret|token|key", re.IGNORECASE)
"""Names that Ansible would hide; each here is the name of something, or a switch."""

WIDTH = 120


def arguments(described: Schema) -> Schema:
    """An argument spec from options as they are documented."""
    found: Schema = {}
    for name, option in described.items():
        said = {key: value for key, value in option.items() if key not in ("description", "options")}
        if LOOKS_SECRET.search(name):
            said["no_log"] = False
        if "options" in option:
            said["options"] = arguments(option["options"])
        found[name] = said
    return found


def specs(languages: dict[str, Field]) -> str:
    """The module of Python with one argument spec for each kind."""
    text = HEAD + (
        '"""Which fields Config and ImagePruner have, as argument specs.\n\n'
        'Made from the chart by charts/derive_schemas.py; do not edit. Private to this collection.\n"""\n\n'
        "from __future__ import annotations\n\nfrom typing import Any\n"
    )
    for name, language in languages.items():
        text += f"\n{name}: dict[str, Any] = {_literal(arguments(options(language)), 0, len(name) + 19)}\n"
    return text


def fragments(documented: dict[str, str]) -> str:
    """The documentation fragments; each text is YAML with one option ``spec``."""
    text = HEAD + (
        '"""Documentation of the fields of Config and ImagePruner.\n\n'
        'Made from the chart by charts/derive_schemas.py; do not edit. Private to this collection.\n"""\n\n'
        "from __future__ import annotations\n\n\n"
        'class ModuleDocFragment:\n    """Read by ansible-doc."""\n'
    )
    for name, said in documented.items():
        text += f'\n    {name} = r"""\n{said}"""\n'
    return text


def documented(language: Field, meaning: str) -> Schema:
    """One option ``spec`` with everything below it."""
    return {"options": {"spec": {"description": meaning, "type": "dict", "suboptions": _suboptions(options(language))}}}


def _suboptions(described: Schema) -> Schema:
    """What is below an option has another name in a module than in a role."""
    found: Schema = {}
    for name, option in described.items():
        found[name] = {key: value for key, value in option.items() if key != "options"}
        if "options" in option:
            found[name]["suboptions"] = _suboptions(option["options"])
    return found


def _literal(value: Any, indent: int, taken: int) -> str:
    """As the formatter of this repository writes it: in one line where that fits."""
    flat = _flat(value)
    if taken + len(flat) + 1 <= WIDTH or not isinstance(value, (dict, list)):
        return flat
    inner = " " * (indent + 4)
    if isinstance(value, dict):
        lines = []
        for key, member in value.items():
            start = f"{inner}{_flat(key)}: "
            lines.append(f"{start}{_literal(member, indent + 4, len(start))},")
        return "{\n" + "\n".join(lines) + "\n" + " " * indent + "}"
    rows = [f"{inner}{_literal(member, indent + 4, indent + 4)}," for member in value]
    return "[\n" + "\n".join(rows) + "\n" + " " * indent + "]"


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flat(key)}: {_flat(member)}" for key, member in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flat(member) for member in value) + "]"
    return f'"{value}"' if isinstance(value, str) else repr(value)
