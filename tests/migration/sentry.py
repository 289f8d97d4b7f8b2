"""A named fake of the platform's sentry: applies a release again and again, while its annotation asks for that.

What the chart of the legacy registry renders is written as it is rendered, whoever changed or removed it since.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Self

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import ClusterUnreachable, KubeError
from image_registry_lab.legacy.objects import rendered
from image_registry_lab.legacy.variants import NAMESPACE, Variant
from tests.operator.test_legacy_registry import collection

PAUSE, LONGEST = 1.5, 60.0
"""Seconds between two times, and for which one is waited for."""
ANNOTATION = "interval-sync"


class Sentry:
    """While it is watched; ``applied`` is how often."""

    def __init__(self, client: ClusterClient, variant: Variant) -> None:
        self._client, self._objects = client, rendered(variant)
        self.path = object_path("operator.alauda.io/v1alpha1", "appreleases", variant.name, namespace=NAMESPACE)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.applied, self.failure = 0, ""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(20)
        assert not self.failure, self.failure

    @property
    def asked(self) -> str | None:
        """The annotation as it stands; ``None`` for none, and for no release."""
        found = self._client.find(self.path) or {}
        return ((found.get("metadata") or {}).get("annotations") or {}).get(ANNOTATION)

    def applies(self) -> bool:
        """Whether it does so again, however long that takes where others need the processor."""
        before, deadline = self.applied, time.monotonic() + LONGEST
        while self.applied == before and time.monotonic() < deadline:
            time.sleep(0.1)
        return self.applied > before

    def rests(self) -> bool:
        """Whether it does nothing for three times as long as it usually waits."""
        before = self.applied
        time.sleep(3 * PAUSE)
        return self.applied == before

    def _run(self) -> None:
        while not self._over.wait(PAUSE):
            try:
                if self.asked == "true":
                    self._apply()
            except (KubeError, ClusterUnreachable):
                continue  # an object that goes just now; tried again
            except BaseException as error:  # noqa: BLE001 - a thread has nobody who would see it; the test does
                self.failure = repr(error)
                return

    def _apply(self) -> None:
        for document in self._objects:
            path = f"{collection(document)}/{document['metadata']['name']}"
            self._write(path, document)
        self.applied += 1

    def _write(self, path: str, document: dict[str, Any]) -> None:
        query = {"fieldManager": "sentry", "force": "true"}
        self._client.request("PATCH", path, document, query=query, content_type="application/apply-patch+yaml")
