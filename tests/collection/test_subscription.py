"""A Subscription written by the module, with the real definitions of OLM in a real kube-apiserver; OLM is a named fake.

The ClusterServiceVersion that the fake installs is the bundle's own, so it is held to its definition, too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
import yaml
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _conditions, _objects
from ansible_collections.alauda.registry.plugins.modules import registry_subscription, registry_subscription_info

from image_registry.kube.client import ClusterClient
from image_registry.kube.errors import ClusterUnreachable, KubeError
from tests.collection.conftest import ROOT, Run
from tests.operator.control_plane import ApiServer
from tests.operator.definitions import OPERATOR_FRAMEWORK, defined, definition

NAMESPACE, PACKAGE, GROUP = "subscribed", "cluster-image-registry-operator", "operators.coreos.com"
BUNDLE = ROOT / f"charts/{PACKAGE}/bundle/manifests/{PACKAGE}.clusterserviceversion.yaml"
BELOW = f"/apis/{GROUP}/v1alpha1/namespaces/{NAMESPACE}"
SUBSCRIPTION, VERSIONS = f"{BELOW}/subscriptions/{PACKAGE}", f"{BELOW}/clusterserviceversions"
GROUPS = f"/apis/{GROUP}/v1/namespaces/{NAMESPACE}/operatorgroups"
ASKED: dict[str, Any] = {
    "namespace": NAMESPACE,
    "catalog": "ours",
    "catalog_image": "registry.example.com/catalog:2.0.0",
    "env": {"RELATED_IMAGE_IMAGE_REGISTRY": "registry.example.com/image-registry:2.0.0"},
    "namespace_labels": {"pod-security.kubernetes.io/enforce": "privileged"},
}
QUICK: dict[str, Any] = {"timeout": 60, "patience": 0}
"""Nobody waits that long: what is well is seen at once, and so is what no waiting cures."""
SHORT: dict[str, Any] = {"timeout": 2, "patience": 0}
"""For what may heal and does not, so that waiting ends."""
NOW = "2026-01-01T00:00:00Z"


class ActingManager:
    """Answers a Subscription as OLM does: chooses a version, installs it, and says so; or says ``conditions``."""

    def __init__(self, client: ClusterClient) -> None:
        self._client = client
        self._over = threading.Event()
        self._answers = 0
        self._thread = threading.Thread(target=self._run, name="acting OLM", daemon=True)
        self.conditions: list[tuple[str, str]] = []
        self.phase = "Succeeded"
        self.offers = ""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._over.wait(0.05):
            try:
                if self._client.find(SUBSCRIPTION) is not None:
                    self._answer()
                    self._answers += 1
            except (KubeError, ClusterUnreachable):
                continue

    def answered(self) -> None:
        """Wait until a whole answer has begun and ended: what was chosen for it is told, on a slow machine too."""
        end, wanted = time.monotonic() + 60, self._answers + 2  # one may be under way
        while self._answers < wanted:
            assert time.monotonic() < end, "the acting manager answers nobody"
            time.sleep(0.05)

    def _answer(self) -> None:
        said = [{"type": kind, "status": "True", "reason": reason, "message": "m"} for kind, reason in self.conditions]
        plan = {"installPlanRef": {"name": "install-abcde"}} if said else {}
        status: dict[str, Any] = {"lastUpdated": NOW, "conditions": said, **plan}
        if not said:
            body = yaml.safe_load(BUNDLE.read_text(encoding="utf-8"))
            name = body["metadata"]["name"]
            if self._client.find(f"{VERSIONS}/{name}") is None:
                body["metadata"]["namespace"] = NAMESPACE
                self._client.create(VERSIONS, body, query={"fieldValidation": "Strict"})
            told = {"phase": self.phase, "reason": "ComponentUnhealthy", "message": "no Pod"}
            self._tell(f"{VERSIONS}/{name}", told)
            status |= {"currentCSV": name, "installedCSV": name, "state": "AtLatestKnown"}
            if self.offers:
                pending = {"type": "InstallPlanPending", "status": "True", "reason": "RequiresApproval"}
                plan = {"installPlanRef": {"name": "install-newer"}}
                status |= {"currentCSV": self.offers, "state": "UpgradePending", "conditions": [pending], **plan}
        self._tell(SUBSCRIPTION, status)

    def _tell(self, path: str, status: dict[str, Any]) -> None:
        self._client.merge(f"{path}/status", {"status": status}, query={"fieldValidation": "Strict"})


@pytest.fixture(scope="module")
def kubeconfig(apiserver: ApiServer) -> Path:
    """Instead of the fake's."""
    return apiserver.kubeconfig


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The named fake answers at once."""
    monkeypatch.setattr(_conditions, "PAUSE", 0.1)


@pytest.fixture(scope="module")
def manager(apiserver: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterClient]:
    """The API server with the definitions of OLM."""
    crds = OPERATOR_FRAMEWORK.folder(tmp_path_factory.mktemp("module")) / "crds"
    kinds = ("subscriptions", "catalogsources", "clusterserviceversions", "operatorgroups")
    with defined(apiserver.client, (definition(crds / f"{GROUP}_{kind}.yaml") for kind in kinds)):
        yield apiserver.client


@pytest.fixture
def acting(manager: ClusterClient) -> Iterator[ActingManager]:
    with ActingManager(manager) as olm:
        yield olm
    for path in (SUBSCRIPTION, f"{BELOW}/catalogsources/ours"):
        if manager.find(path) is not None:
            manager.delete(path)
    for place in (VERSIONS, GROUPS):
        if manager.find(f"/api/v1/namespaces/{NAMESPACE}") is not None:
            for item in manager.get(place)["items"]:
                manager.delete(f"{place}/{item['metadata']['name']}")


def test_without_a_manager_nothing_is_written_and_the_way_on_is_named(run: Run, apiserver: ApiServer) -> None:
    for check in (True, False):
        failed = run(registry_subscription, check=check, **ASKED)
        assert failed.failed
        assert "has no Operator Lifecycle Manager" in failed.message
        assert "registry_install_method=operator" in failed.message
    read = run(registry_subscription_info, namespace=NAMESPACE)
    assert (read.failed, read["exists"], read["version"]) == (False, False, "")
    assert apiserver.client.find(f"/api/v1/namespaces/{NAMESPACE}") is None


@pytest.mark.usefixtures("acting")
def test_a_check_names_what_the_run_writes_and_the_next_run_writes_nothing(run: Run, manager: ClusterClient) -> None:
    foreseen = run(registry_subscription, check=True, **ASKED)
    assert foreseen["changed"]
    assert manager.find(f"/api/v1/namespaces/{NAMESPACE}") is None
    done = run(registry_subscription, **ASKED, **QUICK)
    assert not done.failed, done.message
    assert done["changed"]
    headers = [entry["after_header"] for entry in done["diff"]]
    assert [entry["after_header"] for entry in foreseen["diff"]] == headers
    assert len(headers) == 4
    assert (done["version"].rpartition(".v")[0], done["phase"]) == (PACKAGE, "Succeeded")
    spec = manager.get(SUBSCRIPTION)["spec"]
    assert (spec["source"], spec["sourceNamespace"], spec["channel"]) == ("ours", NAMESPACE, "stable")
    assert spec["config"]["env"] == [{"name": name, "value": value} for name, value in ASKED["env"].items()]
    made = manager.get(f"/api/v1/namespaces/{NAMESPACE}")["metadata"]
    assert _objects.CREATED_BY in made["annotations"], "an uninstallation may delete it"
    assert "targetNamespaces" not in (manager.get(GROUPS)["items"][0].get("spec") or {})
    again = run(registry_subscription, **ASKED, **QUICK)
    assert (again["changed"], again["diff"]) == (False, [])
    changed = run(registry_subscription, **{**ASKED, "channel": "fast"}, **QUICK)
    assert [entry["after_header"] for entry in changed["diff"]] == [SUBSCRIPTION]


@pytest.mark.usefixtures("acting")
def test_the_namespace_follows_the_same_rule_as_by_helm(run: Run, manager: ClusterClient) -> None:
    place, level = f"/api/v1/namespaces/{NAMESPACE}", "pod-security.kubernetes.io/enforce"

    def labels() -> dict[str, str]:
        return dict(manager.get(place)["metadata"]["labels"])

    assert not run(registry_subscription, **ASKED, **QUICK).failed
    manager.merge(place, {"metadata": {"annotations": {_objects.CREATED_BY: "alauda.registry.install"}}})
    assert run(registry_subscription, **{**ASKED, "namespace_labels": {level: "baseline"}}, **QUICK)["changed"]
    assert labels()[level] == "baseline", "it is ours"
    manager.merge(place, {"metadata": {"annotations": {_objects.CREATED_BY: None}}})
    asked = {**ASKED, "namespace_labels": {level: "privileged", "team": "a"}}
    assert run(registry_subscription, **asked, **QUICK)["changed"]
    assert (labels()[level], labels()["team"]) == ("baseline", "a"), "it is somebody else's"
    assert not run(registry_subscription, **asked, **QUICK)["changed"]


def test_an_operator_group_of_somebody_else_is_used_or_named(
    run: Run, manager: ClusterClient, acting: ActingManager
) -> None:
    del acting
    body = {"apiVersion": f"{GROUP}/v1", "kind": "OperatorGroup", "metadata": {"name": "theirs"}}
    manager.create(GROUPS, {**body, "spec": {"targetNamespaces": [NAMESPACE]}})
    failed = run(registry_subscription, **ASKED, **QUICK)
    assert failed.failed
    assert f"OperatorGroup theirs of namespace {NAMESPACE} keeps operators to {NAMESPACE}" in failed.message
    assert manager.find(SUBSCRIPTION) is None
    manager.merge(f"{GROUPS}/theirs", {"spec": {"targetNamespaces": None}})
    assert not run(registry_subscription, **ASKED, **QUICK).failed
    assert [item["metadata"]["name"] for item in manager.get(GROUPS)["items"]] == ["theirs"]


@pytest.mark.parametrize(
    ("kind", "reason", "words"),
    [
        ("ResolutionFailed", "ConstraintsNotSatisfiable", "OLM finds no way to install it: m"),
        ("InstallPlanPending", "RequiresApproval", "InstallPlan install-abcde waits for a person"),
        ("InstallPlanFailed", "InstallComponentFailed", "InstallPlan install-abcde failed: m"),
        ("CatalogSourcesUnhealthy", "UnhealthyCatalogSourceFound", "a catalog does not answer: m"),
    ],
)
def test_what_stands_in_the_way_is_named(run: Run, acting: ActingManager, kind: str, reason: str, words: str) -> None:
    acting.conditions = [(kind, reason)]
    assert not run(registry_subscription, **ASKED, wait=False).failed
    acting.answered()
    failed = run(registry_subscription, **ASKED, **SHORT)
    assert failed.failed
    assert words in failed.message


def test_an_upgrade_that_waits_for_a_person_is_a_warning_while_the_operator_is_well(
    run: Run, acting: ActingManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    # where another test has loaded the controller, warnings go to its display and not into the result
    warnings: list[str] = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _self, text, **_more: warnings.append(text))
    acting.offers = f"{PACKAGE}.v9.0.0"
    assert not run(registry_subscription, **ASKED, approval="Manual", **QUICK).failed
    acting.answered()
    done = run(registry_subscription, **ASKED, approval="Manual", **QUICK)
    assert not done.failed, done.message
    assert done["version"] != acting.offers
    warning = warnings[-1]
    assert f"{acting.offers} waits for a person" in warning
    read = run(registry_subscription_info, namespace=NAMESPACE)
    assert (read["exists"], read["ready"], read["doing"]) == (True, True, "")
    assert read["version"] == done["version"]
    assert f"{acting.offers} waits for a person" in read["offer"]
    assert "InstallPlan install-newer" in warning
    acting.phase = "Failed"
    acting.answered()
    failed = run(registry_subscription, **ASKED, approval="Manual", **QUICK)
    assert failed.failed
    assert "InstallPlan install-newer waits for a person" in failed.message


def test_an_operator_that_does_not_become_ready_is_named(run: Run, acting: ActingManager) -> None:
    acting.phase = "Failed"
    failed = run(registry_subscription, **ASKED, **QUICK)
    assert failed.failed
    assert "has failed: ComponentUnhealthy no Pod" in failed.message
    assert failed["phase"] == "Failed"
