"""Kubernetes objects as what the rules understand: the other direction of :mod:`~image_registry.image_api.documents`.

Documents have passed the schema, so every member has the right type; what is absent has its default here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from image_registry.imagestreams.model import TagCondition, TagEvent, TagSource, TagSpec
from image_registry.imagestreams.problems import Problems
from image_registry.imagestreams.spec_rules import StreamDraft
from image_registry.imagestreams.status_writes import TagStatus
from image_registry.oci.digest import Digest, InvalidDigest
from image_registry.oci.reference import InvalidTag, Repository, parse_tag


def stream(document: Mapping[str, Any]) -> StreamDraft:
    """What is wanted of an ``ImageStream``; its name may be one that cannot be."""
    spec, own = document.get("spec", {}), document["metadata"]
    return StreamDraft(
        repository=Repository(own.get("namespace", ""), own.get("name", "")),
        **metadata(own),
        lookup_local=spec.get("lookupPolicy", {}).get("local", False),
        source_repository=spec.get("dockerImageRepository", ""),
        tags=tuple(tag(entry) for entry in spec.get("tags", ())),
    )


def metadata(own: Mapping[str, Any]) -> dict[str, Any]:
    """What somebody may write into the metadata of any object, by the names of the rules."""
    return {
        "labels": own.get("labels", {}),
        "annotations": own.get("annotations", {}),
        "owner_references": tuple(own.get("ownerReferences", ())),
        "finalizers": tuple(dict.fromkeys(own.get("finalizers", ()))),
        "managed_fields": tuple(own.get("managedFields", ())),
        "generate_name": own.get("generateName", ""),
    }


def tag(entry: Mapping[str, Any]) -> TagSpec:
    """A ``TagReference``."""
    source = entry.get("from")
    policy = entry.get("importPolicy", {})
    return TagSpec(
        name=entry.get("name", ""),
        source=TagSource(source.get("kind", ""), source.get("name", ""), source.get("namespace", ""))
        if source
        else None,
        annotations=entry.get("annotations", {}),
        reference=entry.get("reference", False),
        generation=entry.get("generation"),
        insecure=policy.get("insecure", False),
        scheduled=policy.get("scheduled", False),
        import_mode=policy.get("importMode") or "Legacy",
        reference_policy=entry.get("referencePolicy", {}).get("type") or "Source",
    )


def check_status(document: Mapping[str, Any], problems: Problems) -> None:
    """Everything that :func:`status` could not read."""
    for place, entry in enumerate(document.get("status", {}).get("tags", ())):
        path = f"status.tags[{place}]"
        try:
            parse_tag(entry.get("tag", ""))
        except InvalidTag as error:
            problems.invalid(f"{path}.tag", entry.get("tag", ""), str(error))
        for number, event in enumerate(entry.get("items", ())):
            _check_event(event, problems, f"{path}.items[{number}]")
        for number, condition in enumerate(entry.get("conditions", ())):
            for member in ("type", "status", "lastTransitionTime"):
                if not condition.get(member):
                    problems.required(f"{path}.conditions[{number}].{member}")


def _check_event(event: Mapping[str, Any], problems: Problems, path: str) -> None:
    for member in ("created", "dockerImageReference"):
        if not event.get(member):
            problems.required(f"{path}.{member}")
    if event.get("image", "") == "":  # a pointer, if there is one like it
        return
    try:
        Digest.parse(event["image"])
    except InvalidDigest as error:
        problems.invalid(f"{path}.image", event.get("image", ""), str(error))


def status(document: Mapping[str, Any]) -> dict[str, TagStatus]:
    """What the tags are to have meant."""
    return {
        entry["tag"]: TagStatus(
            tuple(
                TagEvent(
                    datetime.fromisoformat(event["created"]),
                    Digest.parse(event["image"]) if event.get("image") else None,
                    event["dockerImageReference"],
                    event.get("generation", 0),
                )
                for event in entry.get("items", ())
            ),
            tuple(
                TagCondition(
                    condition["type"],
                    condition["status"],
                    datetime.fromisoformat(condition["lastTransitionTime"]),
                    condition.get("reason", ""),
                    condition.get("message", ""),
                    condition.get("generation", 0),
                )
                for condition in entry.get("conditions", ())
            ),
        )
        for entry in document.get("status", {}).get("tags", ())
    }
