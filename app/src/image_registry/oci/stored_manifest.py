"""Manifests that lie in a storage already, among them those of Docker's schema 1, which nobody may push any more.

A tree from the years before 2017 holds them. They are kept and served as they are: refusing to read them would let
cleaning remove the layers that they need.
"""

from __future__ import annotations

import json

from image_registry.oci.digest import Digest, InvalidDigest
from image_registry.oci.manifest import Descriptor, InvalidManifest, Manifest, parse_manifest

SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+json"
SCHEMA1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def parse_stored_manifest(raw: bytes, digest: Digest) -> Manifest:
    """Read a document whose type nobody wrote down. Raises :class:`InvalidManifest` with the reason."""
    try:
        return parse_manifest(raw, "", digest=digest)
    except InvalidManifest as error:
        old = _schema1(raw, digest)
        if old is None:
            raise error from None
        return old


def _schema1(raw: bytes, digest: Digest) -> Manifest | None:
    try:
        document = json.loads(raw)
        if not isinstance(document, dict) or document.get("schemaVersion") != 1:
            return None
        # schema 1 does not say how large its layers are
        layers = tuple(Descriptor(_LAYER, Digest.parse(str(layer["blobSum"])), 0) for layer in document["fsLayers"])
    except (ValueError, RecursionError, InvalidDigest, KeyError, TypeError):
        return None
    return Manifest(
        digest=digest,
        media_type=SCHEMA1_SIGNED if "signatures" in document else SCHEMA1,
        raw=raw,
        config=None,
        layers=layers,
        manifests=(),
        subject=None,
        artifact_type="",
        annotations={},
    )
