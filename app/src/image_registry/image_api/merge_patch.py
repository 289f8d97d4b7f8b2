"""Patches that look like the object: JSON Merge Patch (RFC 7396), and Kubernetes' strategic merge patch.

The strategic one knows from the schemas which lists are merged by a key, and has words of its own for what a merge
cannot say: ``$patch: delete|replace``, ``$deleteFromPrimitiveList``, ``$setElementOrder`` and ``$retainKeys``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from image_registry.image_api.forms import of_kind, resolve
from image_registry.image_api.schema_words import Schema
from image_registry.image_api.status import BadRequest

_PATCH, _RETAIN = "$patch", "$retainKeys"
_DELETE_FROM, _ORDER = "$deleteFromPrimitiveList/", "$setElementOrder/"


def merged(document: Any, patch: Any) -> Any:
    """RFC 7396: members of the patch replace those of the document, ``null`` removes them."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(document) if isinstance(document, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def strategic(document: Mapping[str, Any], patch: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The document after a strategic merge patch. Raises :class:`BadRequest`."""
    return _object(document, patch, of_kind(kind), kind)


def _object(document: Any, patch: Mapping[str, Any], schema: Schema, path: str) -> dict[str, Any]:
    schema = resolve(schema)
    result = dict(document) if isinstance(document, Mapping) else {}
    directive = patch.get(_PATCH)
    if directive == "replace":
        return {name: value for name, value in patch.items() if name != _PATCH and value is not None}
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise BadRequest(f"{path}: unknown directive {_PATCH}: {str(directive)[:40]!r}")
    retained = patch.get(_RETAIN)
    if isinstance(retained, list):
        result = {name: value for name, value in result.items() if name in retained}
    properties = schema.get("properties", {})
    other: Schema = schema.get("additionalProperties", {"type": "string"})
    for name, value in patch.items():
        if name in (_PATCH, _RETAIN) or name.startswith((_DELETE_FROM, _ORDER)):
            continue
        if value is None:
            result.pop(name, None)
        else:
            described = properties.get(name, other)
            result[name] = _value(result.get(name), value, described, f"{path}.{name}")
    _lists(result, patch, properties, path)
    return result


def _lists(result: dict[str, Any], patch: Mapping[str, Any], properties: Mapping[str, Schema], path: str) -> None:
    """What the patch says about lists beside their entries."""
    for name, value in patch.items():
        if name.startswith(_DELETE_FROM):
            member = name.removeprefix(_DELETE_FROM)
            unwanted = _list(value, f"{path}.{name}")
            result[member] = [item for item in _list(result.get(member), path) if item not in unwanted]
        elif name.startswith(_ORDER) and (member := name.removeprefix(_ORDER)) in result:
            key = resolve(properties.get(member, {})).get("x-kubernetes-patch-merge-key", "")
            result[member] = _ordered(_list(result[member], path), _list(value, f"{path}.{name}"), key)


def _value(document: Any, patch: Any, schema: Schema, path: str) -> Any:
    resolved = {**resolve(schema), **{key: value for key, value in schema.items() if key != "$ref"}}
    if isinstance(patch, Mapping):
        if resolved.get("x-kubernetes-preserve-unknown-fields"):
            return merged(document, patch)
        return _object(document, patch, resolved, path)
    if isinstance(patch, list) and resolved.get("x-kubernetes-patch-strategy") == "merge":
        key = resolved.get("x-kubernetes-patch-merge-key", "")
        known = _list(document, path)
        if key:
            return _entries(known, patch, resolved["items"], key, path)
        return known + [item for item in dict.fromkeys(patch) if item not in known]
    return patch


def _entries(document: list[Any], patch: list[Any], items: Schema, key: str, path: str) -> list[Any]:
    if any(isinstance(entry, Mapping) and entry.get(_PATCH) == "replace" for entry in patch):
        return [entry for entry in patch if not (isinstance(entry, Mapping) and _PATCH in entry)]
    result = list(document)
    for entry in patch:
        if not isinstance(entry, Mapping) or not isinstance(entry.get(key), str):
            raise BadRequest(f"{path}: every entry of the patch needs {key}, which tells the entries apart")
        places = [place for place, known in enumerate(result) if known.get(key) == entry[key]]
        if entry.get(_PATCH) == "delete":
            result = [known for place, known in enumerate(result) if place not in places]
        elif places:
            result[places[0]] = _object(result[places[0]], entry, items, f"{path}[{entry[key]}]")
        else:
            result.append(_object({}, entry, items, f"{path}[{entry[key]}]"))
    return result


def _ordered(found: list[Any], wanted: list[Any], key: str) -> list[Any]:
    """In the wanted order; what it does not name keeps its place relative to what is before it."""

    def name(entry: Any) -> Any:
        return entry.get(key) if key and isinstance(entry, Mapping) else entry

    ranks = {name(entry): rank for rank, entry in enumerate(wanted)}
    result, last = [], -1
    for place, entry in enumerate(found):
        last = ranks.get(name(entry), last)
        result.append((last, name(entry) not in ranks, place, entry))
    return [entry for *_, entry in sorted(result, key=lambda row: row[:3])]


def _list(value: Any, path: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadRequest(f"{path} must be a list")
    return list(value)
