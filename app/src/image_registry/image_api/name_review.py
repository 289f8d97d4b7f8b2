"""What to change in an object that names images by short names: from an AdmissionReview to its answer, without HTTP.

Asked by the kube-apiserver before an object with a Pod or the template of one is stored (admission.k8s.io/v1). Only a
name that is new in its place is looked at: what was stored before stays as it is, so that nothing that runs changes
because something else of it did. What is written contains a slash and is never looked at again.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from image_registry.image_api.status import BadRequest
from image_registry.imagestreams.errors import MetadataUnavailable
from image_registry.imagestreams.local_names import ShortName
from image_registry.kube.pod_templates import ImageField, has_controller, image_fields, pod_of, read, workload

ANY_STREAM = "alpha.image.policy.alauda.io/resolve-names"
"""Annotation of an object or of its Pod template; ``*`` asks every stream of the namespace, whether it lends its names
or not."""

GROUP_VERSION = "admission.k8s.io/v1"

CANNOT_ASK = "the registry's metadata database does not answer"

Resolve = Callable[[ShortName, bool], str | None]
"""The full reference of a name, asking any stream or only those that lend their names; ``None`` if it is none of them.
May raise :class:`MetadataUnavailable`."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What matters of a review."""

    uid: str
    namespace: str
    fields: tuple[ImageField, ...]
    """Places whose short names are to be resolved."""
    any_stream: bool = False


def parse(review: Mapping[str, Any]) -> Asked:
    """Read an ``AdmissionReview``. Raises :class:`BadRequest`."""
    request = review.get("request")
    if review.get("apiVersion") != GROUP_VERSION or review.get("kind") != "AdmissionReview":
        raise BadRequest(f"only an AdmissionReview of {GROUP_VERSION} is understood here; the kube-apiserver sends it")
    if not isinstance(request, dict) or not isinstance(request.get("uid"), str) or not request["uid"]:
        raise BadRequest("the AdmissionReview has no request with a uid")
    namespace, document = request.get("namespace"), request.get("object")
    if not isinstance(namespace, str) or not isinstance(document, dict):
        return Asked(request["uid"], "", ())
    return Asked(request["uid"], namespace, tuple(_fields(request, document)), _any_stream(request, document))


def answer(asked: Asked, resolve: Resolve, *, refuse: bool) -> dict[str, Any]:
    """The review that is sent back. ``refuse`` lets nothing pass while names cannot be resolved."""
    known: dict[str, str | None] = {}
    changes: list[dict[str, str]] = []
    for field in asked.fields:
        name = ShortName.read(asked.namespace, field.image)
        if name is None:
            continue
        try:
            if field.image not in known:
                known[field.image] = resolve(name, asked.any_stream)
        except MetadataUnavailable:
            return _unresolved(asked, field, refuse=refuse)
        reference = known[field.image]
        if reference is not None:
            changes.append({"op": "replace", "path": field.pointer, "value": reference})
    return _review(asked, changes=changes)


def _fields(request: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[ImageField]:
    known = _kind(request)
    if known is None:
        return
    # a person adds an ephemeral container to a Pod, whoever keeps that Pod
    if has_controller(document) and request.get("subResource") != "ephemeralcontainers":
        return
    before = request.get("oldObject")
    stored = image_fields(known, before) if isinstance(before, dict) else ()
    kept = {(field.section, field.name): field.image for field in stored}
    for field in image_fields(known, document):
        if field.image and kept.get((field.section, field.name)) != field.image:
            yield field


def _any_stream(request: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    known = _kind(request)
    holders = (document, pod_of(known, document) if known else {})
    return any(read(holder, ("metadata", "annotations", ANY_STREAM)) == "*" for holder in holders)


def _kind(request: Mapping[str, Any]) -> Any:
    kind = request.get("kind")
    if not isinstance(kind, dict):
        return None
    group, version = kind.get("group") or "", kind.get("version") or ""
    return workload(f"{group}/{version}" if group else version, kind.get("kind") or "")


def _unresolved(asked: Asked, field: ImageField, *, refuse: bool) -> dict[str, Any]:
    """Nothing is changed in part: a Pod with one image of the stream and one from elsewhere helps nobody."""
    said = f"{field.words}: the short name {field.image[:100]!r} was not resolved, because {CANNOT_ASK}"
    if refuse:
        return _review(asked, refusal=f"{said}; try again in a moment, or write the whole reference")
    return _review(asked, warnings=[f"{said}; nodes take it for a name of their default registry"])


def _review(
    asked: Asked, *, changes: Sequence[Mapping[str, str]] = (), warnings: Sequence[str] = (), refusal: str = ""
) -> dict[str, Any]:
    response: dict[str, Any] = {"uid": asked.uid, "allowed": not refusal}
    if changes:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(json.dumps(changes).encode()).decode()
    if warnings:
        response["warnings"] = list(warnings)
    if refusal:
        response["status"] = {"code": 503, "reason": "ServiceUnavailable", "message": refusal}
    return {"apiVersion": GROUP_VERSION, "kind": "AdmissionReview", "response": response}
