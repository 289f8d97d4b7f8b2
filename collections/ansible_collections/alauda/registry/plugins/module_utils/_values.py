# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values against a chart's schema, so that a misspelt name is answered with the name that was meant.

Private to this collection.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

try:
    import jsonschema
except ImportError:
    jsonschema = None  # type: ignore[assignment]


def faults(schema: dict[str, Any], values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(what was found, what to do) for each value that the schema refuses."""
    validator = jsonschema.Draft7Validator(schema)
    names = sorted(set(_paths(schema, schema)))
    for error in sorted(validator.iter_errors(values), key=lambda each: [str(part) for part in each.absolute_path]):
        yield from _explained(error, names)


def _explained(error: Any, names: list[str]) -> Iterator[tuple[str, str]]:
    place = _dotted(error.absolute_path)
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = list(error.schema.get("properties", {}))
        for key in sorted(set(error.instance) - set(known)):
            unknown = f"{place}.{key}" if place else key
            yield f"{unknown} is not a value of the chart", _suggestion(place, key, known, names)
        return
    if error.validator in ("anyOf", "oneOf"):
        # the alternative that came closest says most: a misspelt key below it rather than "is not of type null"
        deepest = sorted(error.context, key=lambda each: (len(each.absolute_path), each.validator != "type"))
        if deepest and (deepest[-1].validator != "type" or len(deepest[-1].absolute_path) > len(error.absolute_path)):
            yield from _explained(deepest[-1], names)
            return
        kinds = [str(each.schema.get("type") or each.schema.get("const", "")) for each in error.context]
        yield f"{place} is {_shown(error.instance)}", f"give it one of: {', '.join(kind for kind in kinds if kind)}"
        return
    yield f"{place or 'the values'} is {_shown(error.instance)}", _wish(error)


def _wish(error: Any) -> str:
    if error.validator == "type":
        kinds = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
        return f"it must be {' or '.join(_article(kind) for kind in kinds)}"
    if error.validator == "enum":
        return f"it must be one of {', '.join(repr(choice) for choice in error.validator_value)}"
    if error.validator == "required":
        return error.message
    if error.validator == "pattern":
        meaning = error.schema.get("description")
        return f"it must look like {error.validator_value}" + (f" ({meaning})" if meaning else "")
    if error.validator in ("minimum", "exclusiveMinimum"):
        return f"it must be at least {error.validator_value}"
    if error.validator in ("maximum", "exclusiveMaximum"):
        return f"it must be at most {error.validator_value}"
    return error.message


def _suggestion(place: str, key: str, known: list[str], names: list[str]) -> str:
    lowered = {each.lower(): each for each in known}
    close = difflib.get_close_matches(key.lower(), list(lowered), 1, 0.6)
    if close:
        meant = lowered[close[0]]
        return f"did you mean {place}.{meant}?" if place else f"did you mean {meant}?"
    elsewhere = [each for each in names if each.rpartition(".")[2].lower() == key.lower()]
    if elsewhere:
        return f"did you mean {' or '.join(elsewhere[:3])}?"
    return f"known here: {', '.join(sorted(known))}" if known else "leave it out"


def _paths(node: Any, root: dict[str, Any], prefix: str = "", depth: int = 0) -> Iterator[str]:
    """Every name that the schema knows, dotted."""
    if not isinstance(node, dict) or depth > 12:
        return
    if "$ref" in node:
        target: Any = root
        for part in str(node["$ref"]).removeprefix("#/").split("/"):
            target = target.get(part, {})
        yield from _paths(target, root, prefix, depth + 1)
    for key, below in (node.get("properties") or {}).items():
        name = f"{prefix}.{key}" if prefix else key
        yield name
        yield from _paths(below, root, name, depth + 1)
    for alternative in [*node.get("anyOf", []), *node.get("oneOf", [])]:
        yield from _paths(alternative, root, prefix, depth + 1)


def _dotted(path: Any) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 80 else f"{text[:77]}..."


def _article(kind: str) -> str:
    names = {
        "object": "a map",
        "array": "a list",
        "integer": "a whole number",
        "string": "a text",
        "boolean": "true or false",
    }
    return names.get(kind, f"a {kind}")
