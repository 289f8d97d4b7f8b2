"""Which members an object has, as sets of paths: the ground under server-side apply (Kubernetes' structured merge).

A path is a tuple of elements as ``FieldsV1`` writes them: ``f:name`` for a member, ``k:{"name":"v1"}`` for an entry of
a list that is told apart by a key, ``v:"x"`` for a value of a set. What a schema calls atomic is one member.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from image_registry.image_api.forms import resolve
from image_registry.image_api.schema_words import Schema

Path = tuple[str, ...]
Fields = frozenset[Path]

NOTHING: Fields = frozenset()


def key_of(schema: Schema) -> str:
    """The member that tells the entries of a list apart; empty for other lists."""
    keys: list[str] = schema.get("x-kubernetes-list-map-keys", [])
    return keys[0] if keys and schema.get("x-kubernetes-list-type") == "map" else ""


def is_set(schema: Schema) -> bool:
    """True for a list of values each of which is there or not."""
    return schema.get("x-kubernetes-list-type") == "set"


def is_atomic(schema: Schema) -> bool:
    """True for what has one owner as a whole."""
    if schema.get("type") == "array":
        return not key_of(schema) and not is_set(schema)
    if schema.get("type", "object") != "object" or schema.get("x-kubernetes-preserve-unknown-fields"):
        return True
    return schema.get("x-kubernetes-map-type") == "atomic"


def children(value: Any, schema: Schema) -> Iterator[tuple[str, Any, Schema]]:
    """Element, value and schema of everything directly below; nothing below what is atomic."""
    if is_atomic(schema):
        return
    if isinstance(value, Mapping):
        known, others = schema.get("properties", {}), schema.get("additionalProperties")
        for name, member in value.items():
            described = known.get(name, others)
            if described is not None:
                yield f"f:{name}", member, resolve(described)
    elif isinstance(value, list):
        items, key = resolve(schema["items"]), key_of(schema)
        for entry in value:
            yield element(entry, key), entry, items


def element(entry: Any, key: str) -> str:
    """The name of an entry of a list."""
    if key:
        return "k:" + json.dumps({key: entry.get(key, "")}, separators=(",", ":"), ensure_ascii=False)
    return "v:" + json.dumps(entry, separators=(",", ":"), ensure_ascii=False)


def everything(value: Any, schema: Schema, path: Path = ()) -> dict[Path, Any]:
    """Every path with its value; containers have ``None``, so that only what is in them counts as a change."""
    found: dict[Path, Any] = {}
    for name, member, described in children(value, schema):
        here = (*path, name)
        below = everything(member, described, here)
        found[here] = None if below or not is_atomic(described) else member
        found.update(below)
    return found


def owned(value: Any, schema: Schema, path: Path = ()) -> set[Path]:
    """What somebody who sends ``value`` means to own: leaves, entries of lists, and containers that are empty."""
    found: set[Path] = set()
    for name, member, described in children(value, schema):
        here = (*path, name)
        below = owned(member, described, here)
        if not below or not name.startswith("f:"):
            found.add(here)
        found |= below
    return found


def to_tree(fields: Fields) -> dict[str, Any]:
    """As ``FieldsV1``."""
    tree: dict[str, Any] = {}
    paths = sorted(fields)
    parents = {path[:length] for path in paths for length in range(1, len(path))}
    for path in paths:
        node = tree
        for step in path:
            node = node.setdefault(step, {})
        if path in parents:
            node["."] = {}
    return tree


def from_tree(tree: Any, path: Path = ()) -> set[Path]:
    """Read ``FieldsV1``; what is no tree says nothing."""
    found: set[Path] = set()
    if not isinstance(tree, Mapping):
        return found
    for name, below in tree.items():
        if name == ".":
            found.add(path)
        else:
            here = (*path, name)
            found |= from_tree(below, here) if below else {here}
    return found


def readable(path: Path) -> str:
    """``.spec.tags[name="v1"].from``, as conflicts name it."""
    text = ""
    for step in path:
        kind, _, rest = step.partition(":")
        match kind:
            case "f":
                text += f".{rest}"
            case "k":
                text += "[" + ",".join(f"{key}={json.dumps(value)}" for key, value in json.loads(rest).items()) + "]"
            case _:
                text += f"[={rest}]"
    return text
