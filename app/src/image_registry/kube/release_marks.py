"""The marks by which Helm knows whose an object is (its rule for taking over what exists)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NAME = "meta.helm.sh/release-name"
_NAMESPACE = "meta.helm.sh/release-namespace"
_LABEL = {"app.kubernetes.io/managed-by": "Helm"}


def own(document: Mapping[str, Any], release: str, namespace: str) -> dict[str, Any]:
    """The object as that of a release of that namespace."""
    metadata = document["metadata"]
    annotations = {**(metadata.get("annotations") or {}), _NAME: release, _NAMESPACE: namespace}
    labels = {**(metadata.get("labels") or {}), **_LABEL}
    return {**document, "metadata": {**metadata, "annotations": annotations, "labels": labels}}


def owned_by(document: Mapping[str, Any], release: str, namespace: str) -> bool:
    """Whether Helm would take an object for that release's."""
    metadata = document["metadata"]
    annotations, labels = metadata.get("annotations") or {}, metadata.get("labels") or {}
    named = annotations.get(_NAME) == release and annotations.get(_NAMESPACE) == namespace
    return named and _LABEL.items() <= labels.items()
