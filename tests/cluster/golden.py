"""The same requests to two aggregated APIs: each is told once, for any resource, and is sent to both.

What is compared is what a client acts upon: the status, the headers it reads and the shape of the body. The words of
a message are each side's own, and so is what lies in ``spec`` and ``status``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.cluster.raw import Answer, RawApi

HEADERS = ("content-type", "cache-control", "retry-after", "location")
"""Headers that clients of the API read, beside ``Warning``; ours adds ``Allow`` to a 405, as HTTP wants it."""
OWN_METADATA = {"generation", "generateName", "remainingItemCount"}
"""The sample counts no generations. Ours does not keep what a name was made from, which says nothing once there is one,
nor count what is left, for a page would cost as much as the whole."""
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
METADATA = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of one group, in one namespace; everything a request needs to be told for it."""

    group: str
    version: str
    plural: str
    kind: str
    namespace: str

    @property
    def versioned(self) -> str:
        """``group/version``."""
        return f"{self.group}/{self.version}"

    @property
    def root(self) -> str:
        """Path of the version."""
        return f"/apis/{self.versioned}"

    @property
    def everywhere(self) -> str:
        """Path of the list over all namespaces."""
        return f"{self.root}/{self.plural}"

    @property
    def collection(self) -> str:
        """Path of the list in the namespace."""
        return f"{self.root}/namespaces/{self.namespace}/{self.plural}"

    def one(self, name: str) -> str:
        """Path of an object."""
        return f"{self.collection}/{name}"

    def body(self, name: str = "", **metadata: object) -> dict[str, Any]:
        """A valid object."""
        named = {"name": name} if name else {}
        return {"apiVersion": self.versioned, "kind": self.kind, "metadata": {**named, **metadata}, "spec": {}}


Body = Callable[[Resource], bytes | dict[str, Any] | None]
Path = Callable[[Resource], str]


@dataclass(frozen=True)
class Request:
    """One row of the comparison."""

    name: str
    method: str
    path: Path
    body: Body = lambda _resource: None
    headers: dict[str, str] = field(default_factory=dict)
    stream: bool = False
    """The answer is a watch: compared are the kinds of its events, in order."""


def outcome(request: Request, resource: Resource, api: RawApi, known: dict[str, Any]) -> dict[str, Any]:
    """What of the answer is compared. ``known`` holds what earlier answers said: the last object by its name."""
    path, body = _filled(request.path(resource), known), request.body(resource)
    if isinstance(body, dict):
        body = _filled(json.dumps(body), known).encode()
    answer = api(request.method, path, body, **request.headers)
    if not request.stream:
        _remember(answer, known)
    return {
        "status": answer.status,
        "headers": {name: _header(answer, name) for name in HEADERS if answer.header(name)},
        "warnings": len(_warnings(answer)),
        "body": _events(answer, resource) if request.stream else _shape(answer, resource),
    }


def _filled(text: str, known: dict[str, Any]) -> str:
    """The text with what only an earlier answer can tell."""
    for name, thing in known.items():
        text = text.replace(f"<version of {name}>", thing["resourceVersion"])
    return text


def _remember(answer: Answer, known: dict[str, Any]) -> None:
    document = answer.json()
    if isinstance(document, dict) and "resourceVersion" in document.get("metadata", {}) and "items" not in document:
        known[document["metadata"].get("name", "")] = document["metadata"]


def _header(answer: Answer, name: str) -> str:
    return ",".join(sorted(set(answer.header(name).replace(" ", "").split(","))))


def _warnings(answer: Answer) -> list[str]:
    """Warnings beside the sample's own that its version is an old one."""
    return [value for name, value in answer.headers if name == "warning" and "deprecated" not in value]


def _events(answer: Answer, resource: Resource) -> list[Any]:
    events = [json.loads(line) for line in answer.body.splitlines()]
    return [[event.get("type"), _document(event.get("object"), resource)] for event in events]


def _shape(answer: Answer, resource: Resource) -> Any:
    document = answer.json()
    return _document(document, resource) if document is not None else f"{len(answer.body) > 0 and 'text'}"


def _document(document: Any, resource: Resource) -> Any:
    kind = document.get("kind") if isinstance(document, dict) else None
    if kind == "Status":
        return _status(document)
    if kind == "Table":
        return _table(document)
    if isinstance(document, dict) and "items" in document:
        # what the items are the list says; ours tells it of each, as the lists of custom resources do
        items = [_object({"apiVersion": "", "kind": "", **item}, resource) for item in document["items"] or ()]
        items = [{**item, "apiVersion": "", "kind": ""} for item in items]
        return {**_object(document, resource), "items": items}
    return _object(document, resource)


def _object(document: Any, resource: Resource) -> Any:
    if not isinstance(document, dict):
        return type(document).__name__
    names = {resource.kind: "Kind", f"{resource.kind}List": "KindList", resource.versioned: "group/version"}
    metadata = document.get("metadata") or {}
    return {
        "apiVersion": names.get(document.get("apiVersion", ""), document.get("apiVersion")),
        "kind": names.get(document.get("kind", ""), document.get("kind")),
        "metadata": sorted(set(metadata) - OWN_METADATA),
        "managers": [
            [entry.get("manager"), entry.get("operation"), entry.get("fieldsType"), "subresource" in entry]
            for entry in metadata.get("managedFields", ())
        ],
    }


def _status(document: dict[str, Any]) -> dict[str, Any]:
    details = document.get("details")
    found: dict[str, Any] = {key: document.get(key) for key in ("status", "reason", "code", "apiVersion")}
    found["keys"] = sorted(set(document) - {"message"}) + ["message"] * bool(document.get("message"))
    if details is not None:
        found["details"] = sorted(details)
        causes = details.get("causes", ())
        found["causes"] = sorted({(str(cause.get("reason")), str(cause.get("field"))) for cause in causes})
    return found


def _table(document: dict[str, Any]) -> dict[str, Any]:
    rows = document.get("rows") or []
    return {
        "apiVersion": document.get("apiVersion"),
        "metadata": sorted(document["metadata"]),
        "column": sorted((document.get("columnDefinitions") or [{}])[0]),
        "cells": [len(row["cells"]) == len(document["columnDefinitions"]) for row in rows],
        "objects": [
            [(row.get("object") or {}).get("kind") == "PartialObjectMetadata", bool(row.get("object"))] for row in rows
        ],
    }
