"""The bundle, installed as OLM would, is an operator that works with exactly the rights it asks for.

What only a real OLM can prove is said in `tests/operator/olm.py`.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from image_registry.kube.client import object_path
from image_registry.kube.errors import KubeError
from image_registry.operator import drift
from image_registry.operator.operand import CONFIG
from image_registry.operator.release_secrets import SECRETS
from tests.operator import olm
from tests.operator.conftest import NAMESPACE, OPERATOR, OPERATOR_CHART, ApiServer, control_plane, started
from tests.operator.control_plane import ControlPlane
from tests.operator.hands import Hands
from tests.operator.processes import Process, until
from tests.operator.rooms import Room

BUNDLE = OPERATOR_CHART / "bundle"
INSTALLED = olm.install(BUNDLE, NAMESPACE)
SECONDS = 20.0
"""A lease lasts 15 seconds, and is looked at every two."""


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> ControlPlane:
    return control_plane(tmp_path_factory.mktemp("plane"), audited=True)


@pytest.fixture(scope="module")
def cluster(plane: ControlPlane) -> Iterator[ApiServer]:
    """Empty but for what an InstallPlan makes."""
    with started(plane) as found:
        found.client.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        for item in INSTALLED:
            path = {**drift.RESOURCES, "CustomResourceDefinition": "customresourcedefinitions"}[item["kind"]]
            where = item["metadata"].get("namespace", "")
            found.client.create(object_path(item["apiVersion"], path, namespace=where), item)
        for name in SECRETS:  # the hook Jobs are done without doing anything
            found.client.create(object_path("v1", "secrets", namespace=NAMESPACE), {"metadata": {"name": name}})
        with Hands(found.client, NAMESPACE):
            yield found


@pytest.fixture(scope="module")
def replicas(cluster: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Process]]:
    """Two, told what the Deployment of the ClusterServiceVersion tells them."""
    folder = tmp_path_factory.mktemp("replicas")
    (deployment,) = [item for item in INSTALLED if item["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    told = {item["name"]: item["value"] for item in container["env"]}
    passed = ("--values", "--pull-secret", "--system-namespace")
    more = [word for word in container["args"] if word.startswith(passed)]
    account = cluster.as_account(folder, OPERATOR, NAMESPACE)
    made = [Process(account, folder, name, more, told) for name in ("first", "second")]
    try:
        yield made
    finally:
        for one in made:
            one.__exit__()


def conditions(cluster: ApiServer) -> dict[str, str]:
    config = cluster.client.get(CONFIG)
    status = config.get("status") or {}
    if status.get("observedGeneration") != config["metadata"]["generation"]:
        return {}
    return {item["type"]: f"{item['status']} {item['reason']}" for item in status["conditions"]}


def test_the_example_of_the_bundle_becomes_a_registry(cluster: ApiServer, replicas: list[Process]) -> None:
    (deployment,) = [item for item in INSTALLED if item["kind"] == "Deployment"]
    notes = deployment["spec"]["template"]["metadata"]["annotations"]
    example: dict[str, Any] = json.loads(notes["operatorframework.io/initialization-resource"])
    path = "/apis/imageregistry.operator.alauda.io/v1/configs"
    until(lambda: any(one.leads() for one in replicas), "leading", *replicas)
    cluster.client.create(path, example)
    until(lambda: conditions(cluster).get("Progressing") == "False Ready", "a registry", *replicas)
    assert conditions(cluster)["Degraded"] == "False AsExpected"
    made = cluster.client.get(object_path("apps/v1", "deployments", "image-registry", namespace=NAMESPACE))
    (container,) = made["spec"]["template"]["spec"]["containers"]
    version, _ = olm.read(BUNDLE)
    related = {item["name"]: item["image"] for item in version["spec"]["relatedImages"]}
    assert container["image"] == related["image-registry"]


def test_a_new_namespace_has_a_pull_secret(cluster: ApiServer, replicas: list[Process]) -> None:
    room = Room(cluster.client)
    until(room.good, "a pull Secret", *replicas)
    until(lambda: conditions(cluster).get("PullSecretsReady") == "True AsExpected", "said", *replicas)


def test_nothing_of_that_was_refused(plane: ControlPlane, replicas: list[Process]) -> None:
    asked = plane.audited()
    assert len(asked) > 100
    refused = [f"{one['verb']} {one['requestURI']}" for one in asked if one["responseStatus"]["code"] == 403]
    assert refused == []
    assert "could not be asked" not in "".join(one.log.read_text() for one in replicas)


def test_its_rights_end_where_the_bundle_says(cluster: ApiServer, tmp_path: Path) -> None:
    account = cluster.as_account(tmp_path, OPERATOR, NAMESPACE)
    taken = {"metadata": {"name": "taken"}}
    for where in ("kube-system", "default"):
        with pytest.raises(KubeError) as caught:
            account.client.create(object_path("v1", "configmaps", namespace=where), taken)
        assert caught.value.forbidden
        with pytest.raises(KubeError) as caught:
            account.client.get(object_path("v1", "secrets", "taken", namespace=where))
        assert caught.value.forbidden, "pull Secrets need to be written, never to be read one by one"


def test_the_other_leads_within_seconds_when_the_leader_is_killed(cluster: ApiServer, replicas: list[Process]) -> None:
    (leader,) = [one for one in replicas if one.leads()]
    (other,) = [one for one in replicas if one is not leader]
    leader.child.send_signal(signal.SIGKILL)
    began = time.monotonic()
    until(other.leads, "leading", other)
    assert time.monotonic() - began < SECONDS
    cluster.client.merge(CONFIG, {"spec": {"logLevel": "Debug"}})
    until(lambda: conditions(cluster).get("Progressing") == "False Ready", "at work", other)


def test_it_goes_on_after_the_api_server_was_away(
    plane: ControlPlane, cluster: ApiServer, replicas: list[Process], tmp_path: Path
) -> None:
    plane.crash()
    plane.start()
    alive = [one for one in replicas if one.child.poll() is None]
    account = cluster.as_account(tmp_path, OPERATOR, NAMESPACE)
    # away for longer than a lease is believed, the leader ends itself, and the kubelet starts it again
    with Process(account, tmp_path, "again") as again:
        cluster.client.merge(CONFIG, {"spec": {"logLevel": "Normal"}})
        until(lambda: conditions(cluster).get("Progressing") == "False Ready", "at work", *alive, again)
        found = cluster.client.get(object_path("apps/v1", "deployments", "image-registry", namespace=NAMESPACE))
        assert "Debug" not in json.dumps(found["spec"])
