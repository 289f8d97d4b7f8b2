"""Helm alone changes the storage of a registry whose claim is Managed: the claim stays, in a real kube-apiserver."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from image_registry.kube.client import object_path
from image_registry.operator.config_values import CLAIM
from tests.operator.conftest import CHART, NAMESPACE, ApiServer, program, uninstall

CLAIM_PATH = object_path("v1", "persistentvolumeclaims", CLAIM, namespace=NAMESPACE)
STORE = {"pvc": None, "s3": {"bucket": "images", "region": "here"}}


class Release:
    """The chart as somebody without the operator installs it."""

    def __init__(self, server: ApiServer, home: Path) -> None:
        self.client, self._server, self._home = server.client, server, home

    def upgrade(self, **storage: Any) -> str:
        """What Helm refuses; empty if it does not."""
        file = self._home / "values.yaml"
        values = {"config": {"managementState": "Managed", "storage": {"managementState": "Managed", **storage}}}
        file.write_text(json.dumps(values))
        command = [program("helm"), "upgrade", "--install", "image-registry", str(CHART), "--namespace", NAMESPACE]
        known = {"HOME": str(self._home), "KUBECONFIG": str(self._server.kubeconfig)}
        done = subprocess.run(
            [*command, "--values", str(file), "--no-hooks"], check=False, capture_output=True, text=True, env=known
        )
        return done.stderr if done.returncode else ""

    def uid(self) -> str:
        claim = self.client.get(CLAIM_PATH)
        assert "deletionTimestamp" not in claim["metadata"]
        return str(claim["metadata"]["uid"])


@pytest.fixture
def release(operator: ApiServer, apiserver: ApiServer, tmp_path: Path) -> Iterator[Release]:
    del operator  # the namespace is there
    try:
        yield Release(apiserver, tmp_path)
    finally:
        uninstall(apiserver, tmp_path)


def test_another_storage_never_deletes_the_claim(release: Release) -> None:
    assert release.upgrade(pvc={"size": "1Gi"}) == ""
    own = release.uid()
    for elsewhere in (STORE, {"pvc": {"claim": "another"}}):
        refused = release.upgrade(**elsewhere)
        assert "would delete the claim image-registry-storage" in refused
        assert f"kubectl -n {NAMESPACE} annotate persistentvolumeclaim {CLAIM} helm.sh/resource-policy=keep" in refused
    assert release.upgrade(pvc={"size": "1Gi"}) == "", "who goes on to use it is not asked"
    release.client.merge(CLAIM_PATH, {"metadata": {"annotations": {"helm.sh/resource-policy": "keep"}}})
    assert release.upgrade(**STORE) == ""
    assert release.uid() == own
