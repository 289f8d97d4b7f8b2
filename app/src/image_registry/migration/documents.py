"""Values as documents and back: inventories, plans and journals outlive the process that made them.

Dataclasses become objects with the names of their fields, tuples lists. Reading is strict: a document of another
version, or with a member that is not known, is refused: a plan that is half understood must not be executed.
"""

from __future__ import annotations

import hashlib
import json
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


class InvalidDocument(ValueError):
    """It is not what it should be; the text says where."""


def to_document(value: Any) -> Any:
    """Plain values: dictionaries, lists, texts, numbers. What is empty is left out of objects."""
    if is_dataclass(value) and not isinstance(value, type):
        found = {}
        for field in fields(value):
            inner = getattr(value, field.name)
            if field.default_factory is not MISSING and not inner:
                continue
            if field.default is not MISSING and inner == field.default:
                continue
            found[field.name] = to_document(inner)
        return found
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): to_document(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [to_document(inner) for inner in value]
    if isinstance(value, frozenset | set):
        return sorted(to_document(inner) for inner in value)
    return value


def from_document(kind: type[T], document: Any, where: str = "the document") -> T:
    """The value that :func:`to_document` wrote. Raises :class:`InvalidDocument`."""
    return cast("T", _read(kind, document, where))


def digest_of(document: Any) -> str:
    """Of the document in its one spelling: keys sorted, no blanks."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _read(kind: Any, document: Any, where: str) -> Any:
    if kind is Any:
        return document
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        options = get_args(kind)
        if document is None and type(None) in options:
            return None
        return _read(next(option for option in options if option is not type(None)), document, where)
    if origin is tuple:
        _expect(document, list, where)
        return tuple(_read(get_args(kind)[0], item, f"{where}[{index}]") for index, item in enumerate(document))
    if origin is not None and issubclass(origin, Mapping):
        _expect(document, dict, where)
        return {key: _read(get_args(kind)[1], item, f"{where}.{key}") for key, item in document.items()}
    if isinstance(kind, type) and is_dataclass(kind):
        return _read_object(kind, document, where)
    if isinstance(kind, type) and issubclass(kind, Enum):
        try:
            return kind(document)
        except ValueError:
            raise InvalidDocument(f"{where} is {document!r}, which this version does not know") from None
    if kind is float and isinstance(document, int) and not isinstance(document, bool):
        return float(document)
    _expect(document, kind, where)
    return document


def _read_object(kind: type, document: Any, where: str) -> Any:
    _expect(document, dict, where)
    hints = _hints(kind)
    strange = sorted(set(document) - {field.name for field in fields(kind)})
    if strange:
        raise InvalidDocument(f"{where} has {strange[0]!r}, which this version does not know; make it anew")
    values = {}
    for field in fields(kind):
        if field.name in document:
            values[field.name] = _read(hints[field.name], document[field.name], f"{where}.{field.name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise InvalidDocument(f"{where} has no {field.name!r}; make it anew")
    return kind(**values)


def _expect(value: Any, kind: Any, where: str) -> None:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise InvalidDocument(f"{where} is no {getattr(kind, '__name__', kind)}")
