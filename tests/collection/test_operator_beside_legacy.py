"""An operator beside the registry before, by the guide to a migration, on a cluster that lacks only nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from image_registry.kube.client import object_path
from tests.app.conftest import sqlite_template  # noqa: F401 - a fixture
from tests.collection.test_playbooks_without_nodes import CONFIG, INSTALL, UNINSTALL, Site
from tests.collection.test_playbooks_without_nodes import site as site
from tests.collection.without_nodes import LateOperator
from tests.operator.conftest import NAMESPACE

pytestmark = [pytest.mark.slow, pytest.mark.long]  # an operator, installed and uninstalled
SHARED = ("system:image-puller", "system:image-pusher")
"""ClusterRoles that the registry before has, too."""


def test_an_operator_stands_beside_the_registry_before_as_the_guide_says(site: Site, tmp_path: Path) -> None:
    client = site.server.client
    roles = object_path("rbac.authorization.k8s.io/v1", "clusterroles")
    places = [f"{roles}/{name}" for name in SHARED]
    rules = [{"apiGroups": ["registry.alauda.io"], "resources": ["images"], "verbs": ["get"]}]
    for name in SHARED:
        client.create(roles, {"metadata": {"name": name}, "rules": rules})
    try:
        said = site.controller.refused(INSTALL)
        assert "clusterRoles: {leave: [system:image-puller]}" in said
        assert "delete it" not in said
        wishes: dict[str, Any] = {
            "registry_operator_values": {"operand": {"clusterRoles": {"leave": list(SHARED)}}},
            "registry_config": {"managementState": "Unmanaged"},
        }
        with LateOperator(site.server, tmp_path):
            site.controller.play(INSTALL, **wishes)
            spec = client.get(CONFIG)["spec"]
            assert (spec["managementState"], spec.get("storage")) == ("Unmanaged", None)
            assert client.get(CONFIG)["status"]["observedGeneration"] == 1
            assert site.revision() == 0, "there is an operator, and no registry"
            assert client.get(object_path("v1", "persistentvolumeclaims", namespace=NAMESPACE))["items"] == []
            site.controller.play(UNINSTALL)
        assert all(client.get(path)["rules"] == rules for path in places)
    finally:
        for path in places:
            client.delete(path)
