"""Custom resources that could name images and that nobody asked to look at: which kinds, and whether they do.

Where a kind names images is known to whoever made it. Its definition tells whether it could, and the first page of its
objects whether one names the legacy registry; more is not read. What discovery reads anyway is no news.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from image_registry.kube.image_references import CustomField, texts_in
from image_registry.migration.facts import KindFact
from image_registry.migration.reading import PAGE, Reader, at, objects, text
from image_registry.pruning.references import Hosts

MOST_WAYS = 5
"""Fields of one kind that are named."""

_OURS = ("imageregistry.operator.alauda.io", "image.alauda.io")
_READ_ANYWAY = frozenset({"moduleinfoes", "clusterplugininstances", "appreleases", "resourcepatches"})
_OPEN = "x-kubernetes-preserve-unknown-fields"
_NOT_SAID = ("metadata", "status")
"""What controllers write, or every object has."""


def read_custom_kinds(reader: Reader, fields: Sequence[CustomField], hosts: Hosts) -> tuple[KindFact, ...]:
    """Kinds with objects, by name, but for those of ``fields``."""
    known = {(field.group, field.resource) for field in fields}
    return tuple(_kinds(reader, known, hosts))


def _kinds(reader: Reader, known: set[tuple[str, str]], hosts: Hosts) -> Iterator[KindFact]:
    what = "custom resources"
    for definition in reader.list(what, "apiextensions.k8s.io/v1", "customresourcedefinitions"):
        group, resource = text(at(definition, "spec", "group")), text(at(definition, "spec", "names", "plural"))
        if group in _OURS or resource in _READ_ANYWAY or (group, resource) in known:
            continue
        served = [entry for entry in objects(at(definition, "spec", "versions")) if entry.get("served")]
        version = next((entry for entry in served if entry.get("storage")), next(iter(served), None))
        if version is None or not could_name(at(version, "schema", "openAPIV3Schema")):
            continue
        group_version = f"{group}/{text(version.get('name'))}"
        found = list(islice(reader.list(f"{what}: {resource}.{group}", group_version, resource), PAGE))
        if not found:
            continue
        naming = [each for each in found if any(any(hosts.search(said)) for said in _texts(each))]
        ways = dict.fromkeys(way for each in naming for way in _ways(each, hosts))
        name = f"{group_version}/{resource}"
        yield KindFact(name, len(found), len(naming), tuple(ways)[:MOST_WAYS])


def could_name(schema: Any) -> bool:
    """Whether a definition has a field for an image, or does not say what fields there are."""
    if not isinstance(schema, Mapping):
        return False
    if schema.get(_OPEN):
        return True
    properties = schema.get("properties")
    for name, inner in properties.items() if isinstance(properties, Mapping) else ():
        if name in _NOT_SAID:
            continue
        if str(name).lower().endswith(("image", "images")) or could_name(inner):
            return True
    return any(could_name(schema.get(inner)) for inner in ("items", "additionalProperties"))


def _said(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in _NOT_SAID}


def _texts(document: Mapping[str, Any]) -> Iterator[str]:
    yield from texts_in(_said(document))


def _ways(document: Mapping[str, Any], hosts: Hosts) -> Iterator[str]:
    """Paths of fields that hold nothing but an image of ours, as a choice names them."""
    waiting: list[tuple[str, Any]] = [("", _said(document))]
    while waiting:
        way, value = waiting.pop()
        if isinstance(value, Mapping):
            waiting += [(_step(way, str(key)), inner) for key, inner in value.items()]
        elif isinstance(value, list):
            waiting += [(f"{way}[*]", inner) for inner in value]
        elif isinstance(value, str) and hosts.is_ours(value):
            yield way


def _step(way: str, key: str) -> str:
    if not key.replace("_", "").replace("-", "").isalnum():
        return f"{way}['{key}']"
    return f"{way}.{key}" if way else key
