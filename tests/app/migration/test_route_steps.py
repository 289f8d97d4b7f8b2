"""Hosts go over without a moment in which two Ingresses have one path, or nobody has the host."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from image_registry.migration.case import make_case
from image_registry.migration.choices import Choices
from image_registry.migration.phases import Phase
from image_registry.migration.planning import plan
from image_registry.migration.route_gate import routes_let_in
from image_registry_lab.legacy.variants import VARIANTS
from tests.app.migration.conftest import LegacyCluster, cluster_of, inventory_of
from tests.app.migration.test_execution import context_of

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


class Trying:
    """A named fake of an API server that is asked what it would do."""

    def __init__(self, cluster: LegacyCluster) -> None:
        self._cluster, self.tried = cluster, list[str]()

    def find(self, path: str) -> Any:
        if path == "/apis/networking.k8s.io/v1":
            return {"resources": [{"name": "ingresses", "kind": "Ingress", "namespaced": True}]}
        return self._cluster.documents.get(path)

    def replace(self, path: str, body: Any, *, query: dict[str, str]) -> Any:
        assert query == {"dryRun": "All"}
        self.tried.append(f"{path}: {body['spec']['rules'][0]['http']['paths'][0]['path']}")
        return body

    def request(self, _method: str, path: str, body: Any, *, query: dict[str, str], content_type: str) -> Any:
        del content_type
        assert query["dryRun"] == "All"
        self.tried.append(path)
        return body


def test_the_gate_of_the_routes_tries_what_the_cutover_writes(tmp_path: Path) -> None:
    cluster = cluster_of(VARIANTS["4.2-pvc"])
    made = plan(make_case(inventory_of(cluster), None, Choices()))
    (gate,) = (step for step in made.phase(Phase.PREPARE) if step.id == "prepare/routes")
    server = Trying(cluster)
    context = replace(context_of(made, tmp_path), client=cast("Any", server))
    assert [item.cause for item in routes_let_in(gate, context)] == ["", ""]
    assert server.tried == [
        f"{INGRESS}: /v2",
        "/apis/networking.k8s.io/v1/namespaces/image-registry-system/ingresses/legacy",
    ]
