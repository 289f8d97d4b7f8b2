"""A platform that applies the release of the registry before every other second: the migration holds all the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from image_registry.kube.client import object_path
from image_registry.migration.freezing import pushing_roles
from image_registry_lab.legacy.variants import NAMESPACE, VARIANTS
from tests.migration.moving import MEANWHILE, moving
from tests.operator.storages import TARGET

pytestmark = pytest.mark.long


def test_freeze_and_cutover_hold_and_the_way_back_gives_the_platform_its_release_again(
    tmp_path: Path, tell: Callable[[str], None]
) -> None:
    with moving(tmp_path, VARIANTS["4.2-synced"], registry_migrate_way="reuse") as site, site.pulled() as pulls:
        sentry, images = site.sentry, site.whole.before()
        assert sentry is not None
        assert sentry.applies(), "else nothing is shown"
        before = site.objects()
        site.move("plan", "prepare", "freeze")
        assert sentry.asked is None
        assert sentry.rests()
        assert pushing_roles(site.whole.client) == [], "the freeze holds"
        assert site.whole.push(MEANWHILE).returncode != 0
        site.move()
        assert sentry.rests()
        assert site.front.leads_to == TARGET
        ingress = object_path("networking.k8s.io/v1", "ingresses", site.whole.variant.name, namespace=NAMESPACE)
        assert site.whole.client.find(ingress) is None, "the cutover holds"
        assert site.whole.here() == images
        site.back()
        assert site.objects() == before, "and the annotation is as it was"
        assert sentry.asked == "true"
        assert sentry.applies()
        assert site.whole.before() == images
        assert site.whole.push(MEANWHILE).returncode == 0
    tell(f"{pulls.done} pulls, 0 failed; applied {sentry.applied} times")


def test_who_writes_the_annotation_again_is_named_before_anything_is_taken_back(tmp_path: Path) -> None:
    with moving(tmp_path, VARIANTS["4.2-synced"], registry_migrate_way="reuse") as site:
        sentry = site.sentry
        assert sentry is not None
        site.move("plan", "prepare")
        site.whole.client.merge(
            sentry.path,
            {"metadata": {"annotations": {"interval-sync": "true"}}},
            query={"fieldManager": "cluster-transformer"},
        )
        said = " ".join(site.refused("freeze").split())
        assert f"applied:AppRelease {NAMESPACE}/{site.whole.variant.name}" in said
        assert "written by cluster-transformer" in said
        assert pushing_roles(site.whole.client), "nothing of the freeze is done"
