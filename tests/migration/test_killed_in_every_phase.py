"""``playbooks/migrate.yml`` is killed in each phase, with its module; the next run goes on to the end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from image_registry.kube.client import object_path
from image_registry_lab.legacy.variants import NAMESPACE, VARIANTS
from tests.migration.moving import MIGRATE, ROLLBACK, THIS, Moving, moving

pytestmark = pytest.mark.long
SHOWN = "Assess and plan"
LAST = ("observe", "finalize")
"""Phases that run only where they are named."""
LARGE = 64 << 20
"""Bytes of a layer that is on its way long enough to be cut off."""


def test_what_is_killed_goes_on_and_loses_nothing(tmp_path: Path, tell: Callable[[str], None]) -> None:
    with moving(tmp_path, registry_migrate_way="reuse") as site, site.pulled() as pulls:
        before, images = site.objects(), site.whole.before()
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
        legacy = object_path("apps/v1", "deployments", site.whole.variant.name, namespace=NAMESPACE)
        assert site.whole.client.find(legacy) is None
        assert site.lease() is None
        assert site.whole.here() == images
        site.comes_whole()
    tell(f"killed before the plan, in {', '.join(phases)} and on the way back; {pulls.done} pulls, 0 failed")


def test_a_copy_that_is_killed_while_bytes_are_on_their_way_goes_on(
    tmp_path: Path, tell: Callable[[str], None]
) -> None:
    """In its first pass, and in the one after the freeze; the other phases are those of storage that is kept."""
    with moving(tmp_path, VARIANTS["4.2-s3"], registry_migrate_way="copy") as site, site.pulled() as pulls:
        before = site.objects()
        push_large(site, "team-a/app:large")
        site.move("plan")
        killed_while_it_copies(site, "prepare", "copy/all")
        push_large(site, "team-b/app:late")
        site.move("freeze")
        killed_while_it_copies(site, "copy", "copy/rest")
        site.move("gates")
        assert site.whole.here() == site.whole.before() == site.whole.digests
        site.comes_whole()
        site.back()
        assert site.objects() == before
    tell(f"killed in both passes and taken back; {pulls.done} pulls, 0 failed")


def push_large(site: Moving, name: str) -> None:
    """To the old registry, which still takes pushes."""
    done = site.whole.push(name, size=LARGE)
    assert done.returncode == 0, done.stderr


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
    goes_on(site, phase)


def killed_while_it_copies(site: Moving, phase: str, step: str) -> None:
    """When bytes of an image have come and their image has not; the same command again goes on."""
    site.controller.killed(site.uploading(), MIGRATE, options=("--tags", phase))
    assert site.history.states()[step] == "begun"
    goes_on(site, phase)


def goes_on(site: Moving, phase: str) -> None:
    """All of a phase is done then."""
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
