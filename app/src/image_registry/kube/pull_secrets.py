"""Credentials for other registries that a namespace has: its Secrets of the two types that kubelets know.

Only the Image API reads them from the cluster, which can not be told to show Secrets of some types alone; everybody
else asks the Image API for ``imagestreams/secrets``, and never sees another Secret (ADR 45). What was read is
remembered for a moment, because an import asks for it and every blob that is pulled through does.
"""

from __future__ import annotations

import base64
import binascii
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from image_registry.kube.client import ClusterClient, object_path
from image_registry.oci.reference import Repository

Secret = Mapping[str, Any]
Read = Callable[[Repository], Sequence[Secret]]
"""The pull Secrets for what a repository imports. Raises KubeError and ClusterUnreachable."""

TYPES = {"kubernetes.io/dockerconfigjson": ".dockerconfigjson", "kubernetes.io/dockercfg": ".dockercfg"}
"""Types of Secrets, and the key that holds the document."""

EXCLUDED = "image.alauda.io/excludeSecret"
"""Annotation of a Secret that is not for this."""

REMEMBERED = 30.0
SIZE = 256
"""Namespaces remembered."""

TIMEOUT = 5.0
"""Seconds: somebody waits for the answer."""


def from_cluster(client: ClusterClient) -> Callable[[str], list[Secret]]:
    """Read those of a namespace with the rights of this process: ``list secrets`` there, and nothing else."""

    def read(namespace: str) -> list[Secret]:
        path = object_path("v1", "secrets", namespace=namespace)
        found: list[Secret] = []
        for kind in TYPES:
            listed = client.get(path, query={"fieldSelector": f"type={kind}"}, timeout=TIMEOUT)
            items = [item for item in listed.get("items") or () if isinstance(item, dict)]
            items.sort(key=lambda item: str((item.get("metadata") or {}).get("name")))
            # items of a list do not say what they are
            found += ({**item, "type": kind} for item in items if not _excluded(item))
        return found

    return read


def from_image_api(client: ClusterClient, group_version: str) -> Read:
    """Ask the Image API for those of a stream: ``get imagestreams/secrets``, and nothing else."""

    def read(repository: Repository) -> list[Secret]:
        path = object_path(group_version, "imagestreams", repository.name, namespace=repository.namespace)
        answer = client.get(f"{path}/secrets", timeout=TIMEOUT)
        return [item for item in answer.get("items") or () if isinstance(item, dict)]

    return read


class PullSecrets:
    """What the Secrets hold, remembered for a moment by namespace. Thread-safe."""

    def __init__(self, read: Read, clock: Callable[[], float] = time.monotonic) -> None:
        self._read, self._clock = read, clock
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[tuple[bytes, ...], float]] = OrderedDict()

    def documents(self, repository: Repository) -> tuple[bytes, ...]:
        """The documents in order of types and names. Raises KubeError and ClusterUnreachable."""
        namespace = repository.namespace
        with self._lock:
            known = self._known.get(namespace)
        if known is not None and known[1] > self._clock():
            return known[0]
        found = tuple(document for item in self._read(repository) if (document := _document(item)) is not None)
        with self._lock:
            self._known[namespace] = (found, self._clock() + REMEMBERED)
            self._known.move_to_end(namespace)
            while len(self._known) > SIZE:
                self._known.popitem(last=False)
        return found


def _excluded(item: Secret) -> bool:
    annotations = (item.get("metadata") or {}).get("annotations") or {}
    return bool(annotations.get(EXCLUDED) == "true")


def _document(item: Secret) -> bytes | None:
    try:
        return base64.b64decode((item.get("data") or {})[TYPES[str(item.get("type"))]], validate=True)
    except (KeyError, TypeError, binascii.Error, ValueError):
        return None
