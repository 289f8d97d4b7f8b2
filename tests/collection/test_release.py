"""The release: nothing is done twice, what fails is taken back, what an interrupted run left is repaired."""

from __future__ import annotations

import json
import re
import signal
import stat
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.alauda.registry.plugins.module_utils import _release
from ansible_collections.alauda.registry.plugins.modules import registry_data, registry_info, registry_release

from tests.collection.conftest import NAMESPACE, ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.collection.conftest import FakeCluster, FakeHelm, Result, Run

HERE = f"/api/v1/namespaces/{NAMESPACE}"
CLAIMS = f"{HERE}/persistentvolumeclaims"
APISERVICE = "/apis/apiregistration.k8s.io/v1/apiservices/v1.image.alauda.io"
PART = {"app.kubernetes.io/part-of": "image-registry", "app.kubernetes.io/instance": "image-registry"}
SERVICE = f"""
apiVersion: v1
kind: Service
metadata: {{name: image-registry, namespace: {NAMESPACE}}}
spec: {{ports: [{{port: 5000}}]}}
---
apiVersion: v1
kind: Secret
metadata: {{name: extra}}
stringData: {{password: open-sesame}}
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_release, "LOOK", 0.05)


@pytest.fixture
def install(cluster: FakeCluster, fake_helm: FakeHelm, run: Run) -> Callable[..., Result]:
    """Runs the module; the fake cluster holds what the manifest says."""
    fake_helm.does(manifest=SERVICE)
    cluster.put(f"{HERE}/services/image-registry", {})
    cluster.put(f"{HERE}/secrets/extra", {})

    def run_install(**arguments: Any) -> Result:
        given = {"chart_ref": "charts/image-registry", "helm_binary": fake_helm.binary, **arguments}
        return run(registry_release, **given)

    return run_install


def test_the_second_run_changes_nothing(fake_helm: FakeHelm, install: Callable[..., Result]) -> None:
    first = install(values={"a": 1})
    assert first["changed"]
    assert first["revision"] == 1
    second = install(values={"a": 1})
    assert not second["changed"]
    assert second["revision"] == 1
    assert second["reasons"] == []
    assert fake_helm.writes == ["upgrade"]


def test_check_mode_changes_nothing_and_shows_what_would(
    cluster: FakeCluster, fake_helm: FakeHelm, install: Callable[..., Result]
) -> None:
    before = dict(cluster.objects)
    result = install(check=True, values={"a": 1})
    assert result["changed"]
    assert result["diff"]["before"]["objects"] == {}
    assert f"Service {NAMESPACE}/image-registry" in result["diff"]["after"]["objects"]
    assert fake_helm.writes == []
    assert cluster.objects == before


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda helm: helm.does(manifest=SERVICE.replace("5000", "5001")), "objects differ"),
        (lambda helm: helm.has("failed"), "revision 1 is failed"),
    ],
    ids=["another chart of the same version", "a failed revision"],
)
def test_what_differs_is_named_and_done(
    fake_helm: FakeHelm, install: Callable[..., Result], change: Callable[[FakeHelm], None], reason: str
) -> None:
    install()
    change(fake_helm)
    result = install()
    assert result["changed"]
    assert reason in result["reasons"]
    assert fake_helm.release
    assert fake_helm.release["info"]["status"] == "deployed"


def test_a_change_of_one_value_is_no_upgrade(
    fake_helm: FakeHelm, install: Callable[..., Result], tmp_path: Path
) -> None:
    charts = {}
    for version in ("2.0.0", "2.1.0"):
        charts[version] = tmp_path / version
        charts[version].mkdir()
        (charts[version] / "Chart.yaml").write_text(f"name: image-registry\nversion: {version}\n", encoding="utf-8")
    first = install(chart_ref=str(charts["2.1.0"]), same_chart=True)
    assert first["changed"], "there is nothing that could be upgraded"
    for check in (True, False):
        refused = install(chart_ref=str(charts["2.1.0"]), values={"a": 1}, same_chart=True, check=check)
        assert refused.failed
        assert "is of chart version 2.0.0" in refused.message
        assert "was not changed" in refused.message
        assert "Run playbooks/upgrade.yml first, or set registry_chart_version=2.0.0" in refused.message
    assert fake_helm.writes == ["upgrade"]
    assert install(chart_ref=str(charts["2.0.0"]), values={"a": 1}, same_chart=True)["changed"]
    assert install(chart_ref=str(charts["2.1.0"]), values={"a": 2})["changed"], "who upgrades does not ask"


MIGRATED = {
    "config": {"storage": {"s3": {"bucket": "images"}}, "routes": [{"name": "legacy"}], "logLevel": "Normal"},
    "imagePruner": {"suspend": True},
    "image": {"tag": "2.0.0"},
}


def test_what_the_release_has_and_nobody_says_is_refused_by_its_name(
    fake_helm: FakeHelm, install: Callable[..., Result]
) -> None:
    install(values=MIGRATED, forget=[])
    said = {"config": {"logLevel": "Debug"}, "image": {"digest": "sha256:1"}}
    for check in (True, False):
        refused = install(values=said, forget=[], check=check)
        assert refused.failed
        assert "so they would go: config.storage.s3, config.routes, imagePruner.suspend. Nothing" in refused.message
        assert "registry_values_forgotten" in refused.message
    refused = install(values=said, forget=["config.routes", "imagePruner"])
    assert "so they would go: config.storage.s3. Nothing" in refused.message
    assert fake_helm.writes == ["upgrade"], "nothing was changed"
    claim = {"config": {"storage": {"pvc": {}}}}
    assert "config.storage.s3" in install(values=claim, forget=["config.routes", "imagePruner"]).message
    assert install(values={**MIGRATED, **said, "config": {**MIGRATED["config"], "routes": []}}, forget=["image"])[
        "changed"
    ]
    assert install(values=said, forget=["*"])["changed"]


def test_what_never_worked_binds_nobody_and_what_worked_last_counts(
    fake_helm: FakeHelm, install: Callable[..., Result]
) -> None:
    fake_helm.does(failure="no such image")
    assert install(values=MIGRATED, forget=[]).failed
    fake_helm.does()
    assert install(values={"config": {"logLevel": "Debug"}}, forget=[])["changed"]
    assert "config.logLevel" in install(values={}, forget=[]).message


INCLUDES = re.compile(r"name: alauda\.registry\.install\n(?P<rest>(?:.*\n)*?)(?=\n- name|\n +- name|\Z)")


def test_no_role_but_upgrade_takes_a_release_to_another_chart() -> None:
    roles = ROOT / "collections/ansible_collections/alauda/registry/roles"
    found = {}
    for path in roles.glob("*/tasks/*.yml"):
        for match in INCLUDES.finditer(path.read_text(encoding="utf-8")):
            found[path.relative_to(roles).as_posix()] = "__registry_same_chart: true" in match["rest"]
    assert found.pop("upgrade/tasks/upgrade.yml") is False
    assert set(found) == {
        "nodes/tasks/main.yml",
        "prune/tasks/schedule.yml",
        "routes/tasks/helm.yml",
        "storage/tasks/same_release.yml",
    }
    assert all(found.values()), found


def test_other_values_are_a_change_even_when_they_render_the_same(install: Callable[..., Result]) -> None:
    install(values={"a": 1})
    assert install(values={"a": 2})["reasons"] == ["values differ"]


def test_an_object_that_somebody_deleted_comes_back(cluster: FakeCluster, install: Callable[..., Result]) -> None:
    install()
    del cluster.objects[f"{HERE}/services/image-registry"]
    assert install()["reasons"] == [f"objects of the release are gone: Service {NAMESPACE}/image-registry"]


def test_a_secret_is_compared_and_never_shown(fake_helm: FakeHelm, install: Callable[..., Result]) -> None:
    install()
    fake_helm.does(manifest=SERVICE.replace("open-sesame", "close-sesame"))
    result = install(check=True)
    assert result["reasons"] == ["objects differ"]
    assert "sesame" not in json.dumps(result.document)


def test_values_reach_helm_in_a_file_that_only_its_owner_reads_and_that_is_gone_afterwards(
    fake_helm: FakeHelm, install: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []
    original = _release.plan

    def plan(cluster: Any, helm: Any, order: Any) -> Any:
        modes.append(stat.S_IMODE(Path(order.values_file).stat().st_mode))
        return original(cluster, helm, order)

    monkeypatch.setattr(_release, "plan", plan)
    install(values={"password": "open-sesame"})
    assert modes == [0o600]
    for call in fake_helm.calls:
        assert "open-sesame" not in json.dumps(call["arguments"])
        for argument in call["arguments"]:
            if argument.startswith("--values="):
                assert not Path(argument.removeprefix("--values=")).exists()


def test_the_namespace_is_made_with_its_labels_and_marked_as_ours(
    cluster: FakeCluster, install: Callable[..., Result]
) -> None:
    install(namespace_labels={"pod-security.kubernetes.io/enforce": "privileged"})
    metadata = cluster.objects[HERE]["metadata"]
    assert metadata["labels"] == {"pod-security.kubernetes.io/enforce": "privileged"}
    assert "registry.alauda.io/created-by" in metadata["annotations"]


def test_a_label_that_somebody_chose_is_not_overruled(cluster: FakeCluster, install: Callable[..., Result]) -> None:
    cluster.put(HERE, {"metadata": {"labels": {"level": "strict"}}})
    install(namespace_labels={"level": "open", "team": "a"})
    assert cluster.objects[HERE]["metadata"]["labels"]["level"] == "strict"


def put_claim(cluster: FakeCluster, name: str, phase: str = "Bound") -> str:
    path = f"{CLAIMS}/{name}"
    cluster.put(path, {"metadata": {"labels": PART}, "spec": {}, "status": {"phase": phase}})
    return path


def test_a_first_installation_that_fails_leaves_nothing(
    cluster: FakeCluster, fake_helm: FakeHelm, install: Callable[..., Result]
) -> None:
    fake_helm.does(failure="timed out waiting for the condition", seconds=0.3)
    hook = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs/image-registry-bootstrap-secrets"

    def meanwhile(_method: str, path: str) -> None:
        if path.endswith("/deployments") and hook not in cluster.objects:
            cluster.put(hook, {"metadata": {"labels": PART}})
            put_claim(cluster, "image-registry-storage", "Pending")

    cluster.before = meanwhile
    result = install()
    cluster.before = lambda _method, _path: None
    assert result.failed
    assert "timed out waiting for the condition" in result.message
    assert "Nothing of this installation is left in the cluster" in result.message
    assert fake_helm.release is None
    for path in (hook, f"{CLAIMS}/image-registry-storage", HERE):
        assert path not in cluster.objects


def test_a_failed_installation_keeps_the_images_of_an_earlier_one(
    cluster: FakeCluster, fake_helm: FakeHelm, install: Callable[..., Result]
) -> None:
    cluster.put(HERE, {})
    kept = put_claim(cluster, "image-registry-storage")
    fake_helm.does(failure="no")
    assert install().failed
    assert kept in cluster.objects
    assert HERE in cluster.objects


def test_a_failure_names_what_stood_in_the_way(
    cluster: FakeCluster, fake_helm: FakeHelm, install: Callable[..., Result]
) -> None:
    waiting = {"waiting": {"reason": "ErrImagePull", "message": "not found"}}
    status = {"containerStatuses": [{"name": "registry", "ready": False, "state": waiting}]}
    cluster.put(f"{HERE}/pods/image-registry-0", {"metadata": {"labels": PART}, "status": status})
    fake_helm.does(failure="timed out", seconds=0.3)
    result = install()
    assert "1. [ErrImagePull] Pod image-registry-0, container registry: ErrImagePull: not found" in result.message
    assert result["findings"][0]["cure"]
    assert any("ErrImagePull" in line for line in result["progress"])


@pytest.mark.parametrize("interrupts", [signal.default_int_handler, signal.SIG_IGN], ids=["terminal", "background"])
def test_waiting_in_vain_ends_early(
    cluster: FakeCluster, fake_helm: FakeHelm, install: Callable[..., Result], interrupts: Any
) -> None:
    waiting = {"waiting": {"reason": "InvalidImageName"}}
    status = {"containerStatuses": [{"name": "registry", "ready": False, "state": waiting}]}
    cluster.put(f"{HERE}/pods/image-registry-0", {"metadata": {"labels": PART}, "status": status})
    fake_helm.does(failure="timed out", seconds=60)
    before = signal.signal(signal.SIGINT, interrupts)  # a shell lets jobs in the background ignore it
    try:
        started = time.monotonic()
        result = install(patience=0)
    finally:
        signal.signal(signal.SIGINT, before)
    assert "waiting is in vain (InvalidImageName" in result.message
    assert time.monotonic() - started < 20


def test_an_upgrade_that_fails_goes_back_to_what_worked(fake_helm: FakeHelm, install: Callable[..., Result]) -> None:
    install(values={"a": 1})
    fake_helm.does(manifest=SERVICE.replace("5000", "5001"), failure="timed out")
    result = install(values={"a": 2})
    assert result.failed
    assert "Revision 1, which worked before, is restored" in result.message
    assert fake_helm.writes == ["upgrade", "upgrade", "rollback"]
    assert "1" in fake_helm.calls[-1]["arguments"]


def test_what_helm_cannot_roll_back_is_upgraded_to_what_worked(
    fake_helm: FakeHelm, install: Callable[..., Result]
) -> None:
    install(values={"a": 1})
    fake_helm.does(manifest=SERVICE.replace("5000", "5001"), failure="timed out", stuck="spec is immutable")
    result = install(values={"a": 2})
    assert "Revision 1, which worked before, is restored" in result.message
    assert fake_helm.writes == ["upgrade", "upgrade", "rollback", "upgrade"]
    assert fake_helm.release is not None
    assert fake_helm.release["values"] == {"a": 1}
    assert fake_helm.release["history"][-1]["status"] == "deployed"


def test_with_another_chart_a_rollback_that_fails_is_told(fake_helm: FakeHelm, install: Callable[..., Result]) -> None:
    install(values={"a": 1})
    fake_helm.does(failure="timed out", stuck="spec is immutable", chart="c-2")
    result = install(values={"a": 2})
    assert "not possible to go back to revision 1 either: spec is immutable" in result.message
    assert fake_helm.writes == ["upgrade", "upgrade", "rollback"]
    fake_helm.does()
    again = install(values={"a": 3})
    assert again["changed"], "revision 1 is what worked, and what was tried since binds nobody"


def test_after_the_cure_the_next_run_completes(fake_helm: FakeHelm, install: Callable[..., Result]) -> None:
    fake_helm.does(failure="no")
    assert install().failed
    fake_helm.does()
    assert install()["changed"]
    assert not install()["changed"]


def test_a_release_that_somebody_works_on_is_left_alone(
    fake_helm: FakeHelm, install: Callable[..., Result], run: Run
) -> None:
    install()
    fake_helm.has("pending-upgrade", last_deployed=datetime.now(UTC).isoformat())
    result = install(values={"b": 1})
    assert result.failed
    assert "another helm or playbook works on it" in result.message
    release = run(registry_info, helm_binary=fake_helm.binary)["release"]
    assert f"kubectl -n {NAMESPACE} delete secret {release['record']}" in result.message
    assert release["record"].startswith("sh.helm.release.v1.image-registry.v")
    assert 800 < release["in_use_for"] <= 900
    assert fake_helm.writes == ["upgrade"]


def test_what_a_run_that_died_left_is_repaired(fake_helm: FakeHelm, install: Callable[..., Result]) -> None:
    install()
    fake_helm.has("pending-install", last_deployed="2026-01-01T00:00:00.123456789Z")
    result = install()
    assert result["changed"]
    assert fake_helm.writes == ["upgrade", "uninstall", "upgrade"]


# ── absent ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_uninstallation_is_done_once_and_keeps_the_data(
    cluster: FakeCluster, fake_helm: FakeHelm, install: Callable[..., Result], run: Run
) -> None:
    install()
    kept = put_claim(cluster, "image-registry-storage")
    leftover = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs/image-registry-bootstrap-api-service"
    cluster.put(leftover, {"metadata": {"labels": PART}})
    cluster.put(APISERVICE, {"spec": {"service": {"namespace": NAMESPACE}}})
    result = run(registry_release, state="absent", helm_binary=fake_helm.binary)
    assert result["changed"]
    assert fake_helm.release is None
    assert kept in cluster.objects
    assert leftover not in cluster.objects
    assert APISERVICE not in cluster.objects
    assert not run(registry_release, state="absent", helm_binary=fake_helm.binary)["changed"]


def test_the_check_mode_of_an_uninstallation_removes_nothing(
    fake_helm: FakeHelm, install: Callable[..., Result], run: Run
) -> None:
    install()
    result = run(registry_release, state="absent", helm_binary=fake_helm.binary, check=True)
    assert result["changed"]
    assert f"Service {NAMESPACE}/image-registry" in result["diff"]["before"]["objects"]
    assert fake_helm.release


def test_an_installation_whose_record_is_lost_is_still_uninstalled(
    cluster: FakeCluster, fake_helm: FakeHelm, run: Run
) -> None:
    mine = {"meta.helm.sh/release-name": "image-registry", "meta.helm.sh/release-namespace": NAMESPACE}
    roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
    gone = [
        f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/image-registry",
        f"{HERE}/services/image-registry",
        f"{roles}/system:image-puller",
    ]
    for path in gone:
        cluster.put(path, {"metadata": {"labels": PART, "annotations": mine}})
    stays = f"{roles}/somebody-elses"
    cluster.put(stays, {"metadata": {"labels": PART}})
    kept = put_claim(cluster, "image-registry-storage")
    assert run(registry_release, state="absent", helm_binary=fake_helm.binary)["changed"]
    assert not set(gone) & set(cluster.objects)
    assert {stays, kept} <= set(cluster.objects)


def test_an_api_service_of_somebody_else_is_left_alone(cluster: FakeCluster, fake_helm: FakeHelm, run: Run) -> None:
    cluster.put(APISERVICE, {"spec": {"service": {"namespace": "elsewhere"}}})
    assert not run(registry_release, state="absent", helm_binary=fake_helm.binary)["changed"]
    assert APISERVICE in cluster.objects


# ── data ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def data(cluster: FakeCluster, fake_helm: FakeHelm, run: Run) -> Callable[..., Result]:
    """Runs the module over kept data, some of it an administrator's."""
    cluster.put(HERE, {"metadata": {"annotations": {"registry.alauda.io/created-by": "alauda.registry.install"}}})
    put_claim(cluster, "image-registry-storage")
    put_claim(cluster, "data-image-registry-db-0")
    cluster.put(f"{CLAIMS}/mine", {"metadata": {}, "spec": {}})
    by_code = {"app.kubernetes.io/managed-by": "image-registry-bootstrap"}
    cluster.put(f"{HERE}/secrets/image-registry-ca", {"metadata": {"labels": by_code}})
    cluster.put(f"{HERE}/secrets/mine", {"metadata": {}})

    def run_data(**arguments: Any) -> Result:
        return run(registry_data, helm_binary=fake_helm.binary, timeout=1, **arguments)

    return run_data


def test_data_is_only_listed_until_its_loss_is_confirmed(cluster: FakeCluster, data: Callable[..., Result]) -> None:
    before = dict(cluster.objects)
    result = data()
    assert not result["changed"]
    assert [item["name"] for item in result["kept"]] == [
        "data-image-registry-db-0",
        "image-registry-storage",
        "image-registry-ca",
        NAMESPACE,
    ]
    assert cluster.objects == before


def test_the_confirmation_is_the_name_of_the_namespace(cluster: FakeCluster, data: Callable[..., Result]) -> None:
    before = dict(cluster.objects)
    result = data(confirm="yes")
    assert result.failed
    assert "nothing was deleted" in result.message
    assert cluster.objects == before


def test_confirmed_data_is_deleted_and_what_an_administrator_made_is_not(
    cluster: FakeCluster, data: Callable[..., Result]
) -> None:
    assert data(confirm=NAMESPACE, check=True)["changed"]
    assert f"{CLAIMS}/image-registry-storage" in cluster.objects
    assert data(confirm=NAMESPACE, delete_namespace=False)["deleted"]
    assert f"{CLAIMS}/image-registry-storage" not in cluster.objects
    assert f"{HERE}/secrets/image-registry-ca" not in cluster.objects
    assert f"{CLAIMS}/mine" in cluster.objects
    assert f"{HERE}/secrets/mine" in cluster.objects
    assert not data(confirm=NAMESPACE, delete_namespace=False)["changed"]


def test_a_namespace_is_deleted_only_if_the_collection_made_it(
    cluster: FakeCluster, data: Callable[..., Result]
) -> None:
    cluster.put(HERE, {"metadata": {}})
    data(confirm=NAMESPACE)
    assert HERE in cluster.objects


def test_data_of_a_running_registry_is_refused(
    install: Callable[..., Result], data: Callable[..., Result], cluster: FakeCluster
) -> None:
    install()
    result = data(confirm=NAMESPACE)
    assert "still exists" in result.message
    assert f"{CLAIMS}/image-registry-storage" in cluster.objects


def test_data_that_a_pod_mounts_is_refused(cluster: FakeCluster, data: Callable[..., Result]) -> None:
    volume = {"name": "x", "persistentVolumeClaim": {"claimName": "image-registry-storage"}}
    cluster.put(f"{HERE}/pods/backup", {"spec": {"volumes": [volume]}, "status": {"phase": "Running"}})
    assert "backup" in data(confirm=NAMESPACE).message
    assert f"{CLAIMS}/image-registry-storage" in cluster.objects


def test_what_becomes_of_the_bytes_is_told(cluster: FakeCluster, data: Callable[..., Result]) -> None:
    claim = {"metadata": {"labels": PART}, "spec": {"volumeName": "pv-1"}, "status": {}}
    cluster.put(f"{CLAIMS}/image-registry-storage", claim)
    cluster.put("/api/v1/persistentvolumes/pv-1", {"spec": {"persistentVolumeReclaimPolicy": "Retain"}})
    notes = {item["name"]: item["note"] for item in data()["kept"]}
    assert "volume pv-1 stays (reclaim policy Retain)" in notes["image-registry-storage"]
    assert "no volume was ever bound" in notes["data-image-registry-db-0"]


# ── facts ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_facts_of_an_empty_cluster_are_facts(fake_helm: FakeHelm, run: Run) -> None:
    facts = run(registry_info, helm_binary=fake_helm.binary)
    assert not facts["installed"]
    assert not facts["ready"]
    assert facts["api_service"] == {"name": "v1.image.alauda.io", "available": False, "reason": "it does not exist"}


def test_facts_of_an_installation(
    cluster: FakeCluster, fake_helm: FakeHelm, install: Callable[..., Result], run: Run
) -> None:
    install(values={"config": {"replicas": 1}})
    cluster.put(f"{HERE}/services/image-registry", {"spec": {"clusterIP": "10.0.0.9"}})
    spec = {"replicas": 1, "template": {"spec": {"volumes": [{"persistentVolumeClaim": {"claimName": "mine"}}]}}}
    status = {"readyReplicas": 1, "updatedReplicas": 1}
    deployment = {"metadata": {"labels": PART}, "spec": spec, "status": status}
    cluster.put(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/image-registry", deployment)
    size = {"requests": {"storage": "10Gi"}}
    claim = {"spec": {"accessModes": ["ReadWriteMany"], "resources": size}, "status": {"phase": "Bound"}}
    cluster.put(f"{CLAIMS}/mine", claim)
    cluster.put(APISERVICE, {"status": {"conditions": [{"type": "Available", "status": "True"}]}})
    cluster.put(f"{HERE}/configmaps/image-registry-ca", {"data": {"ca-bundle.crt": "CERT"}})
    facts = run(registry_info, helm_binary=fake_helm.binary)
    assert facts["installed"]
    assert facts["ready"]
    assert facts["release"]["revision"] == 1
    assert facts["values"] == {"config": {"replicas": 1}}
    assert facts["hostnames"]["internal"] == f"image-registry.{NAMESPACE}.svc:5000"
    assert facts["hostnames"]["cluster_ip"] == "10.0.0.9"
    assert facts["storage"]["name"] == "mine"
    assert facts["storage"]["size"] == "10Gi"
    assert facts["database"] == {"kind": "external"}
    assert facts["certificate_authority"] == "CERT"
    assert facts["versions"]["kubernetes"] == "v1.33.1"


def test_values_of_a_run_that_died_are_no_facts(fake_helm: FakeHelm, install: Callable[..., Result], run: Run) -> None:
    install(values={"config": {"storage": {"pvc": {}}}})
    install(values={"config": {"storage": {"pvc": None, "s3": {"bucket": "images"}}}})
    said = run(registry_info, helm_binary=fake_helm.binary)["values"]
    assert "s3" in said["config"]["storage"]
    fake_helm.has("pending-upgrade")
    said = run(registry_info, helm_binary=fake_helm.binary)["values"]
    assert said == {"config": {"storage": {"pvc": {}}}}, "the next run goes back to these first"


def test_what_the_operator_looks_after_is_left_to_it(
    cluster: FakeCluster, fake_helm: FakeHelm, install: Callable[..., Result]
) -> None:
    install()
    config = "/apis/imageregistry.operator.alauda.io/v1/configs/cluster"
    cluster.put(config, {"spec": {"managementState": "Managed"}})
    before = fake_helm.writes
    for arguments in ({}, {"state": "absent"}, {"check": True}):
        refused = install(values={"a": 2}, **arguments)
        assert refused.failed
        assert "the operator looks after release image-registry" in refused.message
    assert fake_helm.writes == before
    assert install(state="absent", check=True)["changed"], "an earlier task of the run may be about to change that"
    cluster.put(config, {"spec": {"managementState": "Unmanaged"}})
    assert install(values={"a": 2})["changed"]


def test_the_operators_own_release_takes_no_image_api_with_it(
    cluster: FakeCluster, fake_helm: FakeHelm, run: Run
) -> None:
    labels = {"app.kubernetes.io/instance": "image-registry"}
    cluster.put(APISERVICE, {"metadata": {"labels": labels}, "spec": {"service": {"namespace": NAMESPACE}}})
    operator = "cluster-image-registry-operator"
    done = run(registry_release, state="absent", release_name=operator, helm_binary=fake_helm.binary)
    assert not done["changed"]
    assert APISERVICE in cluster.objects


@pytest.mark.parametrize(
    ("labels", "method"), [({}, "operator"), ({"olm.owner": "cluster-image-registry-operator.v2.0.0"}, "olm")]
)
def test_the_facts_say_who_looks_after_the_registry(
    cluster: FakeCluster,
    fake_helm: FakeHelm,
    install: Callable[..., Result],
    run: Run,
    labels: dict[str, str],
    method: str,
) -> None:
    assert run(registry_info, helm_binary=fake_helm.binary)["method"] == ""
    install()
    assert run(registry_info, helm_binary=fake_helm.binary)["method"] == "helm"
    template = {"spec": {"containers": [{"image": "registry.example.com/operator:2.0.0"}]}}
    cluster.put(
        f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/cluster-image-registry-operator",
        {"metadata": {"labels": labels}, "spec": {"replicas": 1, "template": template}, "status": {"readyReplicas": 1}},
    )
    cluster.put("/apis/imageregistry.operator.alauda.io/v1/configs/cluster", {"spec": {"managementState": "Managed"}})
    facts = run(registry_info, helm_binary=fake_helm.binary)
    assert (facts["method"], facts["operator"]["ready"]) == (method, 1)
    assert facts["config"] == {"spec": {"managementState": "Managed"}}
