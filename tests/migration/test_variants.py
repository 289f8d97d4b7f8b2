"""Kinds of legacy registries, with images, moved by ``playbooks/migrate.yml`` to the end while somebody pulls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import urllib3

from image_registry.kube.client import object_path
from image_registry_lab.legacy.variants import NAMESPACE, VARIANTS
from tests.migration.moving import KNOWN, MEANWHILE, Moving, moving
from tests.operator.storages import TARGET

REUSED = ("4.1-pvc", "4.2-pvc", "4.2-local", "4.2-s3", "4.2-gateway", "4.2-http", "4.2-no-module-info", "4.2-synced")
"""All that have all their parts: each of these storages can be served where it is."""
DAILY = "4.2-pvc"
"""What ``make test`` plays; the others are left to ``make test-migration``."""
PUSHED = (MEANWHILE, "team-b/app:meanwhile")
"""A tag that moves and one that is new, between the copy and the freeze."""


def layers(folder: Path) -> dict[Path, tuple[int, int]]:
    """Every blob in all storages of a site, and what changes when it is written again."""
    found = folder.glob("**/blobs/sha256/*/*/data")
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def legacy_is_off(site: Moving) -> bool:
    """Nothing of it runs, and nothing answers where it did."""
    assert site.whole.client.find(deployment_of(site)) is None
    with pytest.raises(urllib3.exceptions.HTTPError):
        urllib3.request("GET", f"{site.whole.nodes.legacy_url}/v2/", retries=False, timeout=5)
    return True


def deployment_of(site: Moving) -> str:
    """Where that of the registry before is."""
    return object_path("apps/v1", "deployments", site.whole.variant.name, namespace=NAMESPACE)


def stored(folder: Path) -> dict[str, bytes]:
    """Blobs of one storage, by their digests."""
    return {path.parent.name: path.read_bytes() for path in folder.glob("**/blobs/sha256/*/*/data")}


@pytest.mark.parametrize(
    "name", [name if name == DAILY else pytest.param(name, marks=pytest.mark.long) for name in REUSED]
)
def test_a_variant_moves_without_a_byte_and_no_pull_fails(
    name: str, tmp_path: Path, tell: Callable[[str], None]
) -> None:
    with moving(tmp_path, VARIANTS[name], registry_migrate_way="reuse") as site, site.pulled() as pulls:
        images, before = begin(site), layers(tmp_path)
        site.move()
        assert layers(tmp_path) == before, "no byte is written again"
        closed = end(site, images)
    tell(f"{pulls.done} pulls, 0 failed; 0 bytes copied; pushes refused for {closed:.0f} s")


@pytest.mark.long
def test_a_copy_has_what_is_pushed_meanwhile_and_no_pull_fails(tmp_path: Path, tell: Callable[[str], None]) -> None:
    """A copy asks the registry before, so it is the same for all variants; another one is in the test of kills."""
    with moving(tmp_path, registry_migrate_way="copy") as site, site.pulled() as pulls:
        begin(site)
        site.move("plan", "prepare")
        for pushed in PUSHED:
            assert site.whole.push(pushed).returncode == 0
        images, before = dict(site.whole.digests), layers(tmp_path)
        site.move()
        late = site.history.results("copy-rest").values()
        assert {result["image"] for result in late if result["outcome"] == "copied"} == set(PUSHED)
        assert layers(tmp_path).items() >= before.items(), "nothing is written twice, here or there"
        here = stored(tmp_path / "volume-of-this-registry")
        assert here.items() <= stored(site.whole.nodes.data).items()
        closed = end(site, images)
    tell(f"{pulls.done} pulls, 0 failed; {len(here)} blobs copied; pushes refused for {closed:.0f} s")


def begin(site: Moving) -> dict[str, str]:
    """Images as they were pushed, one of which gets another name; what blocks the plan is accepted by its name."""
    images = site.whole.before()
    assert images == site.whole.digests
    assert any(name.count("/") > 1 for name in images), "one is nested"
    assert site.front.leads_to == NAMESPACE
    if not site.whole.variant.tls:
        known = f"plain-http:Ingress {NAMESPACE}/{site.whole.variant.name}"
        assert known in site.refused("plan"), "clients that were told http:// would pull no more"
        site.controller.variables["registry_migrate_accept"] = [*KNOWN, known]
    return images


def end(site: Moving, images: dict[str, str]) -> float:
    """Behind the cutover, to the end of all phases; seconds for which nobody could push."""
    assert site.front.leads_to == TARGET, "the host has moved"
    assert site.whole.here() == images
    site.comes_whole()
    site.whole.push_here("team-a/app:new")
    last = site.last()
    if not site.whole.variant.module_info:
        told = " ".join(site.move("observe", "finalize", **last).said.split())
        assert "Both roles are held now: remove it there (kubectl --kubeconfig <global> delete moduleinfoes" in told
        assert site.whole.client.find(deployment_of(site)) is not None, "nothing is given up before a person says so"
        last["registry_migrate_accept_exceptions"] = [*last["registry_migrate_accept_exceptions"], "finalize/global"]
    site.move("observe", "finalize", **last)
    assert legacy_is_off(site)
    again = site.move("all", "observe", "finalize", **last)
    assert again.changed == 0, "a second run changes nothing"
    assert site.whole.here() == images
    assert site.lease() is None
    return site.history.seconds("freeze", "cutover")
