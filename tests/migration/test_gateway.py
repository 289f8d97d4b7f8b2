"""A registry behind the Registry Gateway: a way in that the freeze closes, a plugin that goes, and comes back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import urllib3

from image_registry.kube.client import object_path
from image_registry_lab.legacy.variants import NAMESPACE, VARIANTS
from tests.migration.moving import MEANWHILE, Moving, moving
from tests.operator.storages import TARGET

pytestmark = pytest.mark.long


def gateway(site: Moving) -> dict[str, Any] | None:
    return site.whole.client.find(
        object_path("apps/v1", "deployments", "registry-gateway-gateway", namespace=NAMESPACE)
    )


def replicas(site: Moving) -> int:
    found = gateway(site)
    assert found is not None
    return int(found["spec"]["replicas"])


def records(site: Moving) -> set[str]:
    found = set()
    for kind in ("clusterplugininstances", "moduleinfoes"):
        listed = site.whole.client.get(object_path("cluster.alauda.io/v1alpha1", kind))["items"]
        found |= {f"{kind}/{item['metadata']['name']}" for item in listed}
    path = object_path("operator.alauda.io/v1alpha1", "appreleases", namespace=NAMESPACE)
    return found | {f"appreleases/{item['metadata']['name']}" for item in site.whole.client.get(path)["items"]}


def test_pushes_through_it_are_refused_and_it_is_stopped_given_back_and_removed_with_its_plugin(
    tmp_path: Path, tell: Callable[[str], None]
) -> None:
    with moving(tmp_path, VARIANTS["4.2-gateway"], registry_migrate_way="reuse") as site, site.pulled() as pulls:
        url, images = site.whole.nodes.gateway_url, site.whole.before()
        assert urllib3.request("GET", f"{url}/v2/", retries=False).status == 401, "who asks is asked who they are"
        assert site.whole.push(MEANWHILE, url).returncode == 0
        images = site.whole.before()
        objects = site.objects()
        site.move("plan", "prepare", "freeze")
        refused = site.whole.push(MEANWHILE, url)
        assert refused.returncode != 0
        assert "403" in refused.stderr or "denied" in refused.stderr.lower(), refused.stderr
        assert replicas(site) == 1, "people pull by it"
        site.move()
        site.move("observe", **site.last())
        assert replicas(site) == 0
        site.back()
        assert site.objects() == objects
        assert site.front.leads_to == NAMESPACE
        assert {name: site.whole.meant(url, name) for name in images} == images, "pulls go through it again"
        assert site.whole.push(MEANWHILE, url).returncode == 0
    tell(f"{pulls.done} pulls by the gateway's host, 0 failed")


def test_it_goes_with_its_records_and_what_stays_is_named(tmp_path: Path) -> None:
    with moving(tmp_path, VARIANTS["4.2-gateway"], registry_migrate_way="reuse") as site, site.pulled():
        assert {"clusterplugininstances/registry-gateway", "moduleinfoes/business-77c1"} <= records(site)
        site.move()
        played = site.move("observe", "finalize", **site.last())
        assert records(site) == set()
        assert gateway(site) is None
        said = " ".join(played.said.split())
        for left in ("Service cpaas-system/registry-gateway-service", "ConfigMap cpaas-system/registry-gateway-config"):
            assert left in said, said[-3000:]
        assert "ResourcePatch registry-gateway-limits" in said
        assert site.front.leads_to == TARGET
