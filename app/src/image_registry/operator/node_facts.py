"""Which nodes cannot pull from the registry, by name. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from image_registry.operator.conditions import Condition
from image_registry.operator.node_report import TRUSTED, NodeState

NAMED = 10
"""Nodes named in one message."""

KIND = "NodeCADaemonAvailable"
WORST = ("ConfigPathMissing", "FilesNotWritten", "Incomplete", "Unreadable")


def untrusting(states: Mapping[str, NodeState]) -> dict[str, NodeState]:
    """Those that say that something is wrong."""
    return {node: state for node, state in sorted(states.items()) if state.state != TRUSTED}


def condition(daemon_set: Mapping[str, Any], bad: Mapping[str, NodeState]) -> Condition:
    """``NodeCADaemonAvailable``; ``bad`` are nodes of now."""
    status = daemon_set.get("status") or {}
    wanted, ready = int(status.get("desiredNumberScheduled") or 0), int(status.get("numberReady") or 0)
    if bad:
        reason = min((state.state for state in bad.values()), key=_rank)
        of_it = [node for node, state in bad.items() if state.state == reason]
        return Condition(KIND, "False", reason, f"{_names(of_it)} of {wanted} nodes: {bad[of_it[0]].message}")
    if ready < wanted:
        said = (
            f"{ready} of {wanted} nodes have a ready Pod of DaemonSet node-ca: see kubectl -n "
            f"{daemon_set['metadata']['namespace']} get pods -o wide -l app.kubernetes.io/name=node-ca"
        )
        return Condition(KIND, "False", "NodesNotReady", said)
    return Condition(KIND, "True", "AsExpected", f"{wanted} nodes find the registry and trust it")


def _rank(state: str) -> int:
    return WORST.index(state) if state in WORST else len(WORST)


def _names(nodes: Iterable[str]) -> str:
    found = list(nodes)
    return ", ".join(found[:NAMED]) + (f" and {len(found) - NAMED} more" if len(found) > NAMED else "")
