"""Read-only, entered and left while the registry runs.

The mode is one line of text: ``true`` or ``false``, after ``true`` optionally a colon and the reason that those are
told who push. It stands in a file, which is looked at once a second, and in a cluster also in the ConfigMap that this
file is mounted from: kubelet may take a minute to renew a mounted file, the API server tells at once.

What runs when the mode is entered ends as it would have; uploads that are not finished wait, and go on afterwards.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import ClusterUnreachable, KubeconfigError, KubeError
from image_registry.kube.watch import Change, Watch

CONFIG_MAP = "image-registry-modes"
KEY = "readOnly"

LOOK = 1.0
"""Seconds between two looks at the file."""

ASK = 30.0
"""Seconds between two questions to the API server when it tells of nothing."""

DEFAULT_REASON = "an administrator has switched it so"


def parse(text: str) -> str | None:
    """The reason for being read-only, ``None`` if it is not; what is neither true nor false changes nothing."""
    word, _, reason = text.strip().partition(":")
    if word.strip().lower() == "true":
        return reason.strip() or DEFAULT_REASON
    if word.strip().lower() in ("false", ""):
        return None
    raise ValueError(text)


class Modes:
    """What a worker is to do and not to do now; thread-safe."""

    def __init__(self, *, always: bool = False, file: Path | None = None) -> None:
        self._always = always
        self._file = file
        self._from_file: str | None = None
        self._from_cluster: str | None = None
        self._cluster_knows = False
        self._said: str | None = None
        self.look()

    def read_only(self) -> str | None:
        """Why pushes and deletes are refused; ``None`` if they are not."""
        if self._always:
            return DEFAULT_REASON
        return self._from_cluster if self._cluster_knows else self._from_file

    def start(self) -> None:
        """Follow the file from now on."""
        if self._file is not None and not self._always:
            threading.Thread(target=self._repeat, args=(self.look, LOOK), name="modes", daemon=True).start()

    def follow(self, client: ClusterClient, namespace: str) -> None:
        """Follow the ConfigMap from now on; while nobody can be asked, the last answer holds."""
        path = object_path("v1", "configmaps", CONFIG_MAP, namespace=namespace)

        def ask() -> None:
            try:
                found = client.find(path)
            except (KubeError, ClusterUnreachable, KubeconfigError):
                return
            if found is not None:
                self._take(str((found.get("data") or {}).get(KEY, "")), cluster=True)

        def changed(change: Change) -> None:
            if change.name == CONFIG_MAP:
                ask()

        Watch(client, object_path("v1", "configmaps", namespace=namespace), changed, ask).start()
        threading.Thread(target=self._repeat, args=(ask, ASK), name="modes of the cluster", daemon=True).start()

    def look(self) -> None:
        """Read the file."""
        if self._file is not None:
            try:
                text = self._file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                text = ""
            self._take(text, cluster=False)

    def _take(self, text: str, *, cluster: bool) -> None:
        try:
            reason = parse(text)
        except ValueError:
            structlog.get_logger().warning("the mode is neither true nor false and changes nothing", mode=text[:100])
            return
        if cluster:
            self._from_cluster, self._cluster_knows = reason, True
        else:
            self._from_file = reason
        now = self.read_only()
        if now != self._said:
            self._said = now
            log = structlog.get_logger()
            if now:
                log.warning("pushes and deletes are refused from now on", reason=now)
            else:
                log.info("pushes and deletes are taken again")

    def _repeat(self, work: Callable[[], None], seconds: float) -> None:
        while True:
            time.sleep(seconds)
            work()
