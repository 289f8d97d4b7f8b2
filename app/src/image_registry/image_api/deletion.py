"""Deleting one object or many, by the rules of ``DeleteOptions`` (parity reference 2.4).

Nothing here has dependents of its own, so every propagation policy means the same. What has finalizers waits for them.
A member that we do not know is ignored with a warning, as the kube-apiserver ignores it: a newer controller must still
be able to empty a namespace.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import yaml

from image_registry.image_api.collections import Collection
from image_registry.image_api.detail import Detail
from image_registry.image_api.documents import Document
from image_registry.image_api.listing import Listing, collect
from image_registry.image_api.negotiation import JSON, YAML
from image_registry.image_api.parameters import ListOptions, Query, flag, invalid_options, whole_number
from image_registry.image_api.status import BadRequest, NotFound, TooLarge, UnsupportedMediaType, conflict

_KNOWN = {
    "kind": str,
    "apiVersion": str,
    "gracePeriodSeconds": int,
    "preconditions": dict,
    "orphanDependents": bool,
    "propagationPolicy": str,
    "dryRun": list,
    "ignoreStoreReadErrorWithClusterBreakingPotential": bool,
}
_VERSIONS = {"", "v1", "meta.k8s.io/v1", "image.alauda.io/v1"}
_POLICIES = ("Background", "Foreground", "Orphan")

LONGEST = 16 * 1024
"""Bytes of DeleteOptions; all of them together are a few hundred."""


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """``uid`` and ``resource_version`` are preconditions."""

    uid: str | None = None
    resource_version: str | None = None
    dry_run: bool = False
    warnings: tuple[str, ...] = ()


def read_options(body: bytes, content_type: str, query: Query, dry_runs: list[str]) -> DeleteOptions:
    """From the body, or from the query when there is none.

    Raises :class:`BadRequest`, :class:`UnsupportedMediaType` and ``Invalid``.
    """
    if body:
        return _validated(_parse(body, content_type))
    members: dict[str, Any] = {}
    if "gracePeriodSeconds" in query:
        members["gracePeriodSeconds"] = whole_number(query, "gracePeriodSeconds")
    if query.get("propagationPolicy"):
        members["propagationPolicy"] = query["propagationPolicy"]
    if "orphanDependents" in query:
        members["orphanDependents"] = flag(query, "orphanDependents")
    if dry_runs:
        members["dryRun"] = dry_runs
    return _validated(members)


def delete_one(
    collection: Collection, namespace: str, name: str, options: DeleteOptions
) -> tuple[Document, Document | None]:
    """Delete an object; returns what it was, and what is left of it while it waits for its finalizers.

    A dry run makes the same checks and changes nothing.
    """
    find = getattr(collection, "current", collection.get)  # also what readers are not shown
    found: Document = find(namespace, name)
    return found, _delete(collection, namespace, found, options)


@runtime_checkable
class Together(Protocol):
    """A collection that can delete many of its objects at less cost than one by one."""

    def delete_together(self, items: Sequence[Mapping[str, Any]], *, dry_run: bool) -> None:
        """Delete those that are still there."""
        ...


def delete_many(collection: Collection, namespace: str, selection: ListOptions, options: DeleteOptions) -> Listing:
    """Delete what is selected; returns what it was, in brief: a namespace must be emptied however long its past is.

    Of streams that is the names of their tags. What somebody else deletes meanwhile is deleted too.
    """
    found = collect(collection, namespace, selection, detail=Detail.ROW)
    if isinstance(collection, Together) and options.uid is None and options.resource_version is None:
        collection.delete_together(found.items, dry_run=options.dry_run)
        return found
    for item in found.items:
        try:
            _delete(collection, namespace, item, options)
        except NotFound:
            continue
    for item in found.items:
        for tag in item.get("status", {}).get("tags", ()):
            tag["items"] = []  # they were not read
    return found


def _delete(
    collection: Collection, namespace: str, found: Mapping[str, Any], options: DeleteOptions
) -> Document | None:
    check(collection, found, options)
    version = options.resource_version
    return collection.delete(
        namespace,
        found["metadata"]["name"],
        uid=options.uid,
        resource_version=int(version) if version is not None else None,
        dry_run=options.dry_run,
    )


def check(collection: Collection, document: Mapping[str, Any], options: DeleteOptions) -> None:
    """Raises ``Conflict``, in Kubernetes' sentence, when a precondition does not hold.

    What passes is compared again by the rules, under the lock of the repository.
    """
    metadata = document["metadata"]
    for label, wanted, member in (
        ("UID", options.uid, "uid"),
        ("ResourceVersion", options.resource_version, "resourceVersion"),
    ):
        if wanted is not None and wanted != metadata.get(member, ""):
            raise conflict(
                collection.resource.name,
                metadata["name"],
                f"Precondition failed: {label} in precondition: {wanted[:100]}, "
                f"{label} in object meta: {metadata.get(member, '')}",
            )


def _parse(body: bytes, content_type: str) -> dict[str, Any]:
    if len(body) > LONGEST:
        raise TooLarge(f"Request entity too large: limit of DeleteOptions is {LONGEST} bytes")
    media_type = content_type.partition(";")[0].strip().lower() or JSON
    if media_type not in (JSON, YAML):
        raise UnsupportedMediaType(
            f"the body of the request was in an unknown format - accepted media types include: {JSON}, {YAML}"
        )
    try:
        document = json.loads(body) if media_type == JSON else yaml.load(body, _Loader)  # noqa: S506 - a safe one
    except RecursionError:
        raise BadRequest("couldn't read the DeleteOptions in the body: they are nested too deeply") from None
    except (ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:300]
        raise BadRequest(f"couldn't read the DeleteOptions in the body: {reason}") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise BadRequest("the body is not an object of kind DeleteOptions")
    return _members(document)


def _members(document: Mapping[Any, Any]) -> dict[str, Any]:
    """What says something. YAML has names that are not texts, and numbers that cannot be written down."""
    if not all(isinstance(name, str) for name in document):
        raise BadRequest("DeleteOptions: every name of a member must be a text")
    return {name: value for name, value in document.items() if value is not None}


def _validated(members: dict[str, Any]) -> DeleteOptions:
    for name, form in _KNOWN.items():
        value = members.get(name)
        if value is not None and (not isinstance(value, form) or (form is int and isinstance(value, bool))):
            raise BadRequest(f"DeleteOptions: {name} must be {_NAMES[form]}")
    kind, version = members.get("kind", "DeleteOptions"), members.get("apiVersion", "")
    if kind != "DeleteOptions" or version not in _VERSIONS:
        raise BadRequest(
            f"the body is {kind[:100]!r} of {version[:100]!r}, which cannot be converted to DeleteOptions of v1"
        )
    policy = members.get("propagationPolicy", "")
    if policy and policy not in _POLICIES:
        supported = ", ".join(f'"{name}"' for name in (*_POLICIES, "nil"))
        raise invalid_options(
            "DeleteOptions",
            "propagationPolicy",
            "Unsupported value",
            f'"{policy[:100]}": supported values: {supported}',
        )
    if policy and "orphanDependents" in members:
        raise invalid_options(
            "DeleteOptions",
            "propagationPolicy",
            "Invalid value",
            f'"{policy}": orphanDependents and deletionPropagation cannot be both set',
        )
    dry_run = members.get("dryRun", [])
    if not all(isinstance(value, str) for value in dry_run):
        raise BadRequest("DeleteOptions: dryRun must be a list of texts")
    if any(value != "All" for value in dry_run):
        raise invalid_options(
            "DeleteOptions", "dryRun", "Unsupported value", f'{json.dumps(dry_run)[:200]}: supported values: "All"'
        )
    preconditions = _members(members.get("preconditions", {}))
    for name in ("uid", "resourceVersion"):
        if not isinstance(preconditions.get(name, ""), str):
            raise BadRequest(f"DeleteOptions: preconditions.{name} must be a text")
    unknown = [name for name in members if name not in _KNOWN]
    unknown += [f"preconditions.{name}" for name in preconditions if name not in ("uid", "resourceVersion")]
    return DeleteOptions(
        uid=preconditions.get("uid"),
        resource_version=preconditions.get("resourceVersion"),
        dry_run=bool(dry_run),
        warnings=tuple(f'unknown field "{name[:100]}"' for name in unknown[:10]),
    )


class _Loader(yaml.SafeLoader):
    """Without references: a few of them, each to a few more, become more than fits into memory."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("references (*name) are not supported")
        return super().compose_node(parent, index)


_NAMES = {str: "a text", int: "a whole number", dict: "an object", bool: "true or false", list: "a list"}
