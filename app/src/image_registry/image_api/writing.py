"""Creating, replacing, patching and applying objects: one machine for all kinds.

A kind plugs in as :mod:`~image_registry.image_api.kinds` says (see ``docs/explanation/image-api.md``): what is wrong
with one of its objects, how one is made, how one becomes another. Everything else is done here, in the order of the
kube-apiserver: reading the body against the schema, names, admission, validation with every cause, field managers,
preconditions, retries.

Nothing is locked between reading an object and writing it: the kind writes only over what was read, and says
``Conflict`` otherwise. A patch that names no ``resourceVersion`` is then made again on what there is now.
"""

from __future__ import annotations

import copy
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from image_registry.image_api import bodies, forms, managed_fields, owned_metadata, patches
from image_registry.image_api.documents import Document, timestamp
from image_registry.image_api.kinds import Call, Kind
from image_registry.image_api.refusals import conflict, invalid, other_name, translated
from image_registry.image_api.resources import GROUP_VERSION
from image_registry.image_api.status import AlreadyExists, BadRequest, Cause, Conflict, Invalid, NotFound
from image_registry.image_api.write_options import APPLY, JSON_PATCH
from image_registry.imagestreams import object_rules
from image_registry.imagestreams.errors import MODIFIED
from image_registry.imagestreams.problems import Problems

ATTEMPTS = 5
"""How often a patch is made again on what somebody else has changed meanwhile."""

GENERATED = 8
"""How often another name is tried for an object that wants any."""

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_LONGEST_BASE = 58


def create(kind: Kind, namespace: str, body: bytes, content_type: str, call: Call) -> Document:
    """The object that was made of a body."""
    return _create(kind, namespace, _read(kind, bodies.read(body, content_type), call), call)


def update(kind: Kind, namespace: str, name: str, body: bytes, content_type: str, call: Call) -> tuple[Document, bool]:
    """The object that was replaced by a body, and whether it was made."""
    wanted = _read(kind, bodies.read(body, content_type), call)
    metadata = wanted["metadata"]
    if not metadata.get("name"):
        raise BadRequest("the name of the object (based on URL) was undeterminable: name must be provided")
    if metadata["name"] != name:
        raise other_name(metadata["name"], name)
    owned_metadata.place(kind, namespace, metadata)
    free = kind.resource.unconditional_update and not metadata.get("resourceVersion")
    for attempt in range(ATTEMPTS if free else 1):
        try:
            return _replaced(kind, namespace, name, copy.deepcopy(wanted), call)
        except Conflict:
            if not free or attempt == ATTEMPTS - 1:
                raise
    raise AssertionError  # the loop returns or raises


def _replaced(kind: Kind, namespace: str, name: str, wanted: Document, call: Call) -> tuple[Document, bool]:
    metadata = wanted["metadata"]
    try:
        old = _current(kind, namespace, name)
    except NotFound:
        if not kind.resource.create_on_update:
            raise
        metadata.pop("resourceVersion", None)
        return _create(kind, namespace, wanted, call), True
    if not metadata.get("resourceVersion") and not kind.resource.unconditional_update:
        raise invalid(
            kind, name, [Cause("FieldValueInvalid", "Invalid value: 0x0: must be specified for an update", _VERSION)]
        )
    return _update(kind, namespace, old, wanted, call), False


def patch(
    kind: Kind,
    namespace: str,
    name: str,
    body: bytes,
    content_type: str,
    call: Call,
    permit_create: Callable[[], None],
) -> tuple[Document, bool]:
    """The object after a patch, and whether it was made; only applying makes one, after ``permit_create``."""
    given = bodies.media_type(content_type)
    if given == APPLY:
        return _apply(
            kind, namespace, name, bodies.read(body, JSON_OR_YAML, accepted=(JSON_OR_YAML,)), call, permit_create
        )
    change = bodies.parse_json(body)
    if given != JSON_PATCH and not isinstance(change, Mapping):
        raise BadRequest("the patch is not an object: send the members that are to change")
    for attempt in range(ATTEMPTS):
        old = _current(kind, namespace, name)
        try:
            made = patches.patched(kind.resource.kind, given, old, change)
            wanted = _read_patched(kind, made, change, call)
            return _update(kind, namespace, old, wanted, call), False
        except Conflict:
            if attempt == ATTEMPTS - 1 or patches.names_version(change, given):
                raise
            call.warnings.clear()
    raise AssertionError  # the loop returns or raises


JSON_OR_YAML = "application/yaml"
"""An applied body is YAML, of which JSON is a part."""

_VERSION = "metadata.resourceVersion"


def _create(kind: Kind, namespace: str, document: Document, call: Call) -> Document:
    metadata = document["metadata"]
    owned_metadata.place(kind, namespace, metadata)
    owned_metadata.drop(kind, metadata)
    base = "" if metadata.get("name") else metadata.get("generateName", "")
    call.admit(metadata.get("name", "") or base)
    if not call.options.applying:
        metadata.pop("managedFields", None)
    for attempt in range(GENERATED):
        if base:
            metadata["name"] = base[:_LONGEST_BASE] + "".join(secrets.choice(_LETTERS) for _ in range(5))
        _check(kind, document)
        _sign({}, document, kind, call)
        try:
            with translated(kind, metadata.get("name", "")):
                made = kind.create(namespace, document, call)
                if call.dry_run:
                    made["metadata"].pop("resourceVersion", None)  # nothing was written at any version
                return made
        except AlreadyExists:
            if not base or attempt == GENERATED - 1:
                raise
    raise AssertionError  # the loop returns or raises


def _update(kind: Kind, namespace: str, old: Document, wanted: Document, call: Call) -> Document:
    name = old["metadata"]["name"]
    owned_metadata.keep(kind, namespace, old["metadata"], wanted["metadata"])
    _check(kind, wanted)
    if not call.options.applying:
        _sign(old, wanted, kind, call)
    with translated(kind, name):
        return kind.update(namespace, old, wanted, call)


def _apply(
    kind: Kind, namespace: str, name: str, sent: bodies.Members, call: Call, permit_create: Callable[[], None]
) -> tuple[Document, bool]:
    call.options = call.options.as_apply()
    wanted = _read(kind, sent, call)
    metadata = wanted["metadata"]
    if metadata.get("managedFields"):
        raise BadRequest("metadata.managedFields must be nil")
    if not sent.get("kind") or not sent.get("apiVersion"):
        raise BadRequest("an applied object must say its apiVersion and its kind")
    if metadata.get("name", name) != name:
        raise other_name(metadata["name"], name)
    owned_metadata.place(kind, namespace, metadata)
    metadata["name"] = name
    version = metadata.pop("resourceVersion", "")
    for attempt in range(ATTEMPTS):
        old = _existing(kind, namespace, name)
        try:
            if not old:
                return _made_by_applying(kind, namespace, wanted, call, permit_create), True
            if version and version != old["metadata"]["resourceVersion"]:
                raise conflict(kind, name, MODIFIED)
            return _update(kind, namespace, old, _applied(kind, old, wanted, call), call), False
        except (Conflict, AlreadyExists) as error:
            if attempt == ATTEMPTS - 1 or version or error.causes:
                raise
    raise AssertionError  # the loop returns or raises


def _existing(kind: Kind, namespace: str, name: str) -> Document:
    """The object, or an empty one."""
    try:
        return _current(kind, namespace, name)
    except NotFound:
        return {}


def _current(kind: Kind, namespace: str, name: str) -> Document:
    """The object as a write finds it; a kind that shows less to readers says so with ``current``."""
    found: Document = getattr(kind, "current", kind.get)(namespace, name)
    return found


def _made_by_applying(
    kind: Kind, namespace: str, wanted: Document, call: Call, permit_create: Callable[[], None]
) -> Document:
    if wanted["metadata"].get("uid"):
        raise conflict(kind, wanted["metadata"]["name"], "the object with this uid does not exist")
    permit_create()
    return _create(kind, namespace, _applied(kind, {}, wanted, call), call)


def _applied(kind: Kind, old: Document, wanted: Document, call: Call) -> Document:
    resource = kind.resource
    return managed_fields.applied(
        old,
        wanted,
        resource.kind,
        call.options.manager,
        _now(),
        force=call.options.force,
        subresource=resource.subresource,
    )


def _read(kind: Kind, sent: Mapping[str, Any], call: Call, *, patch: Any = None) -> Document:
    name, version = sent.get("kind"), sent.get("apiVersion")
    if version not in (None, "", GROUP_VERSION):
        raise BadRequest(
            f"the API version in the data ({str(version)[:100]}) does not match the expected API version "
            f"({GROUP_VERSION})"
        )
    if name not in (None, "", kind.resource.kind):
        raise BadRequest(
            f'{str(name)[:100]} in version "v1" cannot be handled as a {kind.resource.kind}: send it to its own address'
        )
    reading = forms.read(sent, kind.resource.kind)
    reading.complaints += forms.repeated(patch)
    call.warnings += reading.settle(call.options.validation, kind.resource.kind)
    document = {**reading.document, "kind": kind.resource.kind, "apiVersion": GROUP_VERSION}
    document.setdefault("metadata", {})
    return document


def _read_patched(kind: Kind, sent: Mapping[str, Any], change: Any, call: Call) -> Document:
    """What a patch made; what is wrong with it is wrong with the patch, as the kube-apiserver says it."""
    try:
        return _read(kind, sent, call, patch=change)
    except BadRequest as error:
        cause = Cause("FieldValueInvalid", f"Invalid value: {error.message}", "patch")
        raise Invalid(f"the patch is invalid: {error.message}", causes=[cause]) from None


def _check(kind: Kind, document: Document) -> None:
    problems = Problems()
    metadata = document["metadata"]
    if not metadata.get("name"):
        problems.required("metadata.name", "name or generateName is required")
    object_rules.check_metadata(metadata, problems)
    with translated(kind, metadata.get("name", "")):
        kind.check(document, problems)
        problems.check()


def _sign(old: Mapping[str, Any], new: Document, kind: Kind, call: Call) -> None:
    """Note who wrote; kinds that are views of another object leave that to it."""
    if not kind.resource.managed:
        new["metadata"].pop("managedFields", None)
    elif not call.options.applying:
        new["metadata"]["managedFields"] = managed_fields.updated(
            old, new, kind.resource.kind, call.options.manager, _now(), kind.resource.subresource
        )


def _now() -> str:
    return timestamp(datetime.now(UTC))
