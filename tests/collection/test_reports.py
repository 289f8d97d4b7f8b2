"""Reports are there for the clusters that need them: those that are broken."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.collection.conftest import ROOT
from tests.collection.controller import Controller

ROLES = ("access", "backup", "limits", "nodes", "prune", "restore", "verify")
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
