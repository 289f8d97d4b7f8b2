"""The role goes on after a run that was killed while Helm was at work, by the real Helm on a cluster without nodes.

What a killed Helm leaves is a record that says ``pending-upgrade``: the one that it wrote, made to say so again.
"""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from image_registry.kube.client import object_path
from image_registry.relocating.cluster_job import NAME
from tests.app.conftest import sqlite_template  # noqa: F401 - a fixture
from tests.collection.test_playbooks_without_nodes import (  # noqa: F401 - a fixture
    DOORS,
    INSTALL,
    RELEASES,
    WORKLOAD,
    Site,
    site,
)
from tests.operator.conftest import NAMESPACE, program

pytestmark = [pytest.mark.slow, pytest.mark.long]  # minutes: four plays

STALE = timedelta(minutes=15)
CHART = "charts/image-registry"
CLAIMS = object_path("v1", "persistentvolumeclaims", namespace=NAMESPACE)
NOTE = object_path("v1", "configmaps", NAME, namespace=NAMESPACE)
WISHES = {
    "registry_storage": {"pvc": {"size": "200Gi"}},
    "registry_storage_copy": True,
    "registry_storage_settle": 0,
    "registry_verify": False,  # no Pod serves
}


def killed(site: Site, ago: timedelta) -> str:  # noqa: F811
    """The newest record says that Helm is at work since then; returns the name of its Secret.

    Helm calls the one before it superseded only when the new one is up.
    """
    since = (datetime.now(UTC) - ago).isoformat()
    _say(site, site.revision() - 1, status="deployed")
    return _say(site, site.revision(), status="pending-upgrade", last_deployed=since)


def _say(site: Site, revision: int, **info: str) -> str:  # noqa: F811
    name = f"sh.helm.release.v1.image-registry.v{revision}"
    packed = site.server.client.get(f"{RELEASES}/{name}")["data"]["release"]
    told = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(packed))))
    told["info"] |= info
    packed = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(told).encode()))).decode()
    patch = {"metadata": {"labels": {"status": info["status"]}}, "data": {"release": packed}}
    site.server.client.merge(f"{RELEASES}/{name}", patch)
    return name


def upgrade(site: Site, change: Callable[[dict[str, Any]], None]) -> None:  # noqa: F811
    """As the role does it: the same release with other values."""
    values = json.loads(site.values("--output=json"))
    change(values["config"])
    command = [program("helm"), "upgrade", "image-registry", CHART, f"--namespace={NAMESPACE}", "--reset-values"]
    environment = {"KUBECONFIG": str(site.server.kubeconfig), "HOME": str(site.controller.folder)}
    said = yaml.safe_dump(values)
    subprocess.run(
        [*command, "--values=-", "--wait"], input=said, text=True, capture_output=True, check=True, env=environment
    )


def claims(site: Site) -> list[str]:  # noqa: F811
    """Those that the registry has mounted."""
    volumes = site.server.client.get(WORKLOAD)["spec"]["template"]["spec"]["volumes"]
    return [each["persistentVolumeClaim"]["claimName"] for each in volumes if "persistentVolumeClaim" in each]


def test_a_run_that_was_killed_behind_the_change_of_the_deployment_ends_at_the_new_place(
    site: Site,  # noqa: F811
) -> None:
    client = site.server.client
    for name in ("named", "image-registry-storage"):
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "200Gi"}}}
        marks = {"meta.helm.sh/release-name": "image-registry", "meta.helm.sh/release-namespace": NAMESPACE}
        marks |= {"helm.sh/resource-policy": "keep"}
        if client.find(f"/api/v1/namespaces/{NAMESPACE}") is None:
            client.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        labels = {"app.kubernetes.io/managed-by": "Helm"}
        body = {"metadata": {"name": name, "annotations": marks, "labels": labels}, "spec": spec}
        client.create(CLAIMS, body)
    asked = {"storage": {"pvc": {"claim": "named"}}}
    site.controller.play(INSTALL, registry_install_method="helm", registry_config=asked)
    assert claims(site) == ["named"]

    # everything is copied, and the registry read-only; then the release was changed and the run killed
    client.create(NOTE.rpartition("/")[0], {"metadata": {"name": NAME}, "data": {"readOnly": "false"}})
    upgrade(site, lambda config: config.update(readOnly=True))
    upgrade(site, lambda config: config["storage"]["pvc"].update(claim=""))
    assert claims(site) == ["image-registry-storage"]
    record = killed(site, timedelta(seconds=20))
    state = site.state()
    said = site.controller.refused(DOORS[0], options=("--check",), **WISHES)
    assert f"Secret {NAMESPACE}/{record}, pending-upgrade" in said
    assert "Every push is refused until this role ends" in said
    assert f"kubectl -n {NAMESPACE} delete secret {record}" in said
    assert site.state() == state

    killed(site, STALE - timedelta(seconds=25))
    done = site.controller.play(DOORS[0], **WISHES)
    assert "Every push is refused until this role ends" in done.said
    assert "FAILED - RETRYING" in done.said, "it was waited for, and not run into"
    assert claims(site) == ["image-registry-storage"], "and not the place before"
    values = json.loads(site.values("--output=json"))["config"]
    assert (values["storage"]["pvc"].get("claim") or "", values["readOnly"]) == ("", False)
    assert client.find(NOTE) is None
    assert site.controller.play(DOORS[0], **WISHES).changes == []
