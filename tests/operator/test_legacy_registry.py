"""A legacy registry's objects in a real kube-apiserver: found by an administrator, and as far as others may read."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import KubeError
from image_registry.kube.image_references import CustomField
from image_registry.migration.assess import assess
from image_registry.migration.case import make_case
from image_registry.migration.choices import Choices
from image_registry.migration.discovery import Question, discover
from image_registry.migration.facts import Inventory
from image_registry_lab.legacy.objects import definitions, objects, workloads
from image_registry_lab.legacy.variants import HOST, VARIANTS
from tests.operator.control_plane import READY_SECONDS, ApiServer

VARIANT = VARIANTS["4.2-gateway"]
PLURALS = {"Ingress": "ingresses", "ModuleInfo": "moduleinfoes", "ResourcePatch": "resourcepatches"}
BUILDS = CustomField.parse("builds.example.com/v1/builds=spec.output.image")


def collection(document: dict[str, object]) -> str:
    metadata = document["metadata"]
    assert isinstance(metadata, dict)
    kind = str(document["kind"])
    plural = PLURALS.get(kind, f"{kind.lower()}s")
    return object_path(str(document["apiVersion"]), plural, namespace=metadata.get("namespace", ""))


@pytest.fixture(scope="module")
def filled(apiserver: ApiServer) -> ApiServer:
    """Every object of a variant, checked by the API server's own schemas."""
    for document in definitions():
        apiserver.client.create(collection(document), document)
    deadline = time.monotonic() + READY_SECONDS
    for document in (*objects(VARIANT), *workloads(VARIANT)):
        while document["kind"] != "CustomResourceDefinition":
            try:
                apiserver.client.create(collection(document), document)
                break
            except KubeError as error:
                if error.conflict:
                    break
                if not error.not_found or time.monotonic() > deadline:
                    raise
                time.sleep(0.2)  # the API server does not serve a new kind at once
    return apiserver


def found_by(client: ClusterClient, beyond: ClusterClient | None = None) -> Inventory:
    return discover(client, Question(cluster="business", fields=(BUILDS,)), global_client=beyond)


def test_an_administrator_finds_everything(filled: ApiServer) -> None:
    inventory = found_by(filled.client, filled.client)
    assert inventory.unread == ()
    [entry] = inventory.installations
    assert {service.role for service in entry.services} == {"registry", "direct", "gateway"}
    assert entry.storage is not None
    assert entry.storage.claim is not None
    assert {record.object.kind for record in entry.records} == {"ClusterPluginInstance", "AppRelease", "ModuleInfo"}
    assert HOST in inventory.external_hosts
    assert {consumer.object.kind for consumer in inventory.consumers} == {"Deployment", "CronJob", "Build"}
    assert {secret.object.name for secret in inventory.pull_secrets} == {
        "by-hand",
        "dockercfg-team-a-x7k2p",
        "dockercfg-team-b-x7k2p",
    }
    assert inventory.gateway is not None
    assert [limit.object.name for limit in inventory.limits] == ["registry-gateway-config"]
    assert "storage-unreachable" in {
        found.rule for found in assess(make_case(inventory, None, Choices()))
    }  # no volumes


def test_somebody_without_rights_is_told_each_one(filled: ApiServer, tmp_path: Path) -> None:
    somebody = filled.as_account(tmp_path, "builder", "team-a")
    inventory = found_by(somebody.client)
    assert inventory.installations == ()
    rights = {entry.right for entry in inventory.unread}
    assert {"list deployments.apps", "list secrets", "get services in namespace cpaas-system"} <= rights
    assert all(rights)
