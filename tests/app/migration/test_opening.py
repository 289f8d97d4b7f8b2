"""What somebody says beside a plan reaches those who execute it, and what makes no sense is refused before anything."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from image_registry.migration.actions import MOST_PER_REGISTRY, PER_REGISTRY
from image_registry.migration.execution import Refused
from image_registry.migration.opening import Asked, open_migration
from image_registry.migration.plan import Plan, sealed, write_plan


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    plan = sealed(Plan(1, "", "image-registry", "cpaas-system", "ours", "https://here", "copy", "", "host", ""))
    (tmp_path / "plan.json").write_text(json.dumps(write_plan(plan)), encoding="utf-8")
    empty = SimpleNamespace(find=lambda _path: None)  # a named fake of a cluster with nothing in it
    return Asked(plan=tmp_path / "plan.json", journal=tmp_path / "journal", client=cast("Any", empty), chart="chart")


def test_a_copy_has_sixteen_requests_at_once_or_as_many_as_an_administrator_says(asked: Asked) -> None:
    assert open_migration(asked).context.max_per_registry == PER_REGISTRY == 16
    for number in (1, MOST_PER_REGISTRY):
        assert open_migration(replace(asked, max_per_registry=number)).context.max_per_registry == number


@pytest.mark.parametrize("number", [-1, 0, MOST_PER_REGISTRY + 1])
def test_a_number_of_requests_that_makes_no_sense_is_refused_and_nothing_is_made(asked: Asked, number: int) -> None:
    with pytest.raises(Refused, match="1 to 64"):
        open_migration(replace(asked, max_per_registry=number))
    assert not asked.journal.with_name("journal.d").exists()
