"""When images were last pulled, as the registry tells it beside what streams hold.

Read only for streams with a policy that asks, in the order of the streams, so one stream's times are in memory at once.
A registry of an older version tells nothing; what nobody knows counts as pulled a moment ago.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from image_registry.imagestreams.annotations import UNPULLED
from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.listing import AS_METADATA, items
from image_registry.pruning.streams import seconds

AT_ONCE = 1000

Times = Callable[[str], int | None]
"""Of a digest, since when nobody has pulled it from its stream, in seconds since 1970; ``None`` if nobody knows."""


def told(document: Mapping[str, Any]) -> int | None:
    """What an ImageStreamImage says."""
    text = document["metadata"].get("annotations", {}).get(UNPULLED)
    try:
        return seconds(text) if text else None
    except (TypeError, ValueError):
        return None


class LastPulls:
    """For streams in order of namespaces and names."""

    def __init__(self, client: ClusterClient, version: str) -> None:
        self._client, self._version = client, version
        self._namespace: str | None = None
        self._items: Iterator[Any] = iter(())
        self._ahead: Any = None

    def of(self, namespace: str, name: str) -> dict[str, int]:
        """Times of what a stream holds, by digest, as far as they are known. Raises KubeError, ClusterUnreachable."""
        if namespace != self._namespace:
            path = object_path(self._version, "imagestreamimages", namespace=namespace)
            self._namespace = namespace
            self._items = items(self._client, path, limit=AT_ONCE, accept=AS_METADATA)
            self._ahead = next(self._items, None)
        found: dict[str, int] = {}
        while self._ahead is not None:
            stream, _, digest = self._ahead["metadata"]["name"].partition("@")
            if stream > name:
                break
            if stream == name and (moment := told(self._ahead)) is not None:
                found[digest] = moment
            self._ahead = next(self._items, None)
        return found
