"""JSON Patch (RFC 6902): a list of operations, applied in order, all or none."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from image_registry.image_api.status import BadRequest, Invalid

MOST = 10_000
"""Operations of one patch."""


def patched(document: Mapping[str, Any], operations: Any) -> Any:
    """The document after the operations. Raises :class:`BadRequest` and, for one that cannot be done, ``Invalid``."""
    if not isinstance(operations, list):
        raise BadRequest('a JSON patch is a list of operations such as [{"op": "add", "path": "/spec", "value": {}}]')
    if len(operations) > MOST:
        raise BadRequest(f"the JSON patch has {len(operations)} operations, the most is {MOST}")
    result: Any = copy.deepcopy(dict(document))
    for place, operation in enumerate(operations):
        if not isinstance(operation, dict) or not isinstance(operation.get("path"), str):
            raise BadRequest(f"operation {place} of the JSON patch has no path")
        result = _apply(result, operation, place)
    return result


def _apply(document: Any, operation: Mapping[str, Any], place: int) -> Any:
    kind, path = operation.get("op"), _path(operation["path"], place)
    if kind == "remove":
        return _removed(document, path, place)
    if kind in ("move", "copy"):
        return _carried(document, operation, path, place)
    if kind not in ("add", "replace", "test"):
        raise BadRequest(f"operation {place} of the JSON patch is {str(kind)[:40]!r}, which is no operation")
    if "value" not in operation:
        raise BadRequest(f"operation {place} of the JSON patch ({kind}) has no value")
    value = copy.deepcopy(operation["value"])
    if kind == "add":
        return _added(document, path, value, place)
    if kind == "replace":
        _found(document, path, place)
        return _replaced(document, path, value, place)
    if not _same(_found(document, path, place), value):
        raise _impossible(place, f"testing value {operation['path'][:200]} failed")
    return document


def _carried(document: Any, operation: Mapping[str, Any], path: Sequence[str], place: int) -> Any:
    if not isinstance(operation.get("from"), str):
        raise BadRequest(f"operation {place} of the JSON patch ({operation['op']}) has no from")
    source = _path(operation["from"], place)
    value = copy.deepcopy(_found(document, source, place))
    if operation["op"] == "move":
        if path[: len(source)] == source and path != source:
            raise _impossible(place, "a value cannot be moved into itself")
        document = _removed(document, source, place)
    return _added(document, path, value, place)


def _path(text: str, place: int) -> list[str]:
    if text and not text.startswith("/"):
        raise BadRequest(f"operation {place} of the JSON patch: {text[:200]!r} is not a JSON pointer")
    return [step.replace("~1", "/").replace("~0", "~") for step in text.split("/")[1:]]


def _found(document: Any, path: Sequence[str], place: int) -> Any:
    for step in path:
        if isinstance(document, dict) and step in document:
            document = document[step]
        elif isinstance(document, list):
            document = document[_index(step, len(document) - 1, place)]
        else:
            raise _impossible(place, f"there is nothing at /{'/'.join(path)[:200]}")
    return document


def _index(step: str, last: int, place: int) -> int:
    number = (
        int(step) if step.isascii() and step.isdigit() and len(step) < 10 and (step == "0" or step[0] != "0") else -1
    )
    if not 0 <= number <= last:
        raise _impossible(place, f"the list has no place {step[:40]!r}")
    return number


def _added(document: Any, path: Sequence[str], value: Any, place: int) -> Any:
    if not path:
        return value
    parent = _found(document, path[:-1], place)
    if isinstance(parent, dict):
        parent[path[-1]] = value
    elif isinstance(parent, list):
        parent.insert(len(parent) if path[-1] == "-" else _index(path[-1], len(parent), place), value)
    else:
        raise _impossible(place, f"nothing can be added below /{'/'.join(path[:-1])[:200]}")
    return document


def _replaced(document: Any, path: Sequence[str], value: Any, place: int) -> Any:
    if not path:
        return value
    parent = _found(document, path[:-1], place)
    parent[path[-1] if isinstance(parent, dict) else _index(path[-1], len(parent) - 1, place)] = value
    return document


def _removed(document: Any, path: Sequence[str], place: int) -> Any:
    if not path:
        raise _impossible(place, "the whole object cannot be removed")
    _found(document, path, place)
    parent = _found(document, path[:-1], place)
    del parent[path[-1] if isinstance(parent, dict) else _index(path[-1], len(parent) - 1, place)]
    return document


def _same(left: Any, right: Any) -> bool:
    """Equal as JSON: true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(_same(*pair) for pair in zip(left, right, strict=True))
    return bool(left == right)


def _impossible(place: int, why: str) -> Invalid:
    return Invalid(
        "the server rejected our request due to an error in our request: "
        f"operation {place} of the JSON patch cannot be done: {why}"
    )
