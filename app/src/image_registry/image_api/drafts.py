"""Kubernetes objects as what the rules understand: the other direction of :mod:`~image_registry.image_api.documents`.

Documents have passed the schema, so every member has the right type; what is absent has its default here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from image_registry.imagestreams.model import TagSource, TagSpec
from image_registry.imagestreams.spec_rules import StreamDraft
from image_registry.oci.reference import Repository


def stream(document: Mapping[str, Any]) -> StreamDraft:
    """What is wanted of an ``ImageStream``; its name may be one that cannot be."""
    metadata, spec = document["metadata"], document.get("spec", {})
    return StreamDraft(
        repository=Repository(metadata.get("namespace", ""), metadata.get("name", "")),
        labels=metadata.get("labels", {}),
        annotations=metadata.get("annotations", {}),
        owner_references=tuple(metadata.get("ownerReferences", ())),
        finalizers=tuple(dict.fromkeys(metadata.get("finalizers", ()))),
        managed_fields=tuple(metadata.get("managedFields", ())),
        lookup_local=spec.get("lookupPolicy", {}).get("local", False),
        source_repository=spec.get("dockerImageRepository", ""),
        tags=tuple(tag(entry) for entry in spec.get("tags", ())),
    )


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
