"""What refers to a manifest: signatures, bills of materials, attestations (distribution-spec, "Listing referrers")."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, Response, request

from image_registry.distribution_api import answers, callers
from image_registry.distribution_api.parts import Parts
from image_registry.imagestreams.model import StoredManifest
from image_registry.oci import media_types
from image_registry.oci.manifest import InvalidManifest, parse_manifest
from image_registry.storage.blob_store import BlobMissing

PATH = "/v2/<namespace>/<name>/referrers/<digest>"

PAGE = 500
"""Manifests looked at for one answer; the rest is behind its ``Link``."""


def blueprint(parts: Parts) -> Blueprint:
    routes = Blueprint("referrers", __name__)

    @routes.get(PATH)
    def referrers(namespace: str, name: str, digest: str) -> Response:
        repository = answers.repository(namespace, name)
        subject = answers.digest(digest)
        callers.require(parts, repository, "pull")
        _, after = answers.page()
        with answers.translated():
            page = parts.streams.referrers(repository, subject, limit=PAGE, after=after)
        wanted = request.args.get("artifactType")
        found = [entry for stored in page.items if (entry := _descriptor(parts, stored)) is not None]
        if wanted is not None:
            found = [entry for entry in found if entry.get("artifactType") == wanted]
        body = json.dumps({"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": found})
        answer = Response(body, content_type=media_types.OCI_INDEX)
        if wanted is not None:
            answer.headers["OCI-Filters-Applied"] = "artifactType"
        if page.next is not None:
            answer.headers["Link"] = answers.next_link(PAGE, page.next, artifactType=wanted)
        return answer

    return routes


def _descriptor(parts: Parts, stored: StoredManifest) -> dict[str, Any] | None:
    """The entry of one referrer; ``None`` when its bytes are lost, which must not hide the others."""
    try:
        manifest = parse_manifest(parts.store.read(stored.digest), stored.media_type, digest=stored.digest)
    except (BlobMissing, InvalidManifest):
        return None
    entry: dict[str, Any] = {
        "mediaType": stored.media_type,
        "digest": str(stored.digest),
        "size": stored.size,
    }
    kind = manifest.artifact_type or (manifest.config.media_type if manifest.config else "")
    if kind:
        entry["artifactType"] = kind
    if manifest.annotations:
        entry["annotations"] = dict(manifest.annotations)
    return entry
