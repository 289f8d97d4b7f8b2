"""Reading the body of a request: JSON or YAML, and which names it says twice.

A name that is said twice is a mistake in a file that somebody wrote by hand; the last one counts, and whether that is
refused, told or passed over is the caller's choice (:mod:`~image_registry.image_api.forms`). So objects remember it.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from typing import Any

import yaml

from image_registry.image_api.negotiation import JSON, YAML
from image_registry.image_api.status import BadRequest, UnsupportedMediaType

DEEPEST = 100
"""Levels of lists and objects; real ones have ten."""


class Members(dict[str, Any]):
    """An object that remembers which of its members were said twice."""

    __slots__ = ("twice",)

    def __init__(self, members: Mapping[str, Any] | None = None, twice: tuple[str, ...] = ()) -> None:
        super().__init__(members or {})
        self.twice = twice


def media_type(content_type: str) -> str:
    """The type of a body without its parameters; JSON where the client says nothing."""
    return content_type.partition(";")[0].strip().lower() or JSON


def read(body: bytes, content_type: str, *, accepted: tuple[str, ...] = (JSON, YAML)) -> Members:
    """The object in a body. Raises :class:`BadRequest`, :class:`UnsupportedMediaType`."""
    given = media_type(content_type)
    if given not in accepted:
        raise UnsupportedMediaType(
            f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}"
        )
    if not body.strip():
        raise BadRequest("the body of the request is empty: send the object, as JSON or YAML")
    document = parse_json(body) if given == JSON else parse_yaml(body)
    if not isinstance(document, Members):
        raise BadRequest("the body of the request is not an object: send one object with its members")
    return document


def parse_json(body: bytes) -> Any:
    """Any JSON. Raises :class:`BadRequest`."""
    try:
        document = json.loads(body, object_pairs_hook=_members, parse_constant=_not_json)
    except RecursionError:
        raise BadRequest(f"the body is nested more than {DEEPEST} levels deep") from None
    except ValueError as error:
        raise BadRequest(f"couldn't read the body as JSON: {_brief(error)}") from None
    _check_depth(document)
    return document


def parse_yaml(body: bytes) -> Any:
    """Any YAML that is JSON in another spelling. Raises :class:`BadRequest`."""
    try:
        document = yaml.load(body, _Loader)  # noqa: S506 - it makes texts, numbers, lists and objects only
    except RecursionError:
        raise BadRequest(f"the body is nested more than {DEEPEST} levels deep") from None
    except (ValueError, yaml.YAMLError) as error:
        raise BadRequest(f"couldn't read the body as YAML: {_brief(error)}") from None
    _check_depth(document)
    return document


def _members(pairs: list[tuple[str, Any]]) -> Members:
    found = Members(dict(pairs))
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        found.twice = tuple(dict.fromkeys(name for name in names if names.count(name) > 1))
    return found


def _check_depth(document: Any) -> None:
    level = [document]
    for _ in range(DEEPEST + 1):
        level = [
            inner
            for value in level
            if isinstance(value, dict | list)
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return
    raise BadRequest(f"the body is nested more than {DEEPEST} levels deep")


def _not_json(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


class _Loader(yaml.SafeLoader):
    """JSON in another spelling: no references (a few of them become more than fits into memory), no dates."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as the library declares it
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("references (*name) are not supported")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = True) -> dict[Hashable, Any]:  # noqa: FBT002, ARG002 - the library's
        pairs = [(_key(self.construct_object(key, deep=True)), value) for key, value in node.value]
        return _members([(key, self.construct_object(value, deep=True)) for key, value in pairs])  # type: ignore[return-value]


def _key(value: Any) -> str:
    """Names of members are texts; YAML reads ``1:`` and ``true:`` as something else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int):
        return str(value)
    raise yaml.YAMLError(f"{value!r} cannot be the name of a member")


def _construct(loader: _Loader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    return loader.construct_mapping(node)


def _construct_float(loader: _Loader, node: yaml.ScalarNode) -> float:
    value: float = yaml.SafeLoader.construct_yaml_float(loader, node)
    if value != value or value in (float("inf"), float("-inf")):
        raise yaml.YAMLError(f"{node.value} is not a number of JSON")
    return value


_Loader.add_constructor("tag:yaml.org,2002:map", _construct)
_Loader.add_constructor("tag:yaml.org,2002:float", _construct_float)
