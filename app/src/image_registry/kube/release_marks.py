"""The marks by which Helm knows whose an object is (Helm's rule for taking over what exists)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NAME = "meta.helm.sh/release-name"
_NAMESPACE = "meta.helm.sh/release-namespace"


def marks(release: str, namespace: str) -> dict[str, str]:
    """Annotations of what a release of that namespace owns."""
    return {_NAME: release, _NAMESPACE: namespace}


def owned_by(document: Mapping[str, Any], release: str, namespace: str) -> bool:
    """Whether Helm would take an object for that release's."""
    found = document["metadata"].get("annotations") or {}
    return marks(release, namespace).items() <= found.items()
