"""The language as options of an Ansible role: a wrong name, type or choice is refused before anything is asked."""

from __future__ import annotations

import re

from config_language import Field, Schema, kind_of

TYPES = {"object": "dict", "map": "dict", "open": "dict", "list": "list", "string": "str", "boolean": "bool"}
TYPES |= {"integer": "int", "number-or-text": "raw"}


def options(place: Field) -> Schema:
    """``options:`` of the variable that holds the field's members, without defaults: those are the chart's."""
    return {member.name: _option(member) for member in place.members}


def _option(place: Field) -> Schema:
    kind = kind_of(place.schema)
    found: Schema = {"description": _marked(place.meaning), "type": TYPES[kind]}
    if place.required:
        found["required"] = True
    if "enum" in place.schema:
        found["choices"] = list(dict.fromkeys(str(choice) for choice in place.schema["enum"]))
    if kind == "object" and place.members:
        found["options"] = options(place)
    elif place.items is not None:
        found["elements"] = TYPES[kind_of(place.items.schema)]
        if place.items.members:
            found["options"] = options(place.items)
    return found


def _marked(text: str) -> str:
    """Code in Ansible's markup, which ends at the first bracket."""
    return re.sub(r"`([^`()]*)`", r"C(\1)", text).replace("`", "")
