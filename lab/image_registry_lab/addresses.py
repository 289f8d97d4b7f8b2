"""The lab's address plan: private ranges that other tools seldom use, and a node's number in each of its addresses."""

from __future__ import annotations

import re

from image_registry_lab.report import LabError

BRIDGE = "lab0"
HOST = "10.213.0.1"
PREFIX_LENGTH = 24
POD_RANGE = "10.214.0.0/16"
SERVICE_RANGE = "10.215.0.0/16"
KUBERNETES_SERVICE = "10.215.0.1"
DNS_SERVICE = "10.215.0.10"
API_PORT = 6443
LOCAL_API = f"https://127.0.0.1:{API_PORT}"
NODE_API = f"https://{HOST}:{API_PORT}"
NODE_NAMES = tuple(f"n{number}" for number in range(1, 10))


def number(node: str) -> int:
    """3 for n3. Raises :class:`LabError` for a name that no node can have."""
    if not re.fullmatch(r"n[1-9]", node):
        raise LabError(f"a node cannot be called {node!r}: nodes are n1 to n9")
    return int(node[1:])


def node_address(node: str) -> str:
    """10.213.0.13 for n3."""
    return f"10.213.0.1{number(node)}"


def pod_range(node: str) -> str:
    """10.214.3.0/24 for n3."""
    return f"10.214.{number(node)}.0/24"


def link(node: str) -> str:
    """The host's end of the node's cable."""
    return f"lab-{node}"
