"""A confirmation of the role migrate names one cluster, and clusters that were never begun on have nothing to fear."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from image_registry.migration.journal import Journal, State
from image_registry.migration.plan import write_plan
from tests.app.migration.test_execution import plan_of
from tests.collection.controller import Controller


@pytest.fixture
def controller(tmp_path: Path) -> Controller:
    """Nobody is asked: no address leads anywhere."""
    known = {"registry_kubeconfig": str(tmp_path / "none"), "registry_migrate_folder": str(tmp_path / "migration")}
    return Controller(tmp_path, known)


@pytest.mark.parametrize("confirmed", ["true", "two/image-registry-system", "one/cpaas-system"])
def test_a_confirmation_of_another_cluster_is_refused_with_the_right_one(
    controller: Controller, confirmed: str
) -> None:
    said = controller.refused("playbooks/rollback.yml", registry_migrate_confirm_rollback=confirmed)
    assert "this is one/image-registry-system: nothing was done" in said
    assert "--limit one -e registry_migrate_confirm_rollback=one/image-registry-system" in said
    said = controller.refused(
        "playbooks/migrate.yml", options=("--tags", "finalize"), registry_migrate_confirm_finalize=confirmed
    )
    assert "--limit one -e registry_migrate_confirm_finalize=one/image-registry-system" in said


def test_a_plan_that_is_gone_or_changed_under_a_migration_is_asked_for(controller: Controller, tmp_path: Path) -> None:
    folder = tmp_path / "migration"
    folder.mkdir()
    plan = plan_of()
    Journal(folder / "journal.jsonl", plan).write(plan.steps[0], State.BEGUN)
    assert "the plan itself is not there. Put plan.json back" in controller.refused("playbooks/migrate.yml")
    changed = {**write_plan(plan), "host": "elsewhere"}
    (folder / "plan.json").write_text(json.dumps(changed), encoding="utf-8")
    assert "the plan itself is not what it was: " in controller.refused("playbooks/migrate.yml")


def test_a_cluster_that_was_never_begun_on_has_nothing_to_take_back(controller: Controller) -> None:
    for confirmed in ("", "one/image-registry-system"):
        played = controller.play("playbooks/rollback.yml", registry_migrate_confirm_rollback=confirmed)
        assert played.changed == 0
