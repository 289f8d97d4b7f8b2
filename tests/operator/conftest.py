"""A real kube-apiserver with its etcd and nothing else: objects are checked and kept, no Pod ever runs; no root."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from image_registry.kube.client import object_path
from image_registry.kube.errors import KubeError
from image_registry.operator import drift
from image_registry.operator.helm import Helm
from image_registry.operator.known_fields import Language
from image_registry.operator.operand import CONFIG, Operand
from image_registry.operator.operator_events import Events
from image_registry.operator.operator_metrics import OperatorMetrics
from image_registry.operator.pruner import PRUNER, Pruner
from image_registry.operator.pruner_metrics import PrunerMetrics
from image_registry.operator.reconciler import Reconciler
from image_registry.operator.release_secrets import SECRETS
from image_registry.server.operator_process import chart_digest
from image_registry_lab.places import Places, cache
from tests.operator.control_plane import ApiServer, ControlPlane, NotReady
from tests.operator.hands import Hands
from tests.operator.reconciled import NAMESPACE, Cluster

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts/image-registry"
OPERATOR_CHART = ROOT / "charts/cluster-image-registry-operator"
CRD = OPERATOR_CHART / "templates/crds/configs.yaml"
PRUNER_CRD = OPERATOR_CHART / "templates/crds/imagepruners.yaml"
READY_SECONDS = 180


OPERATOR = "cluster-image-registry-operator"


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def program(name: str) -> str:
    """A program that the lab has built."""
    path = Places(cache()).program(name)
    if not os.access(path, os.X_OK):
        pytest.fail(f"no {name}: run `lab/lab build`", pytrace=False)
    return path


def control_plane(folder: Path, *options: str, audited: bool = False) -> ControlPlane:
    """One that is not started yet."""
    ports = (free_port(), free_port(), free_port())
    return ControlPlane(folder, ports, program("etcd"), program("kube-apiserver"), *options, audited=audited)


@contextmanager
def started(plane: ControlPlane) -> Iterator[ApiServer]:
    """While it is used."""
    try:
        yield plane.start()
    except NotReady as error:
        pytest.fail(str(error), pytrace=False)
    finally:
        plane.stop()


@pytest.fixture(scope="session")
def apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Started once for all tests of this folder that do not disturb it."""
    with started(control_plane(tmp_path_factory.mktemp("apiserver"))) as found:
        yield found


@pytest.fixture(scope="session")
def configs(apiserver: ApiServer, pruners: str) -> str:
    """The path of Config objects, once the API server serves them; the other kind of the operator is there as well."""
    del pruners
    return served(apiserver, CRD)


@pytest.fixture(scope="session")
def pruners(apiserver: ApiServer) -> str:
    """The path of ImagePruner objects, once the API server serves them."""
    return served(apiserver, PRUNER_CRD)


def served(apiserver: ApiServer, file: Path) -> str:
    """Make the definition in a file; returns the path of its objects."""
    body = yaml.safe_load(file.read_text(encoding="utf-8"))
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    apiserver.client.create(definitions, body)
    path = f"/apis/imageregistry.operator.alauda.io/v1/{body['spec']['names']['plural']}"
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            apiserver.client.get(path)
            break
        except KubeError:
            if time.monotonic() > deadline:
                crd = apiserver.client.get(f"{definitions}/{body['metadata']['name']}")
                pytest.fail(f"the API server does not serve {path}: {crd['status']}")
            time.sleep(0.1)
    return path


@pytest.fixture(scope="session")
def operator(apiserver: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> ApiServer:
    """The API server as the operator sees it, with the rights that its chart gives and no other."""
    folder = tmp_path_factory.mktemp("operator")
    command = [program("helm"), "template", OPERATOR, str(OPERATOR_CHART), "--namespace", NAMESPACE]
    command += [
        "--kube-version",
        "1.37",
        "--show-only",
        "templates/account.yaml",
        "--show-only",
        "templates/rights.yaml",
    ]
    text = subprocess.run(command, capture_output=True, text=True, check=True, env={"HOME": str(folder)}).stdout
    apiserver.client.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    for item in yaml.safe_load_all(text):
        path = drift.path_of(item, NAMESPACE)
        apiserver.client.create(path.rpartition("/")[0], item)
    return apiserver.as_account(folder, OPERATOR, NAMESPACE)


@pytest.fixture(scope="module")
def cluster(
    apiserver: ApiServer, operator: ApiServer, configs: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """A registry looked after by the operator, for all tests of one file in their order; then it goes."""
    client = apiserver.client
    for name in SECRETS:  # the hook Jobs are done without doing anything
        path = object_path("v1", "secrets", name, namespace=NAMESPACE)
        if client.find(path) is None:
            client.create(path.rpartition("/")[0], {"metadata": {"name": name}})
    home = tmp_path_factory.mktemp("helm")
    helm = Helm(program("helm"), CHART, NAMESPACE, home, operator.kubeconfig)
    base = {"global": {"operator": {"chart": chart_digest(CHART)}}}
    operand, events, metrics = Operand(operator.client, NAMESPACE), Events(operator.client), OperatorMetrics()
    language = Language.of_chart(CHART)
    pruner = Pruner(operator.client, NAMESPACE, events, PrunerMetrics(metrics.registry), language)
    reconciler = Reconciler(operand, helm, events, metrics, base, pruner, language)
    kind = {"apiVersion": "imageregistry.operator.alauda.io/v1", "kind": "Config"}
    client.create(configs, {**kind, "metadata": {"name": "cluster"}, "spec": {}})
    try:
        with Hands(client, NAMESPACE) as hands:
            yield Cluster(client, reconciler, hands)
            reconciler.stop()
    finally:
        for path in (CONFIG, PRUNER):
            if client.find(path) is not None:
                client.delete(path)
        client.delete(object_path("v1", "events", namespace="default"))  # what was told here, the next file did not do
        uninstall(apiserver, home)


def uninstall(apiserver: ApiServer, home: Path) -> None:
    """Take the release away, and the claims that Helm keeps: the next file begins with nothing."""
    command = [program("helm"), "uninstall", "image-registry", "--namespace", NAMESPACE, "--no-hooks"]
    known = {"HOME": str(home), "KUBECONFIG": str(apiserver.kubeconfig)}
    subprocess.run([*command, "--ignore-not-found"], check=True, capture_output=True, env=known, timeout=60)
    claims = object_path("v1", "persistentvolumeclaims", namespace=NAMESPACE)
    for claim in apiserver.client.get(claims)["items"]:
        path = f"{claims}/{claim['metadata']['name']}"
        apiserver.client.delete(path)
        if apiserver.client.find(path) is not None:  # nobody here finds out that no Pod uses it
            apiserver.client.merge(path, {"metadata": {"finalizers": None}})
