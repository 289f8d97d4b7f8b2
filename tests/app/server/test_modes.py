"""Read-only is entered and left while the registry runs, with a reason."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from image_registry.server import modes
from image_registry.server.modes import CONFIG_MAP, DEFAULT_REASON, Modes, parse

if TYPE_CHECKING:
    from tests.conftest import FakeCluster

CONFIG_MAPS = "/api/v1/namespaces/registry/configmaps"


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("true", DEFAULT_REASON),
        ("True\n", DEFAULT_REASON),
        ("true: the storage moves", "the storage moves"),
        ("false", None),
        ("", None),
        ("false: later", None),
    ],
)
def test_the_mode_is_one_line(text: str, expected: str | None) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize("text", ["yes", "1", "truefalse", "off: x"])
def test_what_is_neither_true_nor_false_changes_nothing(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mode"
    file.write_text("true: because")
    mode = Modes(file=file)
    file.write_text(text)
    mode.look()
    assert mode.read_only() == "because"


def test_a_file_switches_within_seconds_both_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modes, "LOOK", 0.02)
    file = tmp_path / "mode"
    mode = Modes(file=file)
    mode.start()
    assert mode.read_only() is None
    file.write_text("true: the storage moves")
    until(lambda: mode.read_only() == "the storage moves")
    file.unlink()
    until(lambda: mode.read_only() is None)


def test_a_setting_that_says_always_is_not_overruled(tmp_path: Path) -> None:
    file = tmp_path / "mode"
    file.write_text("false")
    assert Modes(always=True, file=file).read_only() == DEFAULT_REASON


def test_the_cluster_tells_before_its_mounted_file_does(fake_cluster: FakeCluster, tmp_path: Path) -> None:
    file = tmp_path / "readOnly"
    file.write_text("false")
    fake_cluster.put(f"{CONFIG_MAPS}/{CONFIG_MAP}", {"data": {"readOnly": "false"}})
    fake_cluster.watched.add(CONFIG_MAPS)
    mode = Modes(file=file)
    mode.follow(fake_cluster.client(), "registry")
    until(lambda: bool(fake_cluster._watchers))
    assert mode.read_only() is None
    fake_cluster.put(f"{CONFIG_MAPS}/{CONFIG_MAP}", {"data": {"readOnly": "true: migration"}})
    fake_cluster.tell(CONFIG_MAPS, "MODIFIED", "registry", CONFIG_MAP)
    until(lambda: mode.read_only() == "migration")
    fake_cluster.put(f"{CONFIG_MAPS}/{CONFIG_MAP}", {"data": {"readOnly": "false"}})
    fake_cluster.tell(CONFIG_MAPS, "MODIFIED", "registry", CONFIG_MAP)
    until(lambda: mode.read_only() is None)


def test_while_the_cluster_cannot_be_asked_the_file_decides(fake_cluster: FakeCluster, tmp_path: Path) -> None:
    file = tmp_path / "readOnly"
    file.write_text("true: mounted")
    fake_cluster.forbidden = {CONFIG_MAPS}
    mode = Modes(file=file)
    mode.follow(fake_cluster.client(), "registry")
    until(lambda: len(fake_cluster.requests) > 0)
    assert mode.read_only() == "mounted"
