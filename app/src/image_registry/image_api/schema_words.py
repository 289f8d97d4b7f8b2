"""The words in which schemas are written: JSON Schema, with ``{"$ref": Name}`` for another schema of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from image_registry.auth.access import IMAGE_GROUP
from image_registry.image_api.resources import VERSION

Schema = dict[str, Any]


def members(description: str, properties: Mapping[str, Schema], required: tuple[str, ...] = ()) -> Schema:
    """An object with these members and no others."""
    schema: Schema = {"description": description, "type": "object", "properties": dict(properties)}
    return schema | {"required": list(required)} if required else schema


def atomic(description: str, properties: Mapping[str, Schema], required: tuple[str, ...] = ()) -> Schema:
    """An object that has one owner as a whole."""
    return {**members(description, properties, required), "x-kubernetes-map-type": "atomic"}


def text(description: str, **more: Any) -> Schema:
    """A text."""
    return {"description": description, "type": "string", **more}


def number(description: str) -> Schema:
    """A whole number of 64 bits."""
    return {"description": description, "type": "integer", "format": "int64"}


def flag(description: str) -> Schema:
    """True or false."""
    return {"description": description, "type": "boolean"}


def time(description: str) -> Schema:
    """A moment, RFC 3339."""
    return text(description, format="date-time")


def texts(description: str) -> Schema:
    """Texts by names that the user chooses."""
    return {"description": description, "type": "object", "additionalProperties": {"type": "string"}}


def of(name: str, description: str) -> Schema:
    """Another schema of ours."""
    return {"$ref": name, "description": description}


def array(item: Schema, description: str, merge_key: str = "") -> Schema:
    """A list that is replaced as a whole, or one whose entries are told apart by ``merge_key``."""
    keys = {
        "x-kubernetes-list-map-keys": [merge_key],
        "x-kubernetes-list-type": "map",
        "x-kubernetes-patch-merge-key": merge_key,
        "x-kubernetes-patch-strategy": "merge",
    }
    return {"description": description, "type": "array", "items": item, **(keys if merge_key else {})}


def gvk(kind: str) -> Schema:
    """Only kinds of our own group: tools that read the joined document refuse a kind that is defined twice."""
    return {"x-kubernetes-group-version-kind": [{"group": IMAGE_GROUP, "kind": kind, "version": VERSION}]}


TYPE = {
    "apiVersion": text("Group and version of this representation."),
    "kind": text("Kind of this object."),
}
