"""OpenAPI 2 and 3, made of the list of resources and of the schemas (parity reference 2.3).

The kube-apiserver reads both: version 2 is joined into its own document, version 3 is passed on to clients, who keep
it for as long as the hash in its address is the same. Only operations that are truly served are described.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from image_registry.image_api.negotiation import ENCODINGS
from image_registry.image_api.resources import RESOURCES, VERSION, Resource
from image_registry.image_api.schemas import PREFIX, schemas
from image_registry.image_api.write_options import PATCHES

TITLE = "Alauda Container Platform Image API"

Parameter = tuple[str, str, str]
"""Name, type and description."""

_LIST_PARAMETERS = (
    ("continue", "string", "Goes on where a page ended."),
    ("fieldSelector", "string", "Selects by fields, such as metadata.name=app."),
    ("labelSelector", "string", "Selects by labels, such as app=web,tier!=db."),
    ("limit", "integer", "Objects of a page at most."),
    ("resourceVersion", "string", "State that the answer must show at least."),
    ("resourceVersionMatch", "string", "How resourceVersion is meant: NotOlderThan or Exact."),
)
_WATCH_PARAMETERS = (
    ("allowWatchBookmarks", "boolean", "Say now and then how far the watch has come."),
    ("sendInitialEvents", "boolean", "Begin a watch with what there is; needs resourceVersionMatch=NotOlderThan."),
    ("timeoutSeconds", "integer", "Seconds until a watch ends."),
    ("watch", "boolean", "Tell what happens, an event a line, instead of a list."),
)
_GET_PARAMETERS = (("resourceVersion", "string", "State that the answer must show at least."),)
_DELETE_PARAMETERS = (
    ("dryRun", "string", "All: check everything and delete nothing."),
    ("gracePeriodSeconds", "integer", "Ignored: nothing here ends slowly."),
    ("orphanDependents", "boolean", "Ignored: nothing here has dependents."),
    ("propagationPolicy", "string", "Background, Foreground or Orphan; all mean the same here."),
)
_WRITE_PARAMETERS = (
    ("dryRun", "string", "All: check everything and write nothing."),
    ("fieldManager", "string", "Who writes; remembered in managedFields."),
    ("fieldValidation", "string", "What is done about unknown and repeated members: Strict, Warn or Ignore."),
)
_FORCE = (("force", "boolean", "When applying: take members from other managers."),)
_PRETTY = ("pretty", "string", "If true, the answer is indented.")


@dataclass(frozen=True, slots=True)
class Operation:
    """One verb on one path."""

    path: str
    method: str
    identifier: str
    action: str
    description: str
    resource: Resource
    answer: str
    """Name of the schema of the answer."""
    query: tuple[Parameter, ...]

    @property
    def body(self) -> str:
        """Name of the schema of the body; empty for none."""
        match self.method:
            case "delete":
                return "DeleteOptions"
            case "post" | "put":
                return self.resource.kind
            case "patch":
                return "Patch"
        return ""

    @property
    def consumes(self) -> tuple[str, ...]:
        """Media types of the body."""
        if self.method == "patch":
            return patches(self.resource)
        return ENCODINGS if self.method in {"post", "put"} else ("*/*",)

    @property
    def codes(self) -> Mapping[str, str]:
        """How it may succeed."""
        made = {"201": "Created"} if self.method in {"post", "put", "patch"} else {}
        return {"200": "OK", **made}

    @property
    def path_parameters(self) -> tuple[Parameter, ...]:
        """Those in braces."""
        names = (("namespace", "Namespace of the object."), ("name", f"Name of the {self.resource.kind}."))
        return tuple((name, "string", text) for name, text in names if f"{{{name}}}" in self.path)


def patches(resource: Resource) -> tuple[str, ...]:
    """Media types of patches; a view of another object is not applied to, because it has no managers of its own."""
    return PATCHES if resource.managed else PATCHES[:-1]


def operations() -> Iterator[Operation]:
    """All that are served."""
    for resource in RESOURCES:
        yield from _reads(resource)
        yield from _writes(resource)


def _writes(resource: Resource) -> Iterator[Operation]:
    collection, one = resource.path(one=False), resource.path(one=True)
    kind = resource.kind
    name = f"ImageAlaudaIoV1{'Namespaced' if resource.namespaced else ''}{resource.title}"
    query = (*_WRITE_PARAMETERS, _PRETTY)
    verbs = (
        ("create", collection, "post", "create", query),
        ("update", one, "put", "replace", query),
        ("patch", one, "patch", "patch", (*query, *_FORCE)),
    )
    for verb, path, method, word, parameters in verbs:
        if verb in resource.verbs:
            text = f"{verb.capitalize()} one {kind}"
            yield Operation(path, method, f"{word}{name}", _ACTIONS[verb], text, resource, kind, parameters)


_ACTIONS = {"create": "post", "update": "put", "patch": "patch"}
"""What ``x-kubernetes-action`` calls the verbs that write."""


def _reads(resource: Resource) -> Iterator[Operation]:
    query: tuple[Parameter, ...]
    collection, one = resource.path(one=False), resource.path(one=True)
    scope = "Namespaced" if resource.namespaced else ""
    name = f"ImageAlaudaIoV1{scope}{resource.title}"
    watching = _WATCH_PARAMETERS if "watch" in resource.verbs else ()
    listing = (resource.list_kind, (*_LIST_PARAMETERS, *watching, _PRETTY))
    kind = resource.kind
    if "list" in resource.verbs:
        text = f"List objects of kind {kind}"
        yield Operation(collection, "get", f"list{name}", "list", text, resource, *listing)
        if resource.namespaced:
            everywhere = f"listImageAlaudaIoV1{kind}ForAllNamespaces"
            yield Operation(
                resource.path(one=False, everywhere=True), "get", everywhere, "list", text, resource, *listing
            )
    if "deletecollection" in resource.verbs:
        query = (*_LIST_PARAMETERS, *_DELETE_PARAMETERS, _PRETTY)
        text = f"Delete objects of kind {kind}"
        identifier = f"deleteImageAlaudaIoV1Collection{scope}{kind}"
        yield Operation(collection, "delete", identifier, "deletecollection", text, resource, resource.list_kind, query)
    if "get" in resource.verbs:
        query = (*_GET_PARAMETERS, _PRETTY)
        yield Operation(one, "get", f"read{name}", "get", f"Read one {kind}", resource, kind, query)
    if "delete" in resource.verbs:
        query = (*_DELETE_PARAMETERS, _PRETTY)
        yield Operation(one, "delete", f"delete{name}", "delete", f"Delete one {kind}", resource, "Status", query)


def version_2(release: str) -> dict[str, Any]:
    """The document at ``/openapi/v2``."""
    return {
        "swagger": "2.0",
        "info": {"title": TITLE, "version": release},
        "paths": _paths(_operation_2, _parameter_2),
        "definitions": _schemas(lambda name: {"$ref": f"#/definitions/{PREFIX}{name}"}),
    }


def version_3(release: str) -> dict[str, Any]:
    """The document at ``/openapi/v3/apis/<group>/<version>``."""
    return {
        "openapi": "3.0.0",
        "info": {"title": TITLE, "version": release},
        "paths": _paths(_operation_3, _parameter_3),
        "components": {"schemas": _schemas(_reference_3)},
    }


def _paths(
    operation: Callable[[Operation], dict[str, Any]], parameter: Callable[[Parameter, str], dict[str, Any]]
) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for entry in operations():
        gvk = {"group": entry.resource.kind_group, "kind": entry.resource.kind, "version": VERSION}
        described = operation(entry)
        query = [parameter(given, "query") for given in entry.query]
        path = paths.setdefault(entry.path, {})
        path[entry.method] = {
            "description": entry.description,
            "operationId": entry.identifier,
            "tags": ["imageAlaudaIo_v1"],
            "x-kubernetes-action": entry.action,
            "x-kubernetes-group-version-kind": gvk,
            **described,
            "parameters": [*described.get("parameters", ()), *query],
        }
        if entry.path_parameters:
            path["parameters"] = [parameter(given, "path") for given in entry.path_parameters]
    return paths


def _operation_2(entry: Operation) -> dict[str, Any]:
    body: dict[str, Any] = {"in": "body", "name": "body", "schema": {"$ref": f"#/definitions/{PREFIX}{entry.body}"}}
    if entry.method != "delete":
        body["required"] = True
    return {
        "consumes": list(entry.consumes),
        "produces": list(ENCODINGS),
        "schemes": ["https"],
        "parameters": [body] if entry.body else [],
        "responses": {
            **{
                code: {"description": text, "schema": {"$ref": f"#/definitions/{PREFIX}{entry.answer}"}}
                for code, text in entry.codes.items()
            },
            "401": {"description": "Unauthorized"},
        },
    }


def _operation_3(entry: Operation) -> dict[str, Any]:
    def content(name: str, *types: str) -> dict[str, Any]:
        return {"content": {given: {"schema": {"$ref": f"#/components/schemas/{PREFIX}{name}"}} for given in types}}

    return {
        **({"requestBody": content(entry.body, *entry.consumes)} if entry.body else {}),
        "responses": {
            **{code: {"description": text, **content(entry.answer, *ENCODINGS)} for code, text in entry.codes.items()},
            "401": {"description": "Unauthorized"},
        },
    }


def _parameter_2(given: Parameter, where: str) -> dict[str, Any]:
    name, form, text = given
    return {
        "name": name,
        "in": where,
        "description": text,
        "type": form,
        "uniqueItems": True,
        **({"required": True} if where == "path" else {}),
    }


def _parameter_3(given: Parameter, where: str) -> dict[str, Any]:
    name, form, text = given
    return {
        "name": name,
        "in": where,
        "description": text,
        "schema": {"type": form, "uniqueItems": True},
        **({"required": True} if where == "path" else {}),
    }


def _reference_3(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{PREFIX}{name}"}


def _schemas(reference: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    return {f"{PREFIX}{name}": _resolved(schema, reference) for name, schema in schemas().items()}


def _resolved(schema: Any, reference: Callable[[str], dict[str, Any]]) -> Any:
    if isinstance(schema, list):
        return [_resolved(item, reference) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    if "$ref" not in schema:
        return {key: _resolved(value, reference) for key, value in schema.items()}
    target = reference(schema["$ref"])
    if len(schema) == 1 or not target["$ref"].startswith("#/components"):
        return {**schema, **target}
    # version 3 ignores whatever stands beside a $ref
    return {**{key: value for key, value in schema.items() if key != "$ref"}, "allOf": [target]}
