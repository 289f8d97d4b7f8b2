"""A platform that applies the release of the registry before every other second: the migration holds all the same."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from image_registry.kube.client import object_path
from image_registry.migration.push_rights import pushing_roles
from image_registry_lab.legacy.objects import rendered
from image_registry_lab.legacy.variants import NAMESPACE, VARIANTS
from tests.migration.moving import MEANWHILE, Moving, moving
from tests.operator.storages import TARGET
from tests.operator.two_registries import RBAC
from tests.operator.whole import HEARD_SECONDS

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
        closed_behind_the_cutover(site)
        site.back()
        assert site.objects() == before, "and the annotation is as it was"
        assert sentry.asked == "true"
        assert sentry.applies()
        assert site.whole.before() == images
        assert site.whole.push(MEANWHILE).returncode == 0
    tell(f"{pulls.done} pulls, 0 failed; applied {sentry.applied} times")


def closed_behind_the_cutover(site: Moving) -> None:
    """The right to push comes back with a push that this registry never sees: named before anybody waits for a day."""
    client, late = site.whole.client, "team-a/app:late"
    place = object_path(RBAC, "clusterroles", "system:image-pusher")
    narrow = client.get(place)
    site.whole.push_here("team-a/app:new")  # into the storage that both have
    [chart] = [each for each in rendered(site.whole.variant) if each["metadata"]["name"] == "system:image-pusher"]
    client.replace(place, {**client.get(place), "rules": chart["rules"]})
    deadline = time.monotonic() + HEARD_SECONDS
    while (done := site.whole.push(late)).returncode:
        assert time.monotonic() < deadline, done.stderr
        time.sleep(0.2)
    del site.whole.digests[late]  # it is nowhere but there
    said = " ".join(site.refused("observe", **site.last()).split())
    assert "role:ClusterRole system:image-pusher" in said
    assert f"pushed:{late}" in said
    assert "pushed:team-a/app:new" not in said, "what is pushed here is left behind by nobody"
    deployment = object_path("apps/v1", "deployments", site.whole.variant.name, namespace=NAMESPACE)
    assert client.get(deployment)["spec"]["replicas"], "nothing is stopped"
    client.replace(place, {**client.get(place), "rules": narrow["rules"]})


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
