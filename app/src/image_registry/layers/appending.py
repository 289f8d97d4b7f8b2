"""An image with more layers than it had: its new configuration and manifest, as values.

Pure. Without an image to begin with it is one of nothing but the layers.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from image_registry.oci import media_types
from image_registry.oci.digest import Digest
from image_registry.oci.manifest import InvalidManifest, Manifest, parse_manifest

OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar."
"""Beginnings of media types; what follows is how a layer is packed."""
_NOTHING: dict[str, Any] = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers"}}


@dataclass(frozen=True, slots=True)
class Layer:
    """A compressed layer, and the digest of what it unpacks to."""

    digest: Digest
    size: int
    unpacked: Digest
    packed: str = "gzip"
    """Or ``zstd``."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be another than before: ``settings`` of ``config``, ``meta`` of the configuration around it."""

    settings: Mapping[str, Any]
    meta: Mapping[str, Any]
    created: str
    drop_history: bool = False


@dataclass(frozen=True, slots=True)
class Appended:
    """The new image."""

    config: bytes
    manifest: Manifest


def appended(base: Manifest | None, config: bytes, layers: Sequence[Layer], changes: Changes) -> Appended:
    """Raises InvalidManifest for a configuration that is none."""
    docker = base is not None and base.media_type == media_types.DOCKER_MANIFEST
    document: dict[str, Any] = _read(config) if base is not None else copy.deepcopy(_NOTHING)
    _merge(document, changes.meta)
    _merge(document.setdefault("config", {}), changes.settings)
    document["created"] = changes.created
    root = document.setdefault("rootfs", {"type": "layers"})
    root["diff_ids"] = [*root.get("diff_ids", ()), *(str(layer.unpacked) for layer in layers)]
    steps = [{"created": changes.created, "created_by": "ac image append"} for _ in layers]
    before = document.pop("history", [])
    if not changes.drop_history and (before or base is None or not base.layers):
        document["history"] = [*before, *steps]
    raw = _bytes(document)
    head: dict[str, Any] = (
        json.loads(base.raw) if base is not None else {"schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST}
    )
    head["config"] = {
        "mediaType": base.config.media_type if base and base.config else media_types.OCI_CONFIG,
        "digest": str(Digest.of(raw)),
        "size": len(raw),
    }
    kind = DOCKER_LAYER if docker else OCI_LAYER
    more = [{"mediaType": kind + layer.packed, "digest": str(layer.digest), "size": layer.size} for layer in layers]
    head["layers"] = [*head.get("layers", ()), *more]
    head.pop("subject", None)  # what was said about the other image is not said about this one
    return Appended(raw, parse_manifest(_bytes(head), base.media_type if base else media_types.OCI_MANIFEST))


def _merge(document: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """As a JSON merge patch (RFC 7386): ``null`` takes away."""
    for name, value in changes.items():
        if value is None:
            document.pop(name, None)
        elif isinstance(value, Mapping):
            inner = document.get(name)
            document[name] = dict(inner) if isinstance(inner, dict) else {}
            _merge(document[name], value)
        else:
            document[name] = value


def _read(config: bytes) -> dict[str, Any]:
    try:
        found = json.loads(config)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InvalidManifest("the image has no configuration that can be changed: it is an artifact")
    return found


def _bytes(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
