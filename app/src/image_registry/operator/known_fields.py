"""What this version understands of a specification that a newer one may have been written for. Pure.

The definitions of Config and ImagePruner never go back to an older one, so nothing that was written is lost (ADR 63).
A version that does not know a field leaves it where it is, works without it, and says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Language:
    """The schema of the operand chart's values; ``definitions`` has that of each specification, by the value's name."""

    schema: Mapping[str, Any]

    @staticmethod
    def of_chart(chart: Path) -> Language:
        """Raises OSError if there is no chart."""
        return Language(json.loads((chart / "values.schema.json").read_text(encoding="utf-8")))

    def understood(self, spec: Mapping[str, Any], value: str = "config") -> tuple[Object, tuple[str, ...]]:
        """The specification without fields that are not known, and their names as in ``kubectl explain``."""
        unknown: list[str] = []
        found = self._kept(spec, {"$ref": f"#/definitions/{value}"}, "spec", unknown)
        return dict(found), tuple(unknown)

    def _kept(self, value: Any, schema: Mapping[str, Any], path: str, unknown: list[str]) -> Any:
        place = self._place(schema, value)
        if isinstance(value, list):
            items = place.get("items")
            return [self._kept(one, items, f"{path}[]", unknown) for one in value] if items else value
        if not isinstance(value, Mapping) or "properties" not in place:
            return value
        found: Object = {}
        for name, part in value.items():
            if name in place["properties"]:
                found[name] = self._kept(part, place["properties"][name], f"{path}.{name}", unknown)
            elif place.get("additionalProperties") is False:
                unknown.append(f"{path}.{name}")
            else:
                found[name] = part
        return found

    def _place(self, schema: Mapping[str, Any], value: Any) -> Mapping[str, Any]:
        """References followed, and of several choices the one that is of the value's form."""
        while "$ref" in schema:
            schema = self.schema["definitions"][str(schema["$ref"]).rpartition("/")[2]]
        wanted = "array" if isinstance(value, list) else "object"
        for choice in schema.get("anyOf") or ():
            place = self._place(choice, value)
            if place.get("type") == wanted:
                return place
        return schema
