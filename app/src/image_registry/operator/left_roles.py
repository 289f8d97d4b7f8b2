"""Which roles the operator leaves to another release: those that it was told, until they are this registry's own.

A migration ends with both roles made over to this registry, and nobody has to tell the operator then. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from image_registry.kube.release_marks import owned_by
from image_registry.operator.release_record import RELEASE, Release


def left_roles(
    told: Iterable[str], roles: Mapping[str, Mapping[str, Any]], release: Release | None, namespace: str
) -> list[str]:
    """Of the names that the operator was told, those that are not its own; ``roles`` are those that exist.

    One that is missing is its own if its release has it: then somebody has deleted it, and it is made again.
    """
    made = {item["metadata"]["name"] for item in release.objects() if item["kind"] == "ClusterRole"} if release else ()
    return [name for name in told if not (owned_by(roles[name], RELEASE, namespace) if name in roles else name in made)]
