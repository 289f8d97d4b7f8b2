"""Media types that the registry has to understand; every other type is stored and served untouched."""

from __future__ import annotations

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"

INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_MANIFEST_LIST})
MANIFEST_TYPES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
SUPPORTED_TYPES = INDEX_TYPES | MANIFEST_TYPES
CONFIG_TYPES = frozenset({OCI_CONFIG, DOCKER_CONFIG})
"""Configurations whose JSON describes a runnable image (architecture, os, rootfs, history)."""

NON_DISTRIBUTABLE_MARKERS = (".nondistributable.", ".foreign.")
"""Layers of these kinds may live elsewhere (descriptor ``urls``), so they need not be present to push a manifest."""


def is_non_distributable(media_type: str) -> bool:
    """True for layers that a push may leave out (image-spec, "Non-Distributable Layers")."""
    return any(marker in media_type for marker in NON_DISTRIBUTABLE_MARKERS)
