"""Kinds of legacy registries, with images, moved by ``playbooks/migrate.yml`` to the end while somebody pulls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import urllib3

from image_registry.kube.client import object_path
from image_registry_lab.legacy.variants import NAMESPACE, VARIANTS
from tests.migration.moving import Moving, moving
from tests.operator.storages import TARGET

pytestmark = pytest.mark.long
WAYS = (("4.1-pvc", "reuse"), ("4.2-gateway", "reuse"), ("4.2-s3", "reuse"))
"""Variants, and what becomes of their storage."""


def layers(folder: Path) -> dict[Path, tuple[int, int]]:
    """Every blob in all storages of a site, and what changes when it is written again."""
    found = folder.glob("**/blobs/sha256/*/*/data")
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def legacy_is_off(site: Moving) -> bool:
    """Nothing of it runs, and nothing answers where it did."""
    deployment = object_path("apps/v1", "deployments", site.whole.variant.name, namespace=NAMESPACE)
    assert site.whole.client.find(deployment) is None
    with pytest.raises(urllib3.exceptions.HTTPError):
        urllib3.request("GET", f"{site.whole.nodes.legacy_url}/v2/", retries=False, timeout=5)
    return True


@pytest.mark.parametrize(("name", "way"), WAYS)
def test_a_variant_moves_with_every_byte_and_no_failed_pull(
    name: str, way: str, tmp_path: Path, tell: Callable[[str], None]
) -> None:
    with moving(tmp_path, VARIANTS[name], registry_migrate_way=way) as site:
        images, before = site.whole.before(), layers(tmp_path)
        assert images == site.whole.digests
        assert any(name.count("/") > 1 for name in images), "one is nested, and gets another name"
        assert site.front.leads_to == NAMESPACE
        with site.pulled() as pulls:
            site.move()
            assert site.front.leads_to == TARGET, "the host has moved"
            assert site.whole.here() == images
            assert (layers(tmp_path) == before) == (way == "reuse"), "bytes are copied if they must be"
            site.comes_whole()
            assert site.whole.push("team-a/app:new", site.whole.nodes.url).returncode == 0
            site.move("observe", "finalize", **site.last())
            assert legacy_is_off(site)
            again = site.move("all", "observe", "finalize", **site.last())
            assert again.changed == 0, "a second run changes nothing"
        assert site.whole.here() == images
        assert site.lease() is None
        closed = site.history.seconds("freeze", "cutover")
        tell(f"{pulls.done} pulls, 0 failed; pushes refused for {closed:.0f} s")
