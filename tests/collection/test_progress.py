"""What takes minutes says how far it is while it runs, not when it is over."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from ansible_collections.alauda.registry.plugins.module_utils import _progress, _storage_copy
from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster, ClusterError

from tests.collection.conftest import ROOT

PLUGINS = ROOT / "collections/ansible_collections/alauda/registry/plugins"
POD = {"metadata": {"name": "copy-x"}, "status": {"phase": "Running"}}


def test_whatever_notes_lines_has_somebody_who_shows_them() -> None:
    """A module alone is silent until its end: its action plugin reads what it notes."""
    doors = {"_backup": "registry_backup registry_backup_info registry_restore"}
    noting = {path.stem for path in (PLUGINS / "modules").glob("*.py") if "_progress import" in path.read_text("utf-8")}
    noting |= set(doors["_backup"].split())
    shown = {path.stem for path in (PLUGINS / "action").glob("*.py")}
    assert noting >= {
        "legacy_registry_info",
        "legacy_registry_survey",
        "legacy_migration",
        "legacy_migration_plan",
        "registry_storage_copy",
    }
    assert noting <= shown


def test_a_count_is_said_now_and_then(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    heard = tmp_path / "progress"
    monkeypatch.setenv(_progress.LISTENER, str(heard))
    told = _progress.Progress()
    now = time.monotonic()
    for second in range(12):
        monkeypatch.setattr(_progress.time, "monotonic", lambda second=second: now + second)
        told.count(f"{second} of 12")
    assert [line.partition(": ")[2] for line in heard.read_text(encoding="utf-8").splitlines()] == told_twice()


def told_twice() -> list[str]:
    return ["5 of 12", "10 of 12"]


class Logs(Cluster):
    """A named fake of the cluster: one Pod that says something, or may not be listened to."""

    def __init__(self, said: str) -> None:
        self._said = said

    def text(self, method: str, path: str, *_: object, **__: object) -> str:
        assert (method, path) == ("get", "/api/v1/namespaces/n/pods/copy-x/log")
        if not self._said:
            raise ClusterError("pods/log is forbidden")
        return self._said


def test_a_copy_says_what_its_pod_says_last_and_goes_on_where_nobody_may_listen() -> None:
    assert _storage_copy._last_word(Logs("blobs: 812\n"), "n", [POD]) == "blobs: 812"
    assert _storage_copy._last_word(Logs(""), "n", [POD]) == ""
    assert _storage_copy._last_word(Logs("x"), "n", [{**POD, "status": {"phase": "Pending"}}]) == ""
