"""A migration where an operator installs this registry: values go into Config, and the operator's word is waited for.

The operator is a process with the rights and the values of its own chart, on a real kube-apiserver without nodes. So
everything up to the moment at which the registry would have to serve is done, and taken back.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from image_registry.kube.client import object_path
from image_registry.migration.cluster_objects import restorable
from image_registry.migration.config_settings import CONFIG, PRUNER, ConfigSettings
from image_registry.migration.doing import DOERS
from image_registry.migration.execution import Refused, Stopped, phases_until, rollback, run
from image_registry.migration.opening import HELM, Asked, Migration, open_migration
from image_registry.migration.phases import Phase
from image_registry.operator.release_secrets import SECRETS
from image_registry_lab.legacy.objects import definitions
from image_registry_lab.legacy.variants import VARIANTS
from tests.operator.conftest import CHART, OPERATOR, OPERATOR_CHART, control_plane, program, started
from tests.operator.control_plane import ApiServer
from tests.operator.every_hand import EveryHands
from tests.operator.processes import Process, until
from tests.operator.test_legacy_registry import collection
from tests.operator.test_migration_run import TARGET, everything, fill, planned

PATIENCE = 120.0
CONFIGS = object_path(CONFIG.api_version, "configs")
RESTING = {
    "apiVersion": CONFIG.api_version,
    "kind": CONFIG.kind,
    "metadata": {"name": CONFIG.name, "labels": {"team": "platform"}, "annotations": {"example.com/why": "later"}},
    "spec": {"managementState": "Unmanaged", "logLevel": "Debug", "replicas": 1},
}
LEFT = "operand.clusterRoles.leave={system:image-puller,system:image-pusher}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with started(control_plane(tmp_path_factory.mktemp("apiserver"))) as found:
        for document in definitions():
            found.client.create(collection(document), document)
        with EveryHands(found.client, ""):
            yield found


def operator_chart(server: ApiServer, home: Path, *options: str) -> Path:
    """Installed or changed as people do it; what it tells the operator of its operand, as a file."""
    command = [program("helm"), "upgrade", "--install", OPERATOR, str(OPERATOR_CHART), "--create-namespace"]
    command += ["--namespace", TARGET, *options]
    known = {"HOME": str(home), "KUBECONFIG": str(server.kubeconfig)}
    subprocess.run(command, check=True, capture_output=True, env=known, timeout=120)
    path = object_path("v1", "configmaps", OPERATOR, namespace=TARGET)
    file = home / "operand.yaml"
    file.write_text(server.client.get(path)["data"]["operand.yaml"])
    return file


def quickly(seconds: float) -> None:
    """Nobody sleeps for the seconds that a cluster takes."""
    time.sleep(min(seconds, 0.1))


def opened(server: ApiServer, folder: Path, *, method: str = "", chart: str = "") -> Migration:
    """As ``ac adm migrate run`` without a chart; patience ends when the operator speaks of the Image API."""
    asked = Asked(
        plan=folder / "plan.json",
        journal=folder / "journal",
        client=server.client,
        kubeconfig=server.kubeconfig,
        helm=program("helm"),
        accepted=("cutover/by-hand/*",),
        method=method,
        chart=chart,
    )
    found = open_migration(asked)
    assert isinstance(found.context.settings, ConfigSettings)
    told: list[str] = []

    def clock() -> float:
        return time.monotonic() + (PATIENCE if any("the Image API" in line for line in told) else 0)

    settings = replace(found.context.settings, timeout=PATIENCE, sleep=quickly, clock=clock)
    return replace(found, context=replace(found.context, settings=settings, sleep=quickly, tell=told.append))


def test_values_go_into_config_and_the_operator_is_waited_for(server: ApiServer, tmp_path: Path) -> None:
    client = server.client
    operator_chart(server, tmp_path)
    fill(client, VARIANTS["4.2-pvc"])
    resting = client.create(CONFIGS, RESTING)  # as a person leaves it who puts the operator there first
    planned(server, tmp_path)
    before = everything(client)
    with pytest.raises(Refused, match=f"there is the Deployment {TARGET}/{OPERATOR}"):
        opened(server, tmp_path, method=HELM, chart=str(CHART))
    opened(server, tmp_path, chart=str(CHART))  # which inventories name for other reasons, too
    found = opened(server, tmp_path)
    with pytest.raises(Stopped, match=r"helm upgrade cluster-image-registry-operator … .*leave=\{system:image-puller,"):
        run(found.context, found.journal, DOERS, phases_until(Phase.FREEZE))

    values = operator_chart(server, tmp_path, "--reuse-values", "--set", LEFT)  # as it was told
    for name in SECRETS:  # hook Jobs are done here without doing anything
        client.create(object_path("v1", "secrets", namespace=TARGET), {"metadata": {"name": name}})
    puller = object_path("rbac.authorization.k8s.io/v1", "clusterroles", "system:image-puller")
    old = client.get(puller)["rules"]
    with Process(
        server.as_account(tmp_path, OPERATOR, TARGET), tmp_path, "operator", [f"--values={values}", "--pull-secrets"]
    ) as process:
        until(process.leads, "leading", process)
        found = opened(server, tmp_path)
        run(found.context, found.journal, DOERS, phases_until(Phase.FREEZE))
        config = client.get(object_path(CONFIG.api_version, "configs", CONFIG.name))
        assert config["spec"]["managementState"] == "Removed"
        assert config["status"]["observedGeneration"] == config["metadata"]["generation"]
        assert client.get(object_path(PRUNER.api_version, "imagepruners", PRUNER.name))["spec"]["suspend"] is True
        role = client.get(puller)
        assert "meta.helm.sh/release-name" not in (role["metadata"].get("annotations") or {})
        assert role["rules"][: len(old)] == old
        assert len(role["rules"]) > len(old)

        # nothing serves the Image API where there are no nodes: the operator says so, and the step does not pass
        found = opened(server, tmp_path)
        with pytest.raises(Stopped, match=r"did not come to an end within 120 s: .*the Image API is not available"):
            run(found.context, found.journal, DOERS, phases_until(Phase.ATTACH))
        assert client.find(object_path("apps/v1", "deployments", "image-registry", namespace=TARGET)) is not None

        found = opened(server, tmp_path)
        rollback(found.context, found.journal, DOERS)
        left = client.get(f"{CONFIGS}/{CONFIG.name}")
        assert restorable(left) == restorable(resting), "somebody's own, as it was before"
        assert client.find(object_path(PRUNER.api_version, "imagepruners", PRUNER.name)) is None
        assert client.find(object_path("apps/v1", "deployments", "image-registry", namespace=TARGET)) is None
        assert everything(client) == before
