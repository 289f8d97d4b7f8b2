"""The rows of the golden comparison, in the order in which they are sent: each finds what those before it left."""

from __future__ import annotations

import json
from typing import Any

from tests.cluster.golden import (
    APPLY,
    JSON_PATCH,
    MERGE,
    METADATA,
    METADATA_LIST,
    STRATEGIC,
    TABLE,
    Request,
)


def _get(name: str, query: str, **headers: str) -> Request:
    return Request(name, "GET", lambda r: f"{r.collection}{query}", headers=headers)


def _create(name: str, body: Any, query: str = "", **headers: str) -> Request:
    make = body if callable(body) else lambda _r: body
    return Request(name, "POST", lambda r: f"{r.collection}{query}", make, headers)


def _put(name: str, target: str, body: Any, query: str = "", **headers: str) -> Request:
    return Request(name, "PUT", lambda r: f"{r.one(target)}{query}", body, headers)


def _patch(name: str, target: str, kind: str, document: Any, query: str = "") -> Request:
    raw = document if callable(document) else lambda _r: json.dumps(document).encode()
    return Request(name, "PATCH", lambda r: f"{r.one(target)}{query}", raw, {"Content_Type": kind})


def _delete(name: str, target: str, body: Any = None, query: str = "") -> Request:
    return Request(name, "DELETE", lambda r: f"{r.one(target)}{query}", lambda _r: body)


def _options(**fields: Any) -> dict[str, Any]:
    return {"kind": "DeleteOptions", "apiVersion": "v1", **fields}


def _applied(name: str, **metadata: Any) -> Any:
    return lambda r: json.dumps(r.body(name, **metadata)).encode()


DISCOVERY = [
    Request("discovery of the version", "GET", lambda r: r.root),
    Request("discovery of the group", "GET", lambda r: f"/apis/{r.group}"),
    Request("discovery of a version that is not there", "GET", lambda r: f"/apis/{r.group}/v9"),
    Request("a resource that is not there", "GET", lambda r: f"{r.root}/namespaces/{r.namespace}/nothings"),
    Request("a subresource that is not there", "GET", lambda r: f"{r.one('a')}/nothing"),
    Request("a method the version does not have", "POST", lambda r: r.root, lambda _r: {}),
]
EMPTY = [
    _get("an empty list", ""),
    _get("an empty list as a table", "", Accept=TABLE),
    _get("an empty list of metadata", "", Accept=METADATA_LIST),
    Request("an empty list of all namespaces", "GET", lambda r: f"{r.everywhere}?labelSelector=no%3Dsuch"),
    Request("a list in a namespace that is not there", "GET", lambda r: f"{r.root}/namespaces/no-such/{r.plural}"),
    Request("an object that is not there", "GET", lambda r: r.one("none")),
    Request("an object that is not there, as a table", "GET", lambda r: r.one("none"), headers={"Accept": TABLE}),
    _delete("delete what is not there", "none"),
    _patch("patch what is not there", "none", MERGE, {"metadata": {"labels": {"a": "b"}}}),
    Request("delete an empty collection", "DELETE", lambda r: r.collection),
]
CREATE = [
    _create("create", lambda r: r.body("a", labels={"app": "one"})),
    _create("create what is there", lambda r: r.body("a")),
    _create("create without a name", lambda r: r.body()),
    _create("create with a generated name", lambda r: r.body(generateName="made-")),
    _create("create in another namespace than the path's", lambda r: r.body("b", namespace="elsewhere")),
    _create("create another kind", lambda r: {**r.body("b"), "kind": "Other"}),
    _create("create another version", lambda r: {**r.body("b"), "apiVersion": f"{r.group}/v9"}),
    _create("create another group", lambda r: {**r.body("b"), "apiVersion": "apps/v1"}),
    _create("create from nothing", b""),
    _create("create from what is not JSON", b"{"),
    _create("create from a list", b"[]"),
    _create("create with a resourceVersion", lambda r: r.body("b", resourceVersion="5")),
    _create("create with a uid of one's own", lambda r: r.body("own-uid", uid="11111111-2222-3333-4444-555555555555")),
    _create(
        "create with an unknown field, strictly", lambda r: {**r.body("s"), "nothing": 1}, "?fieldValidation=Strict"
    ),
    _create("create with an unknown field, warned", lambda r: {**r.body("w"), "nothing": 1}, "?fieldValidation=Warn"),
    _create(
        "create with an unknown field, ignored", lambda r: {**r.body("i"), "nothing": 1}, "?fieldValidation=Ignore"
    ),
    _create(
        "create with a field twice, strictly",
        lambda r: json.dumps(r.body("t")).replace('"spec"', '"kind": "x", "spec"').encode(),
        "?fieldValidation=Strict",
    ),
    _create("create with another word for validation", lambda r: r.body("v"), "?fieldValidation=Maybe"),
    _create("create for a trial", lambda r: r.body("trial"), "?dryRun=All"),
    Request("what was tried is not there", "GET", lambda r: r.one("trial")),
    _create("create for another trial", lambda r: r.body("trial"), "?dryRun=Some"),
    _create("create with a label that is none", lambda r: r.body("label", labels={"a b": "!"})),
    _create("create with an annotation that is none", lambda r: r.body("note", annotations={"a b": "x"})),
    _create("create with a finalizer that is none", lambda r: r.body("final", finalizers=["not qualified"])),
    _create(
        "create with an owner that is none",
        lambda r: r.body("owned", ownerReferences=[{"apiVersion": "v1", "kind": "Pod", "name": "", "uid": ""}]),
    ),
    _create("create with a label of a wrong type", lambda r: r.body("typed", labels={"a": 1})),
    _create("create from YAML", b"not: [really", Content_Type="application/yaml"),
    _create("create from a type that is not known", b"x", Content_Type="text/plain"),
    _create("create with a manager", lambda r: r.body("managed"), "?fieldManager=somebody"),
    _create("create with a manager that is none", lambda r: r.body("m2"), f"?fieldManager={'x' * 200}"),
]
READ = [
    Request("get", "GET", lambda r: r.one("a")),
    Request("get as a table", "GET", lambda r: r.one("a"), headers={"Accept": TABLE}),
    Request("get the metadata", "GET", lambda r: r.one("a"), headers={"Accept": METADATA}),
    Request("get as nothing known", "GET", lambda r: r.one("a"), headers={"Accept": "text/html"}),
    Request("get as several", "GET", lambda r: r.one("a"), headers={"Accept": "text/html, application/json;q=0.5"}),
    Request("get as YAML", "GET", lambda r: r.one("a"), headers={"Accept": "application/yaml"}),
    Request("get at a version that is none", "GET", lambda r: f"{r.one('a')}?resourceVersion=x"),
    Request("get, told nicely", "GET", lambda r: f"{r.one('a')}?pretty=true"),
    _get("list", "?labelSelector=app%3Done"),
    _get("list as a table with objects", "?labelSelector=app%3Done&includeObject=Object", Accept=TABLE),
    _get("list as a table without", "?labelSelector=app%3Done&includeObject=None", Accept=TABLE),
    _get("list as a table with what is not known", "?includeObject=Some", Accept=TABLE),
    _get("list by name", "?fieldSelector=metadata.name%3Da"),
    _get("list by a field that is not known", "?fieldSelector=spec.nothing%3Da"),
    _get("list by a selector that is none", "?labelSelector=%3D%3D%3D"),
    _get("list by a field selector that is none", "?fieldSelector=a"),
    _get("list with a limit that is none", "?limit=x"),
    _get("list with a token that is none", "?continue=x"),
    _get("list a page", "?limit=1"),
    _get("list with a match of versions without a version", "?resourceVersionMatch=Exact"),
    _get("list with a match that is not known", "?resourceVersion=1&resourceVersionMatch=Maybe"),
    _get("list not older than zero", "?resourceVersion=0&resourceVersionMatch=NotOlderThan&labelSelector=app%3Done"),
    _get("list at exactly zero", "?resourceVersion=0&resourceVersionMatch=Exact"),
    _get("list at a version that is none", "?resourceVersion=x"),
    _get("list with first events", "?sendInitialEvents=true"),
]
WATCH = [
    Request(
        "watch from the beginning",
        "GET",
        lambda r: f"{r.collection}?watch=1&timeoutSeconds=1&labelSelector=app%3Done",
        stream=True,
    ),
    Request(
        "watch with first events",
        "GET",
        lambda r: (
            f"{r.collection}?watch=1&timeoutSeconds=1&labelSelector=app%3Done&sendInitialEvents=true"
            "&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
        ),
        stream=True,
    ),
    Request("watch with first events and no match", "GET", lambda r: f"{r.collection}?watch=1&sendInitialEvents=true"),
    Request("watch from a version that is none", "GET", lambda r: f"{r.collection}?watch=1&resourceVersion=x"),
    Request("watch with a time that is none", "GET", lambda r: f"{r.collection}?watch=1&timeoutSeconds=x"),
    Request(
        "watch as a table",
        "GET",
        lambda r: f"{r.collection}?watch=1&timeoutSeconds=1&labelSelector=app%3Done",
        headers={"Accept": TABLE},
        stream=True,
    ),
]
UPDATE = [
    _put("update", "a", lambda r: r.body("a", resourceVersion="<version of a>", labels={"app": "two"})),
    _put(
        "update without a change", "a", lambda r: r.body("a", resourceVersion="<version of a>", labels={"app": "two"})
    ),
    _put("update of an older version", "a", lambda r: r.body("a", resourceVersion="1")),
    _put("update at a version that is none", "a", lambda r: r.body("a", resourceVersion="x")),
    _put("update under another name", "a", lambda r: r.body("z", resourceVersion="<version of a>")),
    _put("update of another uid", "a", lambda r: r.body("a", resourceVersion="<version of a>", uid="no-such")),
    _put(
        "update with an unknown field, strictly",
        "a",
        lambda r: {**r.body("a", resourceVersion="<version of a>"), "nothing": 1},
        "?fieldValidation=Strict",
    ),
    _put(
        "update for a trial",
        "a",
        lambda r: r.body("a", resourceVersion="<version of a>", labels={"t": "1"}),
        "?dryRun=All",
    ),
    _put(
        "update with a label that is none",
        "a",
        lambda r: r.body("a", resourceVersion="<version of a>", labels={"a b": "!"}),
    ),
]
PATCH = [
    _patch("merge patch", "a", MERGE, {"metadata": {"labels": {"app": "one", "more": "yes"}}}),
    _patch("merge patch without a change", "a", MERGE, {"metadata": {"labels": {"more": "yes"}}}),
    _patch("merge patch of a label to nothing", "a", MERGE, {"metadata": {"labels": {"more": None}}}),
    _patch("merge patch of an older version", "a", MERGE, {"metadata": {"resourceVersion": "1", "labels": {"x": "y"}}}),
    _patch("merge patch of the name", "a", MERGE, {"metadata": {"name": "z"}}),
    _patch("merge patch that is not JSON", "a", MERGE, lambda _r: b"{"),
    _patch("merge patch with a wrong type", "a", MERGE, {"metadata": {"labels": "x"}}),
    _patch("merge patch with an unknown field", "a", MERGE, {"nothing": 1}, "?fieldValidation=Strict"),
    _patch("JSON patch", "a", JSON_PATCH, [{"op": "add", "path": "/metadata/labels/json", "value": "yes"}]),
    _patch("JSON patch whose test fails", "a", JSON_PATCH, [{"op": "test", "path": "/metadata/name", "value": "z"}]),
    _patch(
        "JSON patch of a path that is not there", "a", JSON_PATCH, [{"op": "remove", "path": "/metadata/nothing/x"}]
    ),
    _patch("JSON patch that is none", "a", JSON_PATCH, {"op": "add"}),
    _patch("strategic merge patch", "a", STRATEGIC, {"metadata": {"labels": {"strategic": "yes"}}}),
    _patch("strategic merge patch of finalizers", "a", STRATEGIC, {"metadata": {"finalizers": ["example.com/hold"]}}),
    _patch(
        "strategic merge patch that takes one away",
        "a",
        STRATEGIC,
        {"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/hold"]}},
    ),
    _patch("patch of a type that is not known", "a", "application/json", {"metadata": {}}),
    _patch("patch for a trial", "a", MERGE, {"metadata": {"labels": {"trial": "yes"}}}, "?dryRun=All"),
]
APPLYING = [
    _patch("apply", "applied", APPLY, _applied("applied", labels={"one": "1"}), "?fieldManager=first"),
    _patch("apply without a manager", "applied", APPLY, _applied("applied")),
    _patch("apply again", "applied", APPLY, _applied("applied", labels={"one": "1"}), "?fieldManager=first"),
    _patch(
        "apply of another, beside", "applied", APPLY, _applied("applied", labels={"two": "2"}), "?fieldManager=second"
    ),
    _patch(
        "apply of another, against", "applied", APPLY, _applied("applied", labels={"one": "x"}), "?fieldManager=second"
    ),
    _patch(
        "apply of another, by force",
        "applied",
        APPLY,
        _applied("applied", labels={"one": "x"}),
        "?fieldManager=second&force=true",
    ),
    _patch("apply of less", "applied", APPLY, _applied("applied"), "?fieldManager=second"),
    _patch("apply under another name", "applied", APPLY, _applied("other"), "?fieldManager=first"),
    _patch("apply of what is not YAML", "applied", APPLY, lambda _r: b"{[", "?fieldManager=first"),
    _patch("apply without a kind", "applied", APPLY, lambda _r: b"metadata: {}", "?fieldManager=first"),
    _patch(
        "apply with an unknown field",
        "applied",
        APPLY,
        lambda r: json.dumps({**r.body("applied"), "nothing": 1}).encode(),
        "?fieldManager=first&fieldValidation=Strict",
    ),
    _patch("force without apply", "applied", MERGE, {"metadata": {}}, "?force=true"),
]
DELETE = [
    _delete("delete of another uid", "a", _options(preconditions={"uid": "no-such"})),
    _delete("delete of another version", "a", _options(preconditions={"resourceVersion": "1"})),
    _delete("delete for a trial", "a", _options(dryRun=["All"])),
    _delete("delete with a policy that is none", "a", _options(propagationPolicy="Sometimes")),
    _delete("delete with two policies", "a", _options(propagationPolicy="Orphan", orphanDependents=True)),
    _delete("delete with options of another kind", "a", {"kind": "Other", "apiVersion": "v1"}),
    _delete("delete", "a"),
    _delete("delete again", "a"),
    _create("create what will be held", lambda r: r.body("held", finalizers=["example.com/hold"])),
    _delete("delete what is held", "held"),
    Request("what is held is still there", "GET", lambda r: r.one("held")),
    _patch(
        "hold what is ending by another",
        "held",
        MERGE,
        {"metadata": {"finalizers": ["example.com/hold", "example.com/b"]}},
    ),
    _patch("let go", "held", MERGE, {"metadata": {"finalizers": None}}),
    Request("what was let go is gone", "GET", lambda r: r.one("held")),
    Request("delete a collection for a trial", "DELETE", lambda r: f"{r.collection}?dryRun=All"),
    Request("delete a collection by a selector", "DELETE", lambda r: f"{r.collection}?labelSelector=one"),
    Request("delete a collection", "DELETE", lambda r: r.collection),
    _get("nothing is left", ""),
    Request(
        "create in a namespace that is not there",
        "POST",
        lambda r: f"{r.root}/namespaces/no-such/{r.plural}",
        lambda r: r.body("a"),
    ),
]
METHODS = [
    Request("PUT to a collection", "PUT", lambda r: r.collection, lambda r: r.body("a")),
    Request("POST to an object", "POST", lambda r: r.one("a"), lambda r: r.body("a")),
    Request("PATCH of a collection", "PATCH", lambda r: r.collection, lambda _r: b"{}", {"Content_Type": MERGE}),
    Request("an unknown method", "BREW", lambda r: r.collection),
    Request("a query that is none", "GET", lambda r: f"{r.collection}?limit=1&limit=2"),
]
REQUESTS: list[Request] = [*DISCOVERY, *EMPTY, *CREATE, *READ, *WATCH, *UPDATE, *PATCH, *APPLYING, *DELETE, *METHODS]
