"""Metadata that the server owns: what a caller says of it is compared, left out or refused."""

from __future__ import annotations

from typing import Any

from image_registry.image_api.kinds import Kind
from image_registry.image_api.refusals import conflict, invalid, other_name
from image_registry.image_api.status import BadRequest, Cause
from image_registry.imagestreams.errors import MODIFIED

Metadata = dict[str, Any]

_OWNED = (
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "generation",
    "resourceVersion",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generateName",
)


def place(kind: Kind, namespace: str, metadata: Metadata) -> None:
    """Write the namespace of the address into an object. Raises ``BadRequest`` where it names another one."""
    given = metadata.get("namespace", "")
    if given and given != namespace:
        raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
    if kind.resource.namespaced:
        metadata["namespace"] = namespace
    else:
        metadata.pop("namespace", None)


def drop(kind: Kind, metadata: Metadata) -> None:
    """Leave out what nobody knows of an object that is to be made. Raises ``BadRequest``."""
    if metadata.get("resourceVersion") and not kind.resource.command:
        raise BadRequest("resourceVersion should not be set on objects to be created")
    for server_owned in ("uid", "creationTimestamp", "generation", "selfLink", "deletionTimestamp"):
        if server_owned != "uid" or not kind.resource.command:
            metadata.pop(server_owned, None)


def keep(kind: Kind, namespace: str, before: Metadata, metadata: Metadata) -> None:
    """Let an object that is to become another one keep what it is. Raises ``BadRequest``, ``Invalid``, ``Conflict``."""
    name = before["name"]
    if metadata.get("name", name) != name:
        raise other_name(metadata["name"], name)
    if metadata.get("namespace", namespace) != namespace:
        raise invalid(
            kind, name, [Cause("FieldValueInvalid", "Invalid value: field is immutable", "metadata.namespace")]
        )
    added = sorted(set(metadata.get("finalizers", ())) - set(before.get("finalizers", ())))
    if added and before.get("deletionTimestamp"):
        told = f"no new finalizers can be added if the object is being deleted, found {', '.join(added)[:300]}"
        raise invalid(kind, name, [Cause("FieldValueForbidden", f"Forbidden: {told}", "metadata.finalizers")])
    if metadata.get("uid", before["uid"]) != before["uid"]:
        raise conflict(
            kind,
            name,
            f"Precondition failed: UID in precondition: {metadata['uid'][:100]}, UID in object meta: {before['uid']}",
        )
    if metadata.get("resourceVersion", before["resourceVersion"]) != before["resourceVersion"]:
        raise conflict(kind, name, MODIFIED)
    for server_owned in _OWNED:
        metadata.pop(server_owned, None)
        if server_owned in before:
            metadata[server_owned] = before[server_owned]
    metadata.pop("selfLink", None)
