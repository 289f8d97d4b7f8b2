"""Credentials for other registries that a namespace has: its Secrets of the two types that kubelets know.

Remembered for a moment, because an import asks for them and every blob that is pulled through does.
"""

from __future__ import annotations

import base64
import binascii
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from image_registry.kube.client import ClusterClient, object_path

TYPES = {"kubernetes.io/dockerconfigjson": ".dockerconfigjson", "kubernetes.io/dockercfg": ".dockercfg"}
"""Types of Secrets, and the key that holds the document."""

EXCLUDED = "image.alauda.io/excludeSecret"
"""Annotation of a Secret that is not for this."""

REMEMBERED = 30.0
SIZE = 256
"""Namespaces remembered."""

TIMEOUT = 5.0
"""Seconds: somebody waits for the answer."""


class PullSecrets:
    """Thread-safe."""

    def __init__(self, client: ClusterClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client, self._clock = client, clock
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[tuple[bytes, ...], float]] = OrderedDict()

    def documents(self, namespace: str) -> tuple[bytes, ...]:
        """What the Secrets hold, in order of their names. Raises KubeError and ClusterUnreachable."""
        with self._lock:
            known = self._known.get(namespace)
        if known is not None and known[1] > self._clock():
            return known[0]
        found = tuple(document for kind, key in TYPES.items() for document in self._of_type(namespace, kind, key))
        with self._lock:
            self._known[namespace] = (found, self._clock() + REMEMBERED)
            self._known.move_to_end(namespace)
            while len(self._known) > SIZE:
                self._known.popitem(last=False)
        return found

    def _of_type(self, namespace: str, kind: str, key: str) -> list[bytes]:
        path = object_path("v1", "secrets", namespace=namespace)
        listed = self._client.get(path, query={"fieldSelector": f"type={kind}"}, timeout=TIMEOUT)
        items = [item for item in listed.get("items") or () if isinstance(item, dict)]
        items.sort(key=lambda item: str((item.get("metadata") or {}).get("name")))
        return [document for item in items if (document := _document(item, key)) is not None]


def _document(item: Mapping[str, Any], key: str) -> bytes | None:
    annotations = (item.get("metadata") or {}).get("annotations") or {}
    if annotations.get(EXCLUDED) == "true":
        return None
    try:
        return base64.b64decode((item.get("data") or {})[key], validate=True)
    except (KeyError, TypeError, binascii.Error, ValueError):
        return None
