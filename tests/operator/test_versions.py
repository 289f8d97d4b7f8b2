"""To a newer version and back: nothing that somebody wrote is lost, and each version works with what it understands."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from image_registry.kube.client import object_path
from image_registry.operator.helm import Helm
from image_registry.operator.known_fields import Language
from image_registry.operator.operand import CONFIG, Operand
from image_registry.operator.operator_events import Events
from image_registry.operator.operator_metrics import OperatorMetrics
from image_registry.operator.pruner import PRUNER, Pruner
from image_registry.operator.pruner_metrics import PrunerMetrics
from image_registry.operator.pruner_status import CRON_JOB
from image_registry.operator.reconciler import Reconciler
from image_registry.operator.release_secrets import SECRETS
from image_registry.server.operator_process import chart_digest
from tests.operator.conftest import NAMESPACE, OPERATOR, ROOT, ApiServer, control_plane, program, started
from tests.operator.hands import Hands
from tests.operator.reconciled import Cluster
from tests.operator.versions import FIELD, NUMBER, newer

DEFINITION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/configs.imageregistry.operator.alauda.io"
MADE_BY = "imageregistry.operator.alauda.io/made-by-version"


@dataclass
class Versions:
    """One cluster and the charts of two versions."""

    server: ApiServer
    charts: dict[str, Path]
    folder: Path
    hands: Hands

    def install(self, version: str) -> None:
        """``helm upgrade`` of the operator, as the how-to says, in either direction."""
        command = [program("helm"), "upgrade", "--install", OPERATOR, str(self.charts[version] / OPERATOR)]
        environment = {"HOME": str(self.folder), "KUBECONFIG": str(self.server.kubeconfig)}
        done = subprocess.run(
            [*command, "--namespace", NAMESPACE], capture_output=True, text=True, env=environment, check=False
        )
        assert done.returncode == 0, done.stderr

    def operator(self, version: str) -> Cluster:
        """The operator of a version, with the rights of its own chart."""
        chart = self.charts[version] / "image-registry"
        account = self.server.as_account(self.folder, OPERATOR, NAMESPACE)
        helm = Helm(program("helm"), chart, NAMESPACE, self.folder / "helm", account.kubeconfig)
        base = {"global": {"operator": {"chart": chart_digest(chart)}}}
        operand, events, metrics = Operand(account.client, NAMESPACE), Events(account.client), OperatorMetrics()
        language = Language.of_chart(chart)
        pruner = Pruner(account.client, NAMESPACE, events, PrunerMetrics(metrics.registry), language)
        made = Reconciler(operand, helm, events, metrics, base, pruner, language)
        return Cluster(self.server.client, made, self.hands)


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Versions]:
    folder = tmp_path_factory.mktemp("versions")
    with started(control_plane(tmp_path_factory.mktemp("plane"))) as server:
        server.client.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        for name in SECRETS:
            server.client.create(object_path("v1", "secrets", namespace=NAMESPACE), {"metadata": {"name": name}})
        with Hands(server.client, NAMESPACE) as hands:
            yield Versions(server, {"this": ROOT / "charts", "newer": newer(folder)}, folder, hands)


def spec(versions: Versions) -> dict[str, Any]:
    found: dict[str, Any] = versions.server.client.get(CONFIG)["spec"]
    return found


def schedule(versions: Versions) -> dict[str, Any]:
    path = object_path("batch/v1", "cronjobs", CRON_JOB, namespace=NAMESPACE)
    found: dict[str, Any] = versions.server.client.get(path)["spec"]
    return found


def test_a_newer_version_is_installed_and_its_field_is_used(versions: Versions) -> None:
    versions.install("this")
    cluster = versions.operator("this")
    kind = {"apiVersion": "imageregistry.operator.alauda.io/v1", "kind": "Config", "metadata": {"name": "cluster"}}
    body = {**kind, "spec": {"managementState": "Managed", "storage": {"pvc": {"size": "1Gi"}}}}
    cluster.until(lambda: True, "a pass")
    versions.server.client.create(CONFIG.rpartition("/")[0], body)
    cluster.settle()
    versions.install("newer")
    after = versions.operator("newer")
    after.change(**{FIELD: "hello"})
    versions.server.client.merge(PRUNER, {"spec": {FIELD: "hello"}})
    after.settle()
    assert not schedule(versions)["suspend"]
    assert after.config()["status"]["version"] == NUMBER
    said = after.find("v1", "configmaps", FIELD)
    assert said is not None
    assert said["data"]["said"] == "hello"


def test_back_nothing_that_was_written_is_lost_and_what_is_not_understood_is_said(versions: Versions) -> None:
    versions.install("this")
    definition = versions.server.client.get(DEFINITION)
    assert definition["metadata"]["annotations"][MADE_BY] == NUMBER, "a definition never goes back"
    cluster = versions.operator("this")
    cluster.settle()
    assert cluster.said()["FieldsIgnored"] == "True UnknownFields"
    assert f"spec.{FIELD}" in cluster.message("FieldsIgnored")
    assert cluster.said()["Degraded"] == "False AsExpected"
    assert cluster.find("v1", "configmaps", FIELD) is None
    cluster.change(logLevel="Debug")
    cluster.settle()
    assert spec(versions)[FIELD] == "hello", "written by others and by the status, and still there"
    pruner = versions.server.client.get(PRUNER)
    assert pruner["spec"][FIELD] == "hello"
    told = {item["type"]: item for item in pruner["status"]["conditions"]}
    assert f"does not know spec.{FIELD}, which may be there to keep images" in told["FieldsIgnored"]["message"]
    assert told["Degraded"]["status"] == "False"
    assert schedule(versions)["suspend"], "what is not understood may keep images"


def test_and_there_again_it_counts(versions: Versions) -> None:
    versions.install("newer")
    cluster = versions.operator("newer")
    cluster.settle()
    assert "FieldsIgnored" not in cluster.said()
    assert not schedule(versions)["suspend"]
    assert json.dumps(cluster.find("v1", "configmaps", FIELD)).count("hello") >= 1
    assert len([one for one in cluster.reconciler.operand.releases() if one.deployed]) == 1
