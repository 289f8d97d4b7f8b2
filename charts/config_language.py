"""The registry's configuration language in every place that it is spoken, derived from one source.

The source is the chart: the shapes of ``config`` and ``imagePruner`` are definitions of ``values.schema.json``,
defaults and meanings are in ``values.yaml`` beside it, and what a shape can not say is in ``config_rules.yaml`` and
``pruner_rules.yaml``. The CustomResourceDefinitions of the operator and the options of the Ansible role are made of
them, so that no name, type or choice can differ.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

CHARTS = Path(__file__).resolve().parent
CHART = CHARTS / "image-registry"
KEY = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z][A-Za-z0-9]*):")
Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """One place of the language and all that is said of it; ``path`` is dotted, with ``[]`` for the items of a list."""

    path: str
    schema: Schema
    meaning: str
    required: bool
    default: Any = None
    members: tuple[Field, ...] = ()
    items: Field | None = None
    values: Field | None = None

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]

    def all(self) -> Iterator[Field]:
        """This place and every one below it."""
        yield self
        for child in (*self.members, *(part for part in (self.items, self.values) if part is not None)):
            yield from child.all()


def documented(text: str) -> Iterator[tuple[str, str]]:
    """Dotted name and description of every value that has one, in the order of the file."""
    path: list[str] = []
    pending: list[str] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("# -- "):
            pending = [stripped[5:]]
        elif stripped.startswith("# ") and pending:
            pending.append(stripped[2:])
        elif match := KEY.match(line):
            depth = len(match["indent"]) // 2
            path = [*path[:depth], match["key"]]
            if pending:
                yield ".".join(path), " ".join(pending)
            pending = []
        else:
            pending = []


@dataclass(slots=True)
class Source:
    """What the chart says about one of its values; ``rules`` are in the words of the object."""

    name: str
    definitions: Schema
    meanings: dict[str, str]
    defaults: Schema
    rules: list[dict[str, str]] = field(default_factory=list)

    @classmethod
    def of_the_chart(cls, name: str, rules: Path) -> Source:
        """Read the chart of this repository."""
        text = (CHART / "values.yaml").read_text(encoding="utf-8")
        schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
        said = yaml.safe_load(rules.read_text(encoding="utf-8"))
        return cls(name, schema["definitions"], dict(documented(text)), yaml.safe_load(text), said)

    def language(self) -> Field:
        """The whole of it."""
        return self._field(self.name, {"$ref": f"#/definitions/{self.name}"}, self.defaults[self.name], required=True)

    def _field(self, path: str, part: Schema, default: Any, *, required: bool) -> Field:
        schema = self.resolved(part)
        meaning = self.meanings.get(path) or part.get("description") or schema.get("description") or ""
        known = default if isinstance(default, dict) else {}
        needed = schema.get("required", ())
        members = tuple(
            self._field(f"{path}.{name}", child, known.get(name), required=name in needed)
            for name, child in schema.get("properties", {}).items()
        )
        kinds = schema.get("items")
        items = self._field(f"{path}[]", kinds, None, required=True) if kinds else None
        free = schema.get("additionalProperties")
        values = self._field(f"{path}.*", free, None, required=False) if isinstance(free, dict) else None
        return Field(path, schema, meaning, required, default, members, items, values)

    def resolved(self, part: Schema) -> Schema:
        """Without references; ``null`` or ``""`` as the sign of *not set* is folded into the other choice."""
        if "$ref" in part:
            return self.resolved(self.definitions[part["$ref"].rsplit("/", 1)[1]])
        if "anyOf" not in part:
            return part
        choices = [self.resolved(choice) for choice in part["anyOf"]]
        rest = [choice for choice in choices if choice != {"type": "null"} and choice != {"const": ""}]
        if len(rest) > 1:
            return {"anyOf": rest}
        found = copy.deepcopy(rest[0])
        if {"const": ""} in choices:
            found["pattern"] = f"^$|{found['pattern']}"
        return found


def kind_of(schema: Schema) -> str:
    """``object``, ``map``, ``open``, ``list``, ``string``, ``boolean``, ``integer`` or ``number-or-text``."""
    if "anyOf" in schema:
        return "number-or-text"
    if "enum" in schema:
        return "string"
    found = str(schema["type"])
    if found == "object":
        if "properties" in schema:
            return "object"
        return "map" if "additionalProperties" in schema else "open"
    return "list" if found == "array" else found
