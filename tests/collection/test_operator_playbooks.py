"""The playbooks for a registry that the operator looks after, run by ansible-playbook with the real Helm.

Objects go into a real kube-apiserver. No Pod runs: Deployments are made ready, and the operator is a named fake.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collection.acting_operator import ActingOperator
from tests.collection.controller import Controller
from tests.operator.conftest import NAMESPACE, program
from tests.operator.control_plane import ApiServer
from tests.operator.hands import Hands

pytestmark = pytest.mark.slow
INSTALL, UNINSTALL = "playbooks/install.yml", "playbooks/uninstall.yml"
DAY = (INSTALL, "playbooks/storage.yml", "playbooks/routes.yml")
CONFIG = "/apis/imageregistry.operator.alauda.io/v1/configs/cluster"
DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/cluster-image-registry-operator"


@pytest.fixture
def controller(apiserver: ApiServer, configs: str, tmp_path: Path) -> Iterator[Controller]:
    """The operator is there, as OLM installs it; Helm could not wait where no Pod runs."""
    del configs
    client = apiserver.client
    if client.find(f"/api/v1/namespaces/{NAMESPACE}") is None:
        client.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    labels = {"app": "operator"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "operator", "image": "operator:2.0.0"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": pod}
    owned = {
        "name": "cluster-image-registry-operator",
        "labels": {"olm.owner": "cluster-image-registry-operator.v2.0.0"},
    }
    client.create(DEPLOYMENT.rpartition("/")[0], {"metadata": owned, "spec": spec})
    variables = {
        "registry_kubeconfig": str(apiserver.kubeconfig),
        "registry_helm_binary": program("helm"),
        "registry_install_method": "olm",
        "registry_config": {"logLevel": "Debug"},
        "registry_chart_values": {"imagePruner": {"suspend": True}},  # as an inventory of Helm's way may say it
        "registry_wait_timeout": 60,
        "registry_verify": False,  # there is no Pod
        "registry_routes": [{"name": "public", "hostname": "registry.example.com", "secretName": "public-tls"}],
        "registry_storage_credentials": {"REGISTRY_STORAGE_S3_ACCESSKEY": "confidential-key"},
    }
    try:
        with Hands(client, NAMESPACE), ActingOperator(client):
            yield Controller(tmp_path, variables)
    finally:
        client.delete(DEPLOYMENT)


def test_a_registry_of_the_operator_is_foreseen_made_left_alone_and_taken_away(
    apiserver: ApiServer, controller: Controller
) -> None:
    client = apiserver.client
    said = controller.refused(INSTALL, registry_install_method="operator")
    assert "was installed by Operator Lifecycle Manager" in said
    assert "nothing was changed. Set registry_install_method=olm in the inventory" in said

    foreseen = controller.play(INSTALL, options=("--check", "--diff"))
    assert client.find(CONFIG) is None
    assert "managementState: Managed" in foreseen.said

    done = controller.play(*DAY)
    spec = client.get(CONFIG)["spec"]
    assert (spec["managementState"], spec["logLevel"], list(spec["storage"])) == ("Managed", "Debug", ["pvc"])
    assert [route["hostname"] for route in spec["routes"]] == ["registry.example.com"]
    assert client.get(CONFIG.replace("configs", "imagepruners"))["spec"]["suspend"] is True
    assert "confidential-key" not in done.said

    again = controller.play(*DAY)
    assert again.changed == 0, again.said

    controller.play(UNINSTALL)
    assert client.find(CONFIG) is None
