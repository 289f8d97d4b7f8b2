"""What refers to a manifest: signatures, attestations, lists of contents (distribution-spec, "Listing Referrers").

A registry either lists them or does not know the question; then clients keep the list under a tag that is made of the
subject's digest, and whoever adds a referrer adds it to that list too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from image_registry.oci import media_types
from image_registry.oci.manifest import Descriptor, InvalidManifest, Manifest, parse_manifest
from image_registry.oci.reference import referrers_tag
from image_registry.remote.asking import Access, Questions
from image_registry.remote.errors import NotARegistry, NotFound
from image_registry.remote.pages import next_page
from image_registry.remote.reference import RemoteReference
from image_registry.remote.registry import Registries

LIMIT = 8 << 20
"""Bytes of one page."""

MOST_PAGES = 1000


def listed_referrers(questions: Questions, subject: RemoteReference, access: Access) -> tuple[Descriptor, ...] | None:
    """What the registry lists; ``None`` if it does not know the question. ``subject`` names a digest."""
    found: dict[str, Descriptor] = {}
    query = ""
    for _ in range(MOST_PAGES):
        path = f"referrers/{subject.digest}{query}"
        try:
            with questions.ask("GET", subject, path, access, accept=media_types.OCI_INDEX) as answer:
                if not answer.headers.get("content-type", "").startswith(media_types.OCI_INDEX):
                    return None  # a server of something else, or a page for people
                page = parse_manifest(answer.read(LIMIT), media_types.OCI_INDEX)
                query = next_page(answer)
        except (NotFound, NotARegistry):
            return None
        except InvalidManifest as error:
            raise NotARegistry(f"{subject.registry} lists referrers of {subject} in no usable form: {error}") from None
        found.update({str(entry.digest): entry for entry in page.manifests})
        if not query:
            break
    return tuple(found.values())


def tagged_referrers(registries: Registries, subject: RemoteReference, access: Access) -> Manifest | None:
    """The list that clients keep under a tag; ``None`` if there is none."""
    if subject.digest is None:
        raise ValueError("a subject is named by its digest")
    try:
        manifest = registries.manifest(subject.at(referrers_tag(subject.digest)), access).manifest
    except NotFound:
        return None
    return manifest if manifest.is_index else None


def list_with(existing: Manifest | None, referrers: Iterable[Manifest]) -> Manifest | None:
    """The list for the tag with these added; ``None`` if all are in it already."""
    entries: list[object] = json.loads(existing.raw)["manifests"] if existing else []
    known = {entry.digest for entry in existing.manifests} if existing else set()
    new = [referrer for referrer in referrers if referrer.digest not in known]
    if not new:
        return None
    entries += [_entry(referrer) for referrer in new]
    document = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": entries}
    return parse_manifest(json.dumps(document, separators=(",", ":")).encode(), media_types.OCI_INDEX)


def _entry(referrer: Manifest) -> dict[str, object]:
    kind = referrer.artifact_type or (referrer.config.media_type if referrer.config else "")
    entry: dict[str, object] = {
        "mediaType": referrer.media_type,
        "digest": str(referrer.digest),
        "size": len(referrer.raw),
    }
    if kind:
        entry["artifactType"] = kind
    if referrer.annotations:
        entry["annotations"] = dict(referrer.annotations)
    return entry
