"""Migrations executed in a real kube-apiserver: forth, back, and killed on the way; every object is compared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import KubeError
from image_registry.kube.image_references import CustomField
from image_registry.migration.case import make_case
from image_registry.migration.choices import Choices
from image_registry.migration.cluster_objects import restorable
from image_registry.migration.discovery import Question, discover
from image_registry.migration.holding import lease_path
from image_registry.migration.phases import Phase
from image_registry.migration.plan import Plan, write_plan
from image_registry.migration.planning import plan
from image_registry_lab.legacy.objects import definitions, objects, workloads
from image_registry_lab.legacy.variants import VARIANTS, Variant
from tests.app.migration.conftest import ready, volume
from tests.app.migration.test_plans import APP, EVERYTHING, NESTED, surveyed
from tests.operator.conftest import CHART, control_plane, program, started
from tests.operator.control_plane import READY_SECONDS, ApiServer
from tests.operator.every_hand import EveryHands
from tests.operator.test_legacy_registry import collection

BUILDS = CustomField.parse("builds.example.com/v1/builds=spec.output.image")
TARGET = "image-registry-system"
NOBODYS = frozenset({"events", "endpoints", "namespaces", "componentstatuses", "servicecidrs", "ipaddresses"})
"""Written by the API server itself, or left behind on purpose."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with started(control_plane(tmp_path_factory.mktemp("apiserver"))) as found:
        for document in definitions():
            found.client.create(collection(document), document)
        with EveryHands(found.client, ""):
            yield found


@pytest.fixture(params=sorted(VARIANTS))
def variant(request: pytest.FixtureRequest) -> Variant:
    return VARIANTS[request.param]


def documents(variant: Variant) -> list[dict[str, Any]]:
    found = [*objects(variant), *workloads(variant)]
    made = volume()
    made["spec"]["claimRef"] = {"kind": "PersistentVolumeClaim", "name": variant.name, "namespace": "cpaas-system"}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}
    kept = [node, *([made] if variant.storage == "pvc" else []), *found]
    return [ready(item) for item in kept if item["kind"] != "CustomResourceDefinition"]


def fill(client: ClusterClient, variant: Variant) -> None:
    deadline = time.monotonic() + READY_SECONDS
    for document in documents(variant):
        document.get("spec", {}).pop("clusterIP", None)
        while True:
            try:
                made = client.create(collection(document), document)
                if document["kind"] == "Node":
                    conditions = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
                    client.merge(f"/api/v1/nodes/{made['metadata']['name']}/status", conditions)
                break
            except KubeError as error:
                if error.conflict:
                    break
                if not error.not_found or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)  # the API server does not serve a new kind at once


def clear(client: ClusterClient) -> None:
    """Everything but namespaces, for the next one; and whose the migration was."""
    if client.find(lease_path("cpaas-system")) is not None:
        client.delete(lease_path("cpaas-system"))
    deadline = time.monotonic() + READY_SECONDS
    while found := everything(client):
        assert time.monotonic() < deadline, sorted(found)
        for path in found:
            try:
                client.delete(path)
            except KubeError as error:
                if not error.not_found:
                    raise
        time.sleep(0.1)


def everything(client: ClusterClient) -> dict[str, dict[str, Any]]:
    """Every object by its path, without what nobody decides."""
    found = {}
    groups = ["v1", "apps/v1", "batch/v1", "networking.k8s.io/v1", "rbac.authorization.k8s.io/v1", "storage.k8s.io/v1"]
    groups += ["cluster.alauda.io/v1alpha1", "operator.alauda.io/v1alpha1", "builds.example.com/v1"]
    groups += ["cpaas.io/v1", "product.alauda.io/v1"]
    for group in groups:
        root = f"/apis/{group}" if "/" in group else f"/api/{group}"
        for kind in (client.find(root) or {}).get("resources") or ():
            if "/" in kind["name"] or "list" not in kind["verbs"] or kind["name"] in NOBODYS:
                continue
            for item in client.get(object_path(group, kind["name"]))["items"]:
                metadata = item["metadata"]
                bootstrapped = "kubernetes.io/bootstrapping" in (metadata.get("labels") or {})
                if metadata.get("namespace") in (TARGET, "kube-system", "kube-public") or bootstrapped:
                    continue
                if metadata["name"] == "kubernetes" and kind["name"] == "services":
                    continue
                path = object_path(group, kind["name"], metadata["name"], namespace=metadata.get("namespace", ""))
                found[path] = restorable(item)
    return found


def planned(server: ApiServer, folder: Path) -> Plan:
    """Of what is there now, once controllers have seen it."""
    deadline = time.monotonic() + 20
    while True:
        inventory = discover(server.client, Question(cluster="business", fields=(BUILDS,)), global_client=server.client)
        made = plan(make_case(inventory, surveyed(folder, APP, NESTED), Choices(accepted=EVERYTHING)))
        if made.ready:
            break
        assert time.monotonic() < deadline, [finding.id for finding in made.blockers]
        time.sleep(0.2)
    (folder / "plan.json").write_text(json.dumps(write_plan(made)))
    return made


def migrating(server: ApiServer, folder: Path, what: str, until: str, *death: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.operator.migrating", what, str(server.kubeconfig), str(folder), until]
    known = {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    root = Path(__file__).resolve().parents[2]
    return subprocess.run(
        [*command, *death], capture_output=True, text=True, check=False, cwd=root, env=known, timeout=120
    )


def well(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_variant_goes_forth_and_back_object_by_object(variant: Variant, server: ApiServer, tmp_path: Path) -> None:
    client = server.client
    fill(client, variant)
    try:
        made = planned(server, tmp_path)
        before = everything(client)
        said = well(migrating(server, tmp_path, "run", "cutover"))
        assert f"step 1 of {len(made.steps)} (prepare)" in said
        web = client.get("/apis/apps/v1/namespaces/team-a/deployments/web")
        assert web["spec"]["template"]["spec"]["containers"][0]["image"] == f"{made.host}/team-a/app:v1"
        pusher = client.get("/apis/rbac.authorization.k8s.io/v1/clusterroles/system:image-pusher")["rules"]
        assert {"apiGroups": ["registry.alauda.io"], "resources": ["images"], "verbs": ["get"]} in pusher
        assert client.find("/apis/networking.k8s.io/v1/namespaces/cpaas-system/ingresses/" + variant.name) is None
        assert json.loads((tmp_path / "values.json").read_text())["config"]["readOnly"] is False
        assert before != everything(client)
        well(migrating(server, tmp_path, "rollback", "cutover"))
        assert everything(client) == before
        assert not (tmp_path / "values.json").exists()
    finally:
        clear(client)


def test_killed_in_every_phase_it_goes_on_and_back(server: ApiServer, tmp_path: Path) -> None:
    client, variant = server.client, VARIANTS["4.2-pvc"]
    fill(client, variant)
    try:
        made = planned(server, tmp_path)
        before = everything(client)
        phases = [Phase.PREPARE, Phase.FREEZE, Phase.ATTACH, Phase.BACKFILL, Phase.GATES, Phase.CUTOVER]
        for number, phase in enumerate(phases):
            steps = list(made.phase(phase))
            step = steps[len(steps) // 2]
            died = migrating(server, tmp_path, "run", "cutover", step.id, ("after", "before")[number % 2])
            assert died.returncode == -9, died.stdout + died.stderr
        well(migrating(server, tmp_path, "run", "cutover"))
        forth = everything(client)
        for number, phase in enumerate(reversed(phases)):
            steps = [step for step in made.phase(phase) if step.undo]
            if steps:
                died = migrating(
                    server, tmp_path, "rollback", "", steps[len(steps) // 2].id, ("before", "after")[number % 2]
                )
                assert died.returncode == -9, died.stdout + died.stderr
        well(migrating(server, tmp_path, "rollback", ""))
        assert everything(client) == before
        well(migrating(server, tmp_path, "run", "cutover"))  # and forth again, from the same journal
        assert everything(client) == forth
    finally:
        clear(client)


def ac(server: ApiServer, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("ac")), "adm", "migrate", words[0]]
    command += ["--plan", str(folder / "plan.json"), "--journal", str(folder / "journal")]
    if words[0] != "status":
        command += ["--kubeconfig", str(server.kubeconfig), "--helm", program("helm"), "--chart", str(CHART)]
    return subprocess.run([*command, *words[1:]], capture_output=True, text=True, check=False, timeout=170)


def test_the_command_installs_by_helm_beside_the_old_roles_and_takes_it_back(server: ApiServer, tmp_path: Path) -> None:
    client, puller = server.client, "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:image-puller"
    fill(client, VARIANTS["4.2-s3"])
    try:
        planned(server, tmp_path)
        before, old = everything(client), client.get(puller)["rules"]
        shown = ac(server, tmp_path, "run", "--until", "prepare", "--dry-run")
        assert "installs this registry" in well(shown)
        assert everything(client) == before
        assert not (tmp_path / "journal").exists()
        well(ac(server, tmp_path, "run", "--until", "prepare", "--html", str(tmp_path / "progress.html")))
        assert 'prepare</td><td class="ready">done' in (tmp_path / "progress.html").read_text()
        role = client.get(puller)
        assert "meta.helm.sh/release-name" not in (role["metadata"].get("annotations") or {})
        assert role["rules"][: len(old)] == old
        assert role["rules"][len(old) :] == [
            {"apiGroups": ["image.alauda.io"], "resources": ["imagestreams/layers"], "verbs": ["get"]}
        ]
        secret = client.get(f"/api/v1/namespaces/{TARGET}/secrets/image-registry-private-configuration-user")
        assert set(secret["data"]) == {"REGISTRY_STORAGE_S3_ACCESSKEY", "REGISTRY_STORAGE_S3_SECRETKEY"}
        written = yaml.safe_load((tmp_path / "journal.values.yml").read_text())
        said = [program("helm"), "get", "values", "image-registry", f"--namespace={TARGET}", "--output=json"]
        asked = {"KUBECONFIG": str(server.kubeconfig), "HOME": str(tmp_path), "PATH": os.environ["PATH"]}
        found = subprocess.run(said, capture_output=True, text=True, check=True, env=asked).stdout
        assert written == {"registry_install_method": "helm", "registry_chart_values": json.loads(found)}
        assert written["registry_chart_values"]["config"]["storage"]["s3"]["bucket"]
        assert secret["data"]["REGISTRY_STORAGE_S3_ACCESSKEY"] not in (tmp_path / "journal").read_text()
        assert well(ac(server, tmp_path, "run", "--until", "prepare")).startswith("PHASE")  # nothing is left to be done
        assert "under way" not in well(ac(server, tmp_path, "status"))
        would = ac(server, tmp_path, "rollback")
        assert "it is uninstalled; its storage is kept" in well(would)
        assert client.get(puller)["rules"] == role["rules"]
        well(ac(server, tmp_path, "rollback", "--confirm"))
        assert everything(client) == before
        assert not (tmp_path / "journal.values.yml").exists()
    finally:
        clear(client)
