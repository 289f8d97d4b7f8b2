"""A release of the platform that is not the registry's own is held while a migration lasts, and no moment longer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from image_registry.kube.client import object_path
from image_registry.migration.install_records import RELEASE_API
from image_registry_lab.legacy.variants import NAMESPACE, VARIANTS
from tests.migration.moving import Moving, moving

pytestmark = pytest.mark.long

RELEASES = object_path(RELEASE_API, "appreleases", namespace=NAMESPACE)
BASE = f"{RELEASES}/base"
CLEANER = object_path("rbac.authorization.k8s.io/v1", "roles", "image-cleaner", namespace="team-a")
ASKED = {"cpaas.io/interval-sync": "10m"}


def test_it_is_applied_again_as_before_when_all_is_over(tmp_path: Path, tell: Callable[[str], None]) -> None:
    with moving(tmp_path, VARIANTS["4.2-synced"], registry_migrate_way="reuse") as site, site.pulled() as pulls:
        somebody_elses(site)
        site.move()
        assert annotations(site) == {}, "it would bring back the right to delete in the registry before"
        done = site.move("observe", "finalize", **site.last())
        assert annotations(site) == ASKED
        assert f"AppRelease {NAMESPACE}/base renders Role team-a/image-cleaner" in " ".join(done.said.split())
        assert site.move("all", "observe", "finalize", **site.last()).changed == 0
    tell(f"{pulls.done} pulls, 0 failed")


def somebody_elses(site: Moving) -> None:
    """A chart of the platform that renders a role about images of the registry before, and much else."""
    client = site.whole.client
    spec = {"source": {"charts": [{"name": "acp/base", "releaseName": "base"}]}}
    metadata = {"name": "base", "annotations": ASKED}
    client.create(RELEASES, {"apiVersion": RELEASE_API, "kind": "AppRelease", "metadata": metadata, "spec": spec})
    owned = {"helm.sh/release-name": "base", "helm.sh/release-namespace": NAMESPACE}
    client.merge(CLEANER, {"metadata": {"labels": owned}})


def annotations(site: Moving) -> dict[str, str]:
    found: dict[str, str] = site.whole.client.get(BASE)["metadata"].get("annotations") or {}
    return found
