"""Restores of backups find images where they have gone, and no pair that is about others is given up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from image_registry.migration.assess import assess
from image_registry.migration.facts import ObjectName, RestoreMap
from image_registry.migration.planning import plan
from image_registry.migration.restore_mapping import Pair, restore_pair
from tests.app.migration.test_plans import changed

MAP = ObjectName("ConfigMap", "change-registry-config", "cpaas-system")
OLD, NEW = "image-registry.cpaas-system.svc", "registry.new.test"
HOSTS = (OLD, "image-registry.cpaas-system", "registry.old.test")


@pytest.mark.parametrize(
    ("known", "after"),
    [
        (None, Pair(OLD, NEW)),
        (RestoreMap(MAP), Pair(OLD, NEW)),
        (RestoreMap(MAP, "registry.old.test", "quay.io"), Pair("registry.old.test", NEW)),
        (RestoreMap(MAP, "elsewhere.test", OLD), Pair("elsewhere.test", NEW)),
        (RestoreMap(MAP, "elsewhere.test", f"{OLD}/team"), Pair("elsewhere.test", f"{NEW}/team")),
        (RestoreMap(MAP, "elsewhere.test", "quay.io"), None),
    ],
)
def test_a_pair_leads_to_where_its_images_are(known: RestoreMap | None, after: Pair | None) -> None:
    assert restore_pair(known, HOSTS, OLD, NEW) == after


def _with(**data: str) -> Callable[[Any], None]:
    document = {"apiVersion": "v1", "kind": "ConfigMap", "data": data}
    return lambda cluster: cluster.put({**document, "metadata": {"name": MAP.name, "namespace": MAP.namespace}})


def test_a_pair_about_others_is_left_alone_and_that_is_told(tmp_path: Path) -> None:
    case = changed("4.2-pvc", _with(old="elsewhere.test", new="quay.io"), tmp_path)
    assert "cutover/restore-mapping" not in {step.id for step in plan(case).steps}
    [told] = [finding for finding in assess(case) if finding.rule == "restore-mapping"]
    assert "elsewhere.test" in told.cause


def test_a_pair_that_led_to_the_old_registry_leads_to_this_one(tmp_path: Path) -> None:
    case = changed("4.2-pvc", _with(old="elsewhere.test", new=OLD), tmp_path)
    [step] = [step for step in plan(case).steps if step.id == "cutover/restore-mapping"]
    assert step.document["data"] == {"old": "elsewhere.test", "new": case.choices.host}
