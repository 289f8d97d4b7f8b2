"""Manifests for tests: small, valid, and different as the test wants."""

from __future__ import annotations

import json
from typing import Any

from image_registry.oci import media_types
from image_registry.oci.digest import Digest
from image_registry.oci.manifest import Manifest, parse_manifest

PLATFORMS = ({"os": "linux", "architecture": "amd64"}, {"os": "linux", "architecture": "arm", "variant": "v7"})


def image(content: object, configuration: bytes | None = None, **extra: Any) -> Manifest:
    """An image manifest that differs with ``content``, with one layer and the configuration given."""
    blob = str(Digest.of(repr(content).encode()))
    settings = str(Digest.of(configuration or b"{}"))
    document = {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_MANIFEST,
        "config": {"mediaType": media_types.OCI_CONFIG, "digest": settings, "size": 7},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": blob, "size": 10}],
        **extra,
    }
    return parse_manifest(json.dumps(document).encode(), "")


def index(*children: Manifest) -> Manifest:
    """An index of images, in turn for amd64 and arm/v7."""
    entries = [
        {
            "mediaType": child.media_type,
            "digest": str(child.digest),
            "size": len(child.raw),
            "platform": PLATFORMS[number % 2],
        }
        for number, child in enumerate(children)
    ]
    document = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": entries}
    return parse_manifest(json.dumps(document).encode(), "")
