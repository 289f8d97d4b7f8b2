"""A node that cannot pull is named; nodes that are gone are not."""

from __future__ import annotations

import json
from typing import Any

from image_registry.operator import node_facts, node_report
from image_registry.operator.node_report import NodeState


def daemon_set(wanted: int, ready: int) -> dict[str, Any]:
    status = {"desiredNumberScheduled": wanted, "numberReady": ready}
    return {"metadata": {"name": "node-ca", "namespace": "image-registry-system"}, "status": status}


def test_nodes_that_trust_are_counted() -> None:
    told = node_facts.condition(daemon_set(3, 3), {})
    assert (told.status, told.reason, told.message) == (
        "True",
        "AsExpected",
        "3 nodes find the registry and trust it",
    )


def test_a_node_without_a_config_path_is_named_with_the_line_it_lacks() -> None:
    data = {
        "n1": json.dumps({"state": "Trusted", "message": ""}),
        "n2": json.dumps({"state": "ConfigPathMissing", "message": "add config_path"}),
        "n3": json.dumps({"state": "Incomplete", "message": "no address"}),
    }
    bad = node_facts.untrusting(node_report.read({"data": data}))
    told = node_facts.condition(daemon_set(3, 3), bad)
    assert (told.status, told.reason) == ("False", "ConfigPathMissing")
    assert told.message == "n2 of 3 nodes: add config_path"


def test_of_many_nodes_ten_are_named() -> None:
    bad = {f"n{number:02}": NodeState("FilesNotWritten", "read-only") for number in range(12)}
    assert "n09 and 2 more of 12 nodes" in node_facts.condition(daemon_set(12, 12), bad).message


def test_a_daemon_that_does_not_run_everywhere_is_told() -> None:
    told = node_facts.condition(daemon_set(3, 1), {})
    assert (told.status, told.reason) == ("False", "NodesNotReady")


def test_what_somebody_else_wrote_is_not_believed() -> None:
    assert node_report.read({"data": {"n1": "yes"}})["n1"].state == "Unreadable"
    assert node_report.read(None) == {}
