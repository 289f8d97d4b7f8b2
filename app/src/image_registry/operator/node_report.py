"""What each node says of itself, in one ConfigMap: whether its container runtime can trust the registry.

A key for each node, written when its text changes, and again after a while, because somebody may have deleted it: soon
by a node that is not well, rarely by one that is, so that a thousand quiet nodes write about once in a second together.
Nodes may write this one object and no other.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import ClusterUnreachable, KubeError

CONFIG_MAP = "image-registry-nodes"
TRUSTED = "Trusted"
AGAIN, SOON = 900.0, 60.0
"""Seconds after which what was told is told again, at the latest, and that something is wrong."""


@dataclass(frozen=True, slots=True)
class NodeState:
    """One word and a sentence with what to do; no sentence where nothing is to be done."""

    state: str = TRUSTED
    message: str = ""

    def text(self) -> str:
        """As it is written."""
        return json.dumps({"state": self.state, "message": self.message}, sort_keys=True)


def state_of(remark: str, notes: tuple[str, ...], failed: str) -> NodeState:
    """The worst of what was found: files that cannot be written, a runtime that reads none, something in the way."""
    if failed:
        return NodeState("FilesNotWritten", failed)
    if remark:
        return NodeState("ConfigPathMissing", remark)
    if notes:
        return NodeState("Incomplete", "; ".join(notes))
    return NodeState()


class NodeReport:
    """Writes the state of one node; never in the way of its work."""

    def __init__(self, client: ClusterClient, namespace: str, node: str) -> None:
        self._client = client
        self._path = object_path("v1", "configmaps", CONFIG_MAP, namespace=namespace)
        self._node = node
        self._told: str | None = ""
        self._due = 0.0

    def tell(self, state: NodeState) -> None:
        """Write it if it is another one, or was not written for long; what fails is tried again at the next look."""
        self._write(state.text(), AGAIN if state.state == TRUSTED else SOON)

    def forget(self) -> None:
        """The node is as it was before us."""
        self._write(None, AGAIN)

    def _write(self, text: str | None, again: float) -> None:
        if text == self._told and time.monotonic() < self._due:
            return
        try:
            self._client.merge(self._path, {"data": {self._node: text}})
            self._told = text
            own = zlib.crc32(self._node.encode()) / 2**32  # a time of its own in the last third for each node
            self._due = time.monotonic() + again * (2 + own) / 3
        except (KubeError, ClusterUnreachable) as error:
            structlog.get_logger().warning("the node's state could not be written", reason=str(error))


def read(config_map: Mapping[str, Any] | None) -> dict[str, NodeState]:
    """Every node that has said something."""
    found = {}
    for node, text in ((config_map or {}).get("data") or {}).items():
        try:
            document = json.loads(text)
            found[str(node)] = NodeState(str(document["state"]), str(document["message"]))
        except (ValueError, KeyError, TypeError):
            found[str(node)] = NodeState(
                "Unreadable", f"key {node} of ConfigMap {CONFIG_MAP} was written by somebody else"
            )
    return found
