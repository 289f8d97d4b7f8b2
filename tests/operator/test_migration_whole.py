"""Whole migrations in one run: discover to finalize and back, with images, registries and objects that are real."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from image_registry.kube.client import object_path
from image_registry.migration.choices import Way
from image_registry.migration.execution import Stopped
from image_registry.migration.phases import Phase
from image_registry_lab.legacy.variants import VARIANTS
from tests.operator.control_plane import READY_SECONDS
from tests.operator.storages import TARGET
from tests.operator.test_migration_run import everything
from tests.operator.two_registries import RBAC
from tests.operator.whole import Whole, whole_migration


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Whole]:
    with whole_migration(tmp_path, VARIANTS["4.2-pvc"]) as found:
        yield found


def test_the_storage_is_kept_and_everything_comes_and_goes_back(whole: Whole) -> None:
    whole.plan(Way.REUSE)
    objects, before = everything(whole.client), whole.before()
    assert before == whole.digests
    with whole.pulling() as failed:
        whole.run(Phase.FREEZE)
        assert "may not create images in team-a" in whole.push("team-a/app:late").stderr
        whole.run(Phase.CUTOVER)
        assert whole.here() == before
        whole.push_here("team-a/app:new")
        whole.back()
    assert failed == []
    assert everything(whole.client) == objects
    assert whole.before() == before
    assert whole.push("team-a/app:again").returncode == 0, "pushes are taken again"


def test_all_images_are_copied_and_the_registry_before_is_given_up(whole: Whole) -> None:
    whole.nodes.keep_record()  # which goes last: after the roles, which are held until they are made again
    whole.plan(Way.COPY)
    with whole.pulling() as failed:
        whole.run(Phase.PREPARE)
        assert whole.push("team-a/app:meanwhile").returncode == 0
        assert whole.push("team-a/app:v1").returncode == 0
        whole.run(Phase.CUTOVER)
    assert failed == []
    assert whole.here() == whole.before() == whole.digests
    finalized(whole)


def answers(url: str) -> bool:
    try:
        urllib3.request("GET", url, retries=False, timeout=5)
    except urllib3.exceptions.HTTPError:
        return False
    return True


def finalized(whole: Whole) -> None:
    """The registry before is stopped after a look, then nothing of it is left; this one has everything."""
    with pytest.raises(Stopped, match="h are left: run again"):
        whole.run(Phase.OBSERVE)
    whole.run(Phase.OBSERVE, "observe/pulls")
    deployment = object_path("apps/v1", "deployments", whole.variant.name, namespace="cpaas-system")
    assert whole.client.get(deployment)["spec"]["replicas"] == 0
    deadline = time.monotonic() + READY_SECONDS
    while answers(whole.nodes.legacy_url):
        assert time.monotonic() < deadline, "it was not stopped"
        time.sleep(0.1)
    assert whole.here() == whole.digests
    whole.run(Phase.FINALIZE, "observe/pulls")
    assert whole.here() == whole.digests
    assert whole.client.find(deployment) is None
    role: dict[str, Any] = whole.client.get(object_path(RBAC, "clusterroles", "system:image-puller"))
    assert {group for rule in role["rules"] for group in rule["apiGroups"]} == {"image.alauda.io"}
    assert role["metadata"]["annotations"]["meta.helm.sh/release-namespace"] == TARGET
    time.sleep(1.5)  # whoever takes the old release away has come to its end
    assert whole.client.find(object_path(RBAC, "clusterroles", "system:image-puller")) is not None
    with pytest.raises(Exception, match="behind which there is no way back"):
        whole.back()
