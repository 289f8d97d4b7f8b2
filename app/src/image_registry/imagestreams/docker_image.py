"""Reads an image configuration into the ``DockerImage`` document that an Image object shows (parity reference 1.3).

A configuration is written by whoever pushes, so nothing in it is trusted: what has the wrong type is left out, and a
document that cannot be read gives no metadata. It never makes a push fail, because the configuration is a blob that
the registry stores without an opinion.
"""

from __future__ import annotations

import json
from typing import Any

from image_registry.oci import media_types
from image_registry.oci.manifest import Manifest

MAX_CONFIG = 4 * 1024 * 1024
"""Bytes; a larger configuration is stored but not read."""

MAX_DOCUMENT = 64 * 1024
"""Characters of JSON; lists of Images must fit into memory, so of more only what identifies the image is kept."""

MAX_DEPTH = 32
"""Levels of lists and objects in it; real ones have four."""

MAX_TEXT = 1024
"""Characters of a text; longer ones are left out."""

_TEXTS = {
    "parent": "Parent",
    "comment": "Comment",
    "created": "Created",
    "container": "Container",
    "docker_version": "DockerVersion",
    "author": "Author",
    "architecture": "Architecture",
    "variant": "Variant",
    "os": "Os",
    "os.version": "OsVersion",
}
_DOCUMENTS = {"config": "Config", "container_config": "ContainerConfig"}


def docker_image(manifest: Manifest, config: bytes | None) -> dict[str, Any]:
    """The document; empty for an index, for an artifact, and for a configuration that cannot be read."""
    if manifest.config is None or manifest.config.media_type not in media_types.CONFIG_TYPES:
        return {}
    source = _read(config)
    if source is None:
        return {}
    document: dict[str, Any] = {
        "kind": "DockerImage",
        "apiVersion": "1.0",
        "Id": str(manifest.config.digest),
        "Size": manifest.content_size,
    }
    for key, field in _TEXTS.items():
        value = source.get(key)
        if isinstance(value, str) and 0 < len(value) <= MAX_TEXT:
            document[field] = value
    settings = {field: source[key] for key, field in _DOCUMENTS.items() if isinstance(source.get(key), dict)}
    if _is_flat(settings) and len(json.dumps(settings)) <= MAX_DOCUMENT:
        document |= settings
    return document


def _is_flat(value: Any) -> bool:
    """False for what is nested so deeply that some reader or writer of it would give up."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for item in level
            if isinstance(item, dict | list)
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return True
    return False


def _read(config: bytes | None) -> dict[str, Any] | None:
    if config is None or len(config) > MAX_CONFIG:
        return None
    try:
        document = json.loads(config, parse_constant=_not_json)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _not_json(name: str) -> None:
    """Python reads NaN and Infinity, but JSON does not have them and PostgreSQL refuses them."""
    raise ValueError(f"{name} is not JSON")
