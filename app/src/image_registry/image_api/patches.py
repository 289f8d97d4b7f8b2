"""What a patch of one of the three kinds makes of an object, before anybody looks whether that is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from image_registry.image_api import json_patch, merge_patch
from image_registry.image_api.documents import Document
from image_registry.image_api.status import BadRequest
from image_registry.image_api.write_options import JSON_PATCH, MERGE_PATCH


def patched(kind: str, given: str, old: Document, change: Any) -> Mapping[str, Any]:
    """The document of this ``kind`` after a patch of the media type ``given``. Raises ``BadRequest``."""
    if given == JSON_PATCH:
        result = json_patch.patched(old, change)
    elif given == MERGE_PATCH:
        result = merge_patch.merged(old, change)
    else:
        result = merge_patch.strategic(old, change, kind)
    if not isinstance(result, Mapping) or not isinstance(result.get("metadata", {}), Mapping):
        raise BadRequest("after the patch there would be no object any more")
    return result


def names_version(change: Any, given: str) -> bool:
    """Whether the patch says of which ``resourceVersion`` it is meant."""
    if given == JSON_PATCH:
        return any(isinstance(step, Mapping) and step.get("path") == "/metadata/resourceVersion" for step in change)
    metadata = change.get("metadata")
    return isinstance(metadata, Mapping) and bool(metadata.get("resourceVersion"))
