"""Reports are there for the clusters that need them: those that are broken."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.collection.conftest import ROOT
from tests.collection.controller import Controller

CHANGING = ("install", "routes", "storage", "uninstall", "upgrade")
ROLES = ("access", "backup", "limits", "nodes", "prune", "restore", "uninstall", "verify")
LOOKING = re.compile(r"alauda\.registry\.(?:\w+_info|registry_preflight|registry_verify)$")
OF_INSTALL = {
    "Say when images that nothing uses go",
    "Subscribe to the operator and wait until it is installed",
    "Install or upgrade the operator and wait until it is ready",
    "Say what the registry shall be and wait until it is",
}
"""Tasks of the role ``install`` that are not those of Helm."""
TASKS = ROOT / "collections/ansible_collections/alauda/registry/roles"


@pytest.mark.slow
def test_a_cluster_that_does_not_answer_has_a_report_that_says_so(tmp_path: Path) -> None:
    wishes = {
        "registry_kubeconfig": str(tmp_path / "nowhere"),
        "registry_report_folder": str(tmp_path / "reports"),
        "registry_access_rules": [{"namespace": "team", "role": "pusher", "groups": ["developers"]}],
        "registry_limits": [{"namespace": "team", "images": 5}],
        "registry_nodes_patience": "30",
        "registry_backup_folder": str(tmp_path / "backups"),
    }
    said = Controller(tmp_path, wishes).play("tests/collection/playbooks/reports.yml").said
    said = " ".join(said.split())  # whatever was folded
    assert "has not failed" not in said
    for role in ROLES:
        report = json.loads((tmp_path / f"reports/one-{role}.json").read_text(encoding="utf-8"))
        assert report["ok"] is False, role
        assert "nowhere" in report["msg"] + str(report["findings"]), role
        when = datetime.fromisoformat(report["time"])
        assert timedelta(0) <= datetime.now(UTC) - when < timedelta(minutes=10), role
        assert f"{role} says: {report['msg']}" in said, "the role fails all the same, with the module's own words"


def test_no_role_hides_why_a_module_has_failed() -> None:
    hidden = [path for path in TASKS.glob("*/tasks/*.yml") if "failed_when: false" in path.read_text(encoding="utf-8")]
    assert hidden == []


def test_reports_are_written_in_one_place() -> None:
    wrote = [
        path for path in TASKS.glob("*/tasks/*.yml") if 'dest: "{{ __registry_reports }}' in path.read_text("utf-8")
    ]
    assert wrote == [TASKS / "verify/tasks/report.yml"]


def tasks(path: Path) -> list[dict[str, Any]]:
    """All of a file, those of its blocks, too."""

    def inside(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        blocks = [part for task in found for part in (*task.get("block", ()), *task.get("rescue", ()))]
        return [*found, *inside(blocks)] if found else []

    return inside(yaml.safe_load(path.read_text(encoding="utf-8")))


def only_looks(task: dict[str, Any]) -> bool:
    """By a module that may change something, and does not here."""
    verifies = task.get("alauda.registry.registry_gc", {}).get("task") == "verify"
    return verifies or (task.get("check_mode") is True and task.get("changed_when") is False)


@pytest.mark.parametrize("role", CHANGING)
def test_every_task_of_a_role_that_may_change_something_is_known_to_its_report(role: str) -> None:
    (reported, *_) = tasks(TASKS / role / "tasks/reported.yml")
    known = {name: text.strip("{ }") for name, text in reported["vars"]["__registry_results"].items()}
    assert reported["vars"]["__registry_report"] == role
    forgotten = next(
        task["ansible.builtin.set_fact"] for task in reported["block"] if "ansible.builtin.set_fact" in task
    )
    assert list(forgotten) == list(known.values())
    places = [TASKS / role, *([TASKS / "install"] if role in ("upgrade", "routes", "storage") else [])]
    found = {
        task["name"]: task.get("register")
        for place in places
        for path in place.glob("tasks/*.yml")
        for task in tasks(path)
        for action in task
        if action.startswith("alauda.registry.") and not (LOOKING.match(action) or only_looks(task))
    }
    if role in ("routes", "storage"):  # it has install go by Helm alone, and of the rest of the inventory nothing
        found = {name: kept for name, kept in found.items() if name in known or name not in OF_INSTALL}
    assert known == found


@pytest.mark.slow
def test_a_report_names_the_tasks_that_have_changed_something(tmp_path: Path) -> None:
    wishes = {"registry_kubeconfig": str(tmp_path / "nowhere"), "registry_report_folder": str(tmp_path / "reports")}
    playbook = "tests/collection/playbooks/changes.yml"
    controller = Controller(tmp_path, wishes)
    controller.play(playbook, options=("--check",))
    assert not (tmp_path / "reports").exists(), "a check has written"
    controller.play(playbook)
    report = json.loads((tmp_path / "reports/one-routes.json").read_text(encoding="utf-8"))
    assert (report["ok"], report["result"]) == (True, "changed")
    assert report["changed"] == ["Write the certificates", "Write each route"]
    assert (report["cluster"], report["role"], report["failed_task"]) == ("one", "routes", "")
    assert report["version"] == {"before": "2.0.0", "after": ""}, "who does not answer has no version"
    assert (report["began"], report["next"]) == ("2026-11-23T00:00:00Z", "verify.yml")
    report = json.loads((tmp_path / "reports/one-uninstall.json").read_text(encoding="utf-8"))
    assert (report["result"], report["changed"]) == ("ok", [])
