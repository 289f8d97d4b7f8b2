"""Comparing an object with the schema of its kind: names that nobody knows, names said twice, values of a wrong type.

A wrong type cannot be read and is always refused. What is unknown or said twice is what ``fieldValidation`` is about:
refused (``Strict``), told in ``Warning`` headers (``Warn``), or passed over (``Ignore``); it is never kept.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from image_registry.image_api.bodies import Members
from image_registry.image_api.schema_words import Schema
from image_registry.image_api.schemas import schemas
from image_registry.image_api.status import BadRequest
from image_registry.imagestreams.problems import type_name

STRICT, WARN, IGNORE = "Strict", "Warn", "Ignore"
MODES = (IGNORE, WARN, STRICT)

MOST = 20
"""Complaints that are told."""

_SCHEMAS = schemas()

_FORMS: Mapping[str, tuple[type, str]] = {
    "object": (dict, "an object"),
    "array": (list, "a list"),
    "string": (str, "a text"),
    "integer": (int, "a whole number"),
    "boolean": (bool, "true or false"),
}


@dataclass(slots=True)
class Reading:
    """The object as far as it is known, and what was left out."""

    document: dict[str, Any]
    complaints: list[str] = field(default_factory=list)

    def settle(self, mode: str, kind: str) -> tuple[str, ...]:
        """Do what ``mode`` says about the complaints; returns warnings. Raises :class:`BadRequest`."""
        told = self.complaints[:MOST]
        if mode == STRICT and told:
            raise BadRequest(
                f'{kind} in version "v1" cannot be handled as a {kind}: strict decoding error: {", ".join(told)}'
            )
        return tuple(told) if mode == WARN else ()


def resolve(schema: Schema) -> Schema:
    """The schema that a reference means."""
    while "$ref" in schema:
        schema = _SCHEMAS[schema["$ref"]]
    return schema


def of_kind(kind: str) -> Schema:
    """The schema of a kind."""
    return _SCHEMAS[kind]


def read(document: Mapping[str, Any], kind: str) -> Reading:
    """Compare with the schema of ``kind``; ``null`` is the same as absent. Raises :class:`BadRequest`."""
    reading = Reading({})
    value = _walk(document, {"$ref": kind}, "", reading.complaints, kind)
    reading.document = value if isinstance(value, dict) else {}
    return reading


def repeated(value: Any, path: str = "") -> list[str]:
    """Complaints about names that a patch says twice."""
    found: list[str] = []
    if isinstance(value, Members):
        found += [f'duplicate field "{path}{name}"' for name in value.twice]
    if isinstance(value, dict):
        for name, member in value.items():
            found += repeated(member, f"{path}{name}.")
    elif isinstance(value, list):
        for place, item in enumerate(value):
            found += repeated(item, f"{path.removesuffix('.')}[{place}].")
    return found


def _walk(value: Any, schema: Schema, path: str, complaints: list[str], kind: str) -> Any:
    schema = resolve(schema)
    form = schema.get("type", "object")
    types, wanted = _FORMS[form]
    if not _is(value, types):
        raise _wrong(value, wanted, path, kind)
    if form == "object":
        return _object(value, schema, path, complaints, kind)
    if form == "array":
        return [
            _walk(item, schema["items"], f"{path}[{place}]", complaints, kind)
            for place, item in enumerate(value)
            if item is not None
        ]
    if form == "string":
        _check_format(value, schema.get("format", ""), path, kind)
    if form == "integer" and not -(1 << 63) <= value < 1 << 63:
        raise _wrong(value, "a whole number of 64 bits", path, kind)
    return value


def _is(value: Any, form: type) -> bool:
    """Of this form as JSON knows it: true is no number."""
    return isinstance(value, form) and not (form is int and isinstance(value, bool))


def _object(value: Mapping[str, Any], schema: Schema, path: str, complaints: list[str], kind: str) -> dict[str, Any]:
    inside = f"{path}." if path else ""
    if isinstance(value, Members):
        complaints += [f'duplicate field "{inside}{name}"' for name in value.twice]
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return dict(value)
    known: Mapping[str, Schema] = schema.get("properties", {})
    others = schema.get("additionalProperties")
    found: dict[str, Any] = {}
    for name, member in value.items():
        described = known.get(name, others)
        if described is None:
            complaints.append(f'unknown field "{inside}{name[:100]}"')
        elif member is not None:
            if others is not None:
                _check_text(name, f"{path}: a name in it", kind)
            found[name] = _walk(member, described, f"{inside}{name}", complaints, kind)
        elif others is not None:
            found[name] = ""
    return found


def _check_format(value: str, form: str, path: str, kind: str) -> None:
    if form == "date-time":
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None or "T" not in value:
            raise _wrong(value, "a time such as 2030-01-31T12:00:00Z", path, kind)
    elif form == "byte":
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise _wrong(value, "base64", path, kind) from None
    _check_text(value, path, kind)


def _check_text(value: str, path: str, kind: str) -> None:
    """What is JSON and what no database stores: NUL and halves of surrogate pairs."""
    if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise BadRequest(
            f'{kind} in version "v1" cannot be handled as a {kind}: {path} holds characters that no text can have'
        )


def _wrong(value: Any, wanted: str, path: str, kind: str) -> BadRequest:
    shown = f' "{value[:60]}"' if isinstance(value, str) else ""
    return BadRequest(
        f'{kind} in version "v1" cannot be handled as a {kind}: {path or "the body"} must be {wanted}, '
        f"not {type_name(value)}{shown}"
    )
