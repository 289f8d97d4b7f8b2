"""A node says how it is when that changes, and again in case somebody has deleted what it said."""

from __future__ import annotations

import time
from typing import Any

import pytest

from image_registry.kube.errors import ClusterUnreachable
from image_registry.operator.node_report import AGAIN, SOON, NodeReport, NodeState

BAD = NodeState("ConfigPathMissing", "add config_path")


class Written:
    """What a node writes; ``down`` for an API server that does not answer."""

    def __init__(self) -> None:
        self.patches: list[Any] = []
        self.down = False

    def merge(self, path: str, body: dict[str, Any]) -> None:
        assert path.endswith("/namespaces/registry/configmaps/image-registry-nodes")
        if self.down:
            raise ClusterUnreachable("no answer")
        self.patches.append(body["data"]["n1"])


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(time, "monotonic", found.monotonic)
    return found


@pytest.fixture
def written() -> Written:
    return Written()


@pytest.fixture
def report(written: Written) -> NodeReport:
    client: Any = written
    return NodeReport(client, "registry", "n1")


def test_a_quiet_node_writes_rarely(report: NodeReport, written: Written, clock: Clock) -> None:
    for _ in range(int(AGAIN / 15)):
        report.tell(NodeState())
        clock.now += 15
    assert len(written.patches) in (1, 2)


def test_a_node_that_is_not_well_is_named_again_within_a_minute(
    report: NodeReport, written: Written, clock: Clock
) -> None:
    report.tell(BAD)
    report.tell(BAD)
    assert written.patches == [BAD.text()]
    clock.now += SOON
    report.tell(BAD)
    assert written.patches == [BAD.text()] * 2
    report.tell(NodeState())
    assert written.patches[-1] == NodeState().text(), "a change is told at once"


@pytest.mark.usefixtures("clock")
def test_what_could_not_be_written_is_written_at_the_next_look(report: NodeReport, written: Written) -> None:
    written.down = True
    report.tell(BAD)
    written.down = False
    report.tell(BAD)
    assert written.patches == [BAD.text()]
    report.forget()
    assert written.patches[-1] is None
