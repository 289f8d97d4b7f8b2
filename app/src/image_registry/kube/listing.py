"""Lists of the API server, page by page: what is long must not have to fit into memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from image_registry.kube.client import ClusterClient

TIMEOUT = 60.0
"""Seconds for one page."""

AS_METADATA = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
"""``Accept`` for lists of metadata alone."""


def items(
    client: ClusterClient,
    path: str,
    *,
    limit: int,
    accept: str = "application/json",
    timeout: float = TIMEOUT,
    selectors: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Any]:
    """What a collection holds, in its order; what is no object is given as it is, so that it can be reported.

    ``selectors`` are ``labelSelector`` and ``fieldSelector``.

    Raises KubeError and ClusterUnreachable; KubeError 410 when the list took so long that it has to begin again.
    """
    query = {**selectors, "limit": str(limit)}
    while True:
        page = client.get(path, query=query, accept=accept, timeout=timeout)
        found = page.get("items")
        yield from found if isinstance(found, list) else ()
        metadata = page.get("metadata")
        token = metadata.get("continue") if isinstance(metadata, Mapping) else None
        if not token:
            return
        query = {**selectors, "limit": str(limit), "continue": str(token)}
