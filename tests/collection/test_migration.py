"""The modules about legacy registries: thin, honest in check mode, the same twice."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.alauda.registry.plugins.module_utils import _migration
from ansible_collections.alauda.registry.plugins.modules import (
    legacy_migration_plan,
    legacy_registry_info,
    legacy_registry_survey,
)

from image_registry.migration.documents import to_document
from image_registry_lab.legacy.variants import VARIANTS
from tests.app.migration.conftest import LegacyCluster, cluster_of, inventory_of
from tests.app.migration.test_plans import APP, NESTED, surveyed
from tests.app.remote.conftest import fill
from tests.collection.conftest import Result

Run = Callable[..., Any]
ACCEPTED = ["nested-path:*"]


@pytest.fixture
def legacy(monkeypatch: pytest.MonkeyPatch) -> LegacyCluster:
    found = cluster_of(VARIANTS["4.2-pvc"])
    monkeypatch.setattr(_migration.ClusterClient, "from_kubeconfig", lambda _path, _context=None: found)
    return found


@pytest.fixture
def plan_arguments(tmp_path: Path) -> dict[str, Any]:
    found = json.loads(json.dumps(to_document(inventory_of(cluster_of(VARIANTS["4.2-pvc"])))))
    content = str(surveyed(tmp_path, APP, NESTED).path)
    return {
        "inventory": found,
        "content": content,
        "dest": str(tmp_path / "plan.json"),
        "html": str(tmp_path / "plan.html"),
    }


@pytest.fixture
def run_plan(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """The module that knows no cluster."""

    def run_module(*, check: bool = False, **arguments: Any) -> Result:
        given = {**arguments, "_ansible_check_mode": check, "_ansible_remote_tmp": str(tmp_path)}
        capsys.readouterr()
        with patch_module_args(given), pytest.raises(SystemExit) as ended:
            legacy_migration_plan.main()
        return Result(bool(ended.value.code), json.loads(capsys.readouterr().out.strip().splitlines()[-1]))

    return run_module


def test_what_was_found_is_returned_and_nothing_written(legacy: LegacyCluster, run: Run) -> None:
    done = run(legacy_registry_info)
    assert not done.failed
    assert done["found"] == ["image-registry"]
    assert done["lines"][0].endswith("looking at install records")
    assert legacy.written == []
    assert legacy.written == []


def test_what_was_found_is_kept_once(legacy: LegacyCluster, run: Run, tmp_path: Path) -> None:
    kept, page = tmp_path / "inventory.json", tmp_path / "inventory.html"
    asked = {"dest": str(kept), "html": str(page), "_ansible_remote_tmp": str(tmp_path)}
    assert run(legacy_registry_info, check=True, **asked)["changed"]
    assert not kept.exists()
    done = run(legacy_registry_info, **asked)
    assert (done["changed"], json.loads(kept.read_text())) == (True, done["inventory"])
    assert "image-registry" in page.read_text()
    assert not run(legacy_registry_info, **asked)["changed"]
    legacy.denied.add("list secrets")
    assert run(legacy_registry_info, **asked)["changed"]
    assert "list secrets" in page.read_text()
    page.unlink()
    assert run(legacy_registry_info, **asked)["changed"]
    assert page.exists()


def test_a_missing_right_is_in_the_result(legacy: LegacyCluster, run: Run) -> None:
    legacy.denied.add("list secrets")
    done = run(legacy_registry_info)
    assert not done.failed
    assert [entry["right"] for entry in done["unread"]] == ["list secrets"]


def test_a_survey_is_made_but_not_in_check_mode_and_tells_whether_something_changed(run: Run, tmp_path: Path) -> None:
    fill(tmp_path / "storage")
    target = tmp_path / "content.jsonl"
    asked = {"content": str(target), "storage_root": str(tmp_path / "storage")}
    checked = run(legacy_registry_survey, check=True, **asked)
    assert (checked["changed"], checked["survey"]["tags"]) == (True, 5)
    assert not target.exists()
    done = run(legacy_registry_survey, **asked)
    assert (done["changed"], done["survey"]["tags"]) == (True, 5)
    assert [line.partition(": ")[2] for line in done["lines"]] == ["surveying what lies in the registry"]
    again = run(legacy_registry_survey, **asked)
    assert (again["changed"], again["survey"]["digest"]) == (False, done["survey"]["digest"])
    checked = run(legacy_registry_survey, check=True, **asked)
    assert (checked["changed"], checked["survey"]["tags"]) == (False, 5)
    link = next((tmp_path / "storage").rglob("_manifests/tags/*/current/link"))
    shutil.rmtree(link.parents[1])
    assert run(legacy_registry_survey, **asked)["changed"]


def test_a_bucket_is_looked_for_where_the_inventory_says(legacy: LegacyCluster, run: Run, tmp_path: Path) -> None:
    found = json.loads(json.dumps(to_document(inventory_of(legacy))))
    done = run(legacy_registry_survey, content=str(tmp_path / "content.jsonl"), bucket=True, inventory=found)
    assert done.failed
    assert "no bucket was found in the cluster" in done["msg"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "exactly one place"),
        ({"storage_root": "/nowhere", "bucket": True, "inventory": {}}, "exactly one place"),
        ({"bucket": True}, "missing: inventory"),
        ({"storage_root": "/nowhere"}, "is no folder"),
        ({"registry_url": "registry.test"}, "no address of a registry"),
        ({"registry_url": "https://registry.test", "ca_path": "/nowhere"}, "ca_path: /nowhere cannot be read"),
    ],
)
def test_a_place_that_is_none_is_said(run: Run, tmp_path: Path, arguments: dict[str, Any], said: str) -> None:
    done = run(legacy_registry_survey, content=str(tmp_path / "content.jsonl"), **arguments)
    assert done.failed
    assert said in done["msg"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"legacy_namespace": "kube-system"}, "is not migrated"),
        ({"image_fields": ["x"]}, "names no field"),
        ({"global_kubeconfig": "x"}, "needs cluster"),
    ],
)
@pytest.mark.usefixtures("legacy")
def test_what_cannot_be_meant_is_said(run: Run, arguments: dict[str, Any], said: str) -> None:
    done = run(legacy_registry_info, **arguments)
    assert done.failed
    assert said in done["msg"]


def test_a_plan_is_written_once(run_plan: Run, plan_arguments: dict[str, Any]) -> None:
    asked = {**plan_arguments, "accept": ACCEPTED}
    checked = run_plan(check=True, **asked)
    assert checked["changed"]
    assert not Path(asked["dest"]).exists()
    assert "+ image-registry.image-registry-system.svc:5000/team-a/app:v1" in checked["diff"]["prepared"]
    first = run_plan(**asked)
    assert first["changed"]
    assert first["ready"]
    assert "judging 2 repositories" in first["lines"][1]
    assert json.loads(Path(asked["dest"]).read_text())["digest"] == first["plan"]["digest"]
    again = run_plan(**asked)
    assert not again["changed"]
    assert not again["diff"]
    other = run_plan(**{**asked, "host": "registry.example.com"})
    assert other["changed"]


def test_what_blocks_is_named_and_fails_where_that_is_wanted(run_plan: Run, plan_arguments: dict[str, Any]) -> None:
    told = run_plan(**plan_arguments)
    assert not told.failed
    assert told["blockers"] == ["nested-path:team-a/tools/report"]
    failed = run_plan(**plan_arguments, require_ready=True)
    assert failed.failed
    assert "\n- nested-path:team-a/tools/report: names here have exactly two parts" in failed["msg"], "with its cause"


def test_an_inventory_that_is_none_is_refused(run_plan: Run) -> None:
    done = run_plan(inventory={"version": 1})
    assert done.failed
    assert "inventory has no" in done["msg"]


def test_without_the_package_its_name_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_migration, "IMPORT_ERROR", "Traceback")
    done = run(legacy_registry_info)
    assert done.failed
    assert "alauda-image-registry" in done["msg"]
