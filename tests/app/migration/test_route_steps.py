"""Hosts go over without a moment in which two Ingresses have one path, or nobody has the host."""

from __future__ import annotations

import pytest

from image_registry.migration.case import make_case
from image_registry.migration.choices import Choices
from image_registry.migration.phases import Phase
from image_registry.migration.planning import plan
from image_registry_lab.legacy.variants import VARIANTS
from tests.app.migration.conftest import LegacyCluster, cluster_of, inventory_of

INGRESS = "/apis/networking.k8s.io/v1/namespaces/cpaas-system/ingresses/image-registry"


def moved(cluster: LegacyCluster) -> list[str]:
    """Steps of the cutover about hosts, in their order, with what they write."""
    made = plan(make_case(inventory_of(cluster), None, Choices()))
    assert any(step.id == "prepare/routes" for step in made.phase(Phase.PREPARE)), "asked before the freeze"
    steps = [step for step in made.phase(Phase.CUTOVER) if "Ingress" in step.id or step.id == "cutover/routes"]
    return [" ".join([step.action, *(f"{change.before}>{change.after}" for change in step.changes)]) for step in steps]


def test_the_old_ingress_keeps_what_clients_ask_for_until_the_new_one_stands() -> None:
    assert moved(cluster_of(VARIANTS["4.2-pvc"])) == ["patch />/v2", "install", "delete"]


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ({"path": "/v2"}, ["install", "delete"]),
        ({"path": "/", "pathType": "Exact"}, ["install", "delete"]),
        ({}, ["patch >/v2", "install", "delete"]),
    ],
)
def test_only_a_path_of_everything_is_narrowed(path: dict[str, str], steps: list[str]) -> None:
    cluster = cluster_of(VARIANTS["4.2-pvc"])
    stands = cluster.documents[INGRESS]["spec"]["rules"][0]["http"]["paths"][0]
    kept = {"pathType": "ImplementationSpecific", "backend": stands["backend"], **path}
    cluster.documents[INGRESS]["spec"]["rules"][0]["http"]["paths"] = [kept]
    assert moved(cluster) == steps
