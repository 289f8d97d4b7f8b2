"""``playbooks/migrate.yml`` is killed in each phase, with its module; the next run goes on to the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from image_registry.kube.client import object_path
from image_registry_lab.legacy.variants import NAMESPACE
from tests.migration.moving import MIGRATE, ROLLBACK, THIS, Moving, moving

pytestmark = pytest.mark.long
SHOWN = "Assess and plan"
LAST = ("observe", "finalize")
"""Phases that run only where they are named."""


@pytest.fixture(params=["reuse"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Moving]:
    with moving(tmp_path, registry_migrate_way=request.param) as found:
        yield found


def test_what_is_killed_goes_on_and_loses_nothing(site: Moving, tell: Callable[[str], None]) -> None:
    before, images = site.objects(), site.whole.before()
    with site.pulled() as pulls:
        killed_before_the_plan(site)
        assert site.objects() == before, "up to the plan nothing is changed"
        site.move("plan")
        phases = site.history.phases()
        for phase in phases[: phases.index("cutover") + 1]:
            killed_in(site, phase)
        assert site.whole.here() == images

        killed_on_the_way_back(site)
        assert site.objects() == before
        assert site.whole.before() == images

        site.move()
        for phase in LAST:
            killed_in(site, phase)
    tell(f"killed before the plan, in {', '.join(phases)} and on the way back; {pulls.done} pulls, 0 failed")
    legacy = object_path("apps/v1", "deployments", site.whole.variant.name, namespace=NAMESPACE)
    assert site.whole.client.find(legacy) is None
    assert site.lease() is None
    assert site.whole.here() == images
    site.comes_whole()


def killed_before_the_plan(site: Moving) -> None:
    """While it surveys, and while it plans."""
    folder = site.history.folder
    content, plan = folder / "content.jsonl", folder / "plan.json"
    site.controller.killed(lambda _said: content.exists(), MIGRATE, options=("--tags", "plan"))
    assert not plan.exists()
    site.controller.killed(lambda said: f": {SHOWN}]" in said, MIGRATE, options=("--tags", "plan"))
    assert not plan.exists() or json.loads(plan.read_text()), "a plan is there whole, or not at all"


def killed_in(site: Moving, phase: str) -> None:
    """In its middle, in ``prepare`` while Helm is at work, which nobody kills; the same command again goes on."""
    step = "install" if phase == "prepare" else site.history.middle(phase)
    site.controller.killed(site.history.begun(step), MIGRATE, options=("--tags", phase), **site.last())
    assert site.history.states()[step] in ("begun", "done"), phase
    site.move(phase, **site.last())
    assert {site.history.states()[step] for step in site.history.steps(phase)} <= {"done", "skipped"}


def killed_on_the_way_back(site: Moving) -> None:
    """When part of the cutover is taken back; the same command again does the rest."""
    step = site.history.middle("cutover")

    def undone(_said: str) -> bool:
        return site.history.states()[step] == "undone"

    site.controller.killed(undone, ROLLBACK, registry_migrate_confirm_rollback=THIS)
    assert "done" in site.history.states().values(), "something is left to be taken back"
    site.back()
