"""The Registry Gateway: found whole, known for ours or for somebody else's, stopped, removed, or left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from image_registry.kube.client import object_path
from image_registry.migration import report
from image_registry.migration.assess import assess
from image_registry.migration.case import Case, make_case
from image_registry.migration.choices import Choices
from image_registry.migration.facts import GatewayFact, ObjectName
from image_registry.migration.phases import Phase
from image_registry.migration.planning import plan
from image_registry_lab.legacy.variants import NAMESPACE, VARIANTS
from tests.app.migration.conftest import LegacyCluster, cluster_of, inventory_of
from tests.app.migration.test_plans import APP, EVERYTHING, NESTED, surveyed

DEPLOYMENT = ObjectName("Deployment", "registry-gateway-gateway", NAMESPACE, "apps/v1")
PATH = object_path("apps/v1", "deployments", DEPLOYMENT.name, namespace=NAMESPACE)
INGRESS = object_path("networking.k8s.io/v1", "ingresses", "image-registry", namespace=NAMESPACE)
LOGIN = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "registry-gateway-external-registry-secret", "namespace": NAMESPACE},
    "data": {"username": "aGFyYm9y", "password": "bm9ib2R5LWtub3dz"},
}


@pytest.fixture
def cluster() -> LegacyCluster:
    return cluster_of(VARIANTS["4.2-gateway"])


def found(cluster: LegacyCluster, **how: Any) -> GatewayFact:
    parts = inventory_of(cluster, **how).gateway_parts
    assert parts is not None
    return parts


def case_of(cluster: LegacyCluster, folder: Path, **how: Any) -> Case:
    return make_case(inventory_of(cluster, **how), surveyed(folder, APP, NESTED), Choices(accepted=EVERYTHING))


def steps(case: Case, phase: Phase) -> list[str]:
    return [step.id for step in plan(case).phase(phase)]


def past_the_proxy(cluster: LegacyCluster) -> None:
    [container] = cluster.documents[PATH]["spec"]["template"]["spec"]["containers"]
    container["args"] = [f"--upstream=http://image-registry-direct.{NAMESPACE}.svc:5000"]


def test_it_is_found_with_its_records_its_pieces_and_where_it_leads(cluster: LegacyCluster) -> None:
    parts = found(cluster)
    assert parts.workload is not None
    assert (parts.workload.object, parts.workload.ready) == (DEPLOYMENT, 1)
    assert {(record.object.kind, record.cluster) for record in parts.records} == {
        ("ClusterPluginInstance", "workload"), ("AppRelease", "workload"), ("ModuleInfo", "global"),
    }  # fmt: skip
    assert {(piece.kind, piece.name) for piece in parts.pieces} == {
        ("Service", "registry-gateway-service"),
        ("ConfigMap", "registry-gateway-config"),
        ("ResourcePatch", "registry-gateway-limits"),
    }
    assert (parts.leads_to, parts.fronts, parts.past_rights, parts.ours) == (
        (f"image-registry.{NAMESPACE}",), True, False, True,
    )  # fmt: skip
    assert {record.cluster for record in found(cluster, beyond=False).records} == {"workload"}
    assert "AppRelease cpaas-system/registry-gateway" in report.html(inventory_of(cluster), ())


def test_without_a_gateway_there_is_none() -> None:
    inventory = inventory_of(cluster_of(VARIANTS["4.2-pvc"]))
    assert (inventory.gateway_parts, inventory.gateway, inventory.unread) == (None, None, ())


def test_a_release_of_the_gateway_that_is_applied_again_is_held_too(cluster: LegacyCluster, tmp_path: Path) -> None:
    path = object_path("operator.alauda.io/v1alpha1", "appreleases", "registry-gateway", namespace=NAMESPACE)
    cluster.documents[path]["metadata"]["annotations"] = {"interval-sync": "true"}
    assert f"prepare/hold/AppRelease {NAMESPACE}/registry-gateway" in steps(case_of(cluster, tmp_path), Phase.PREPARE)


def test_it_stops_before_the_registry_goes_with_its_records_and_what_stays_is_told(
    cluster: LegacyCluster, tmp_path: Path
) -> None:
    case = case_of(cluster, tmp_path)
    observed, ended = steps(case, Phase.OBSERVE), steps(case, Phase.FINALIZE)
    assert observed.index("observe/stop-gateway") < observed.index("observe/stop")
    for phase in (Phase.PREPARE, Phase.CUTOVER):
        served = [name for name in steps(case, phase) if "/serving" in name]
        assert served == [f"{phase}/serving-gateway", f"{phase}/serving"], "a rollback starts the registry first"
    gone = ended.index("finalize/gone")
    for record in ("workload/ClusterPluginInstance registry-gateway", "global/ModuleInfo business-77c1"):
        assert ended.index("finalize/hold") < ended.index(f"finalize/{record}") < gone
    [remains] = [step for step in plan(case).phase(Phase.FINALIZE) if step.id == "finalize/remains"]
    kinds = {(kind, name) for kind, name, _, _ in remains.parameters["remains"]}
    assert {("Deployment", DEPLOYMENT.name), ("ConfigMap", "registry-gateway-config")} <= kinds
    assert {("ResourcePatch", "registry-gateway-limits"), ("Service", "registry-gateway-service")} <= kinds
    assert not remains.parameters["elsewhere"]


def test_without_the_global_cluster_the_commands_for_its_records_are_told(
    cluster: LegacyCluster, tmp_path: Path
) -> None:
    case = case_of(cluster, tmp_path, beyond=False)
    [remains] = [step for step in plan(case).phase(Phase.FINALIZE) if step.id == "finalize/remains"]
    registry, gateway = remains.parameters["elsewhere"]
    ended = steps(case, Phase.FINALIZE)
    assert ended.index("finalize/hold") + 1 == ended.index("finalize/global"), "nobody is to do it before"
    assert "finalize/global" not in steps(case_of(cluster, tmp_path), Phase.FINALIZE)
    assert "delete moduleinfoes.cluster.alauda.io -l cpaas.io/cluster-name=business" in registry
    assert "cpaas.io/module-name=image-registry" in registry
    assert "begins with registry-gateway" in gateway
    [told] = [finding for finding in assess(case) if finding.rule == "global-cluster"]
    assert registry in told.action


def test_one_of_another_registry_is_neither_stopped_nor_removed(cluster: LegacyCluster, tmp_path: Path) -> None:
    cluster.put(LOGIN)
    parts = found(cluster)
    assert (parts.elsewhere, parts.ours) == (True, False)
    assert "bm9ib2R5" not in str(parts)
    case = case_of(cluster, tmp_path)
    assert f"gateway-elsewhere:{DEPLOYMENT}" in {finding.id for finding in assess(case)}
    told = " ".join(step.id for step in plan(case).steps if step.phase in (Phase.OBSERVE, Phase.FINALIZE))
    assert "gateway" not in told


def test_one_that_nothing_leads_to_ours_is_left_alone(cluster: LegacyCluster) -> None:
    del cluster.documents[INGRESS]
    [container] = cluster.documents[PATH]["spec"]["template"]["spec"]["containers"]
    container["args"] = ["--upstream=http://my-image-registry.cpaas-system-2.svc"]
    parts = found(cluster)
    assert (parts.leads_to, parts.fronts, parts.ours) == ((), False, False)


def test_one_that_asks_past_the_rights_is_a_warning(cluster: LegacyCluster, tmp_path: Path) -> None:
    past_the_proxy(cluster)
    assert found(cluster).past_rights
    told = {finding.id: finding for finding in assess(case_of(cluster, tmp_path))}
    assert "scale deployment registry-gateway-gateway" in told[f"gateway-past-rights:{DEPLOYMENT}"].action
