"""Every playbook of an installation, checked, run, and run again, on a cluster that lacks only nodes.

In the order of the file: by Helm installed, refused by another method, looked after, uninstalled; then by the default.
The Image API behind the kube-apiserver and the registry whose garbage is collected are real; what Pods would do is said
by named fakes.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from image_registry.kube.client import object_path
from image_registry.operator import certificates
from tests.app.cli.served import Office, listening
from tests.app.conftest import sqlite_template  # noqa: F401 - a fixture
from tests.app.image_api.conftest import FakeCluster, _opened
from tests.collection.controller import Controller, Played
from tests.collection.without_nodes import IMAGE_API_HOST, LateOperator, OfficeAt, cluster_without_nodes, own_address
from tests.operator.conftest import NAMESPACE, program
from tests.operator.control_plane import ApiServer
from tests.serve.conftest import Served, serve
from tests.serve.test_upkeep import fill, left

pytestmark = [pytest.mark.slow, pytest.mark.long]  # minutes: every playbook three times
NOW = datetime.now(UTC)
OF_THE_RELEASE = {"apiServer": {"priorityClassName": "system-cluster-critical"}}
CONFIG = "/apis/imageregistry.operator.alauda.io/v1/configs/cluster"
PRUNER = CONFIG.replace("configs", "imagepruners")
WORKLOAD = object_path("apps/v1", "deployments", "image-registry", namespace=NAMESPACE)
RELEASES = object_path("v1", "secrets", namespace=NAMESPACE)
INSTALL, UPGRADE, UNINSTALL = (f"playbooks/{name}.yml" for name in ("install", "upgrade", "uninstall"))
DOORS = ("playbooks/storage.yml", "playbooks/routes.yml")
DAY = tuple(f"playbooks/{name}.yml" for name in ("nodes", "prune", "access", "limits", "verify"))


@dataclass
class Site:
    """A cluster without nodes, what is behind it, and a machine that runs Ansible."""

    server: ApiServer
    controller: Controller
    office: Office
    registry: Served

    def thrice(self, *playbooks: str, **more: Any) -> Played:
        """See :meth:`Controller.thrice`."""
        return self.controller.thrice(self.state, *playbooks, **more)

    def revision(self) -> int:
        """Of the release; 0 without one."""
        return max((int(number) for number in self._releases()), default=0)

    def _releases(self) -> list[str]:
        found = self.server.client.get(RELEASES)["items"]
        names = [item["metadata"]["name"] for item in found]
        return [name.rpartition(".v")[2] for name in names if name.startswith("sh.helm.release.v1.image-registry.")]

    def values(self, *options: str) -> str:
        """Of the release, as Helm tells them."""
        command = [program("helm"), "get", "values", "image-registry", f"--namespace={NAMESPACE}", *options]
        environment = {"KUBECONFIG": str(self.server.kubeconfig), "HOME": str(self.controller.folder)}
        return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout

    def state(self) -> str:
        """What playbooks write, without what the fakes say of it."""
        client = self.server.client
        places = [
            ("v1", "secrets"),
            ("v1", "configmaps"),
            ("v1", "persistentvolumeclaims"),
            ("apps/v1", "deployments"),
            ("apps/v1", "daemonsets"),
            ("networking.k8s.io/v1", "ingresses"),
            ("batch/v1", "cronjobs"),
        ]
        found: list[Any] = []
        for version, resource in places:
            items = client.get(object_path(version, resource, namespace=NAMESPACE))["items"]
            found += [
                [resource, item["metadata"]["name"], item.get("spec"), item.get("data")]
                for item in items
                if item.get("type") != "kubernetes.io/dockerconfigjson"  # the operator's own, renewed in its time
            ]
        for version, resource in (("rbac.authorization.k8s.io/v1", "rolebindings"), ("v1", "limitranges")):
            items = client.get(object_path(version, resource, namespace="team"))["items"]
            found += [[resource, item["metadata"]["name"]] for item in items]
        found += [(client.find(path) or {}).get("spec") for path in (CONFIG, PRUNER)]
        return json.dumps([found, self.office.api.names("images"), left(self.registry)], sort_keys=True)


@pytest.fixture(scope="module")
def site(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory  # noqa: F811
) -> Iterator[Site]:  # fmt: skip
    folders = [tmp_path_factory.mktemp(name) for name in ("office", "plane", "registry", "controller")]
    with ExitStack() as stack:
        api = stack.enter_context(contextmanager(_opened)(sqlite_template, folders[0], FakeCluster()))
        registry = stack.enter_context(contextmanager(serve)(folders[2], "--auth", "none"))
        office = Office(api)

        def answer(method: str, path: str, body: Any, query: Any, accept: str) -> tuple[int, dict[str, Any]]:
            if "watch" in query:  # this door answers whole documents; the garbage collector asks again and again
                return 405, {"kind": "Status", "reason": "MethodNotAllowed", "code": 405}
            return office.answer(method, path, body, query, accept or "application/json")

        config = stack.enter_context(listening(answer, folders[0], own_address(), [IMAGE_API_HOST]))
        server = stack.enter_context(cluster_without_nodes(folders[1], OfficeAt.of(config)))
        server.client.create("/api/v1/namespaces", {"metadata": {"name": "team"}})
        variables = {
            "registry_kubeconfig": str(server.kubeconfig),
            "registry_helm_binary": program("helm"),
            "registry_wait_timeout": 120,
        }
        yield Site(server, Controller(folders[3], variables), office, registry)


def test_an_installation_by_helm_is_predicted_and_verified(site: Site, tmp_path: Path) -> None:
    wishes = {"registry_config": {"logLevel": "Normal"}, "registry_chart_values": OF_THE_RELEASE}
    done = site.thrice(INSTALL, registry_install_method="helm", registry_report_folder=str(tmp_path), **wishes)
    assert site.revision() == 1
    assert {path.name for path in tmp_path.iterdir() if path.suffix == ".json"} == {
        "one-install.json",
        "one-verify.json",
    }
    report = json.loads((tmp_path / "one-install.json").read_text(encoding="utf-8"))
    assert (report["ok"], report["result"], report["revision"]) == (True, "ok", {"before": 1, "after": 1})
    assert report["version"]["after"]
    assert "Ask the registry, the Image API and the nodes" in done.said


def test_an_upgrade_is_predicted_and_keeps_the_method(site: Site, tmp_path: Path) -> None:
    wishes = {"registry_config": {"logLevel": "Debug"}, "registry_chart_values": OF_THE_RELEASE}
    done = site.thrice(UPGRADE, **wishes)
    assert "Looked after by: helm" in done.said
    assert "Revision: 1 -> 2" in done.said
    assert "Debug" in site.values()
    wishes = {"registry_config": {"logLevel": "Debug"}, "registry_report_folder": str(tmp_path)}
    said = site.controller.refused(UPGRADE, **wishes)
    assert "values that nobody says now, so they would go: apiServer" in said
    (written,) = tmp_path.glob("one-*.json")
    report = json.loads(written.read_text(encoding="utf-8"))
    assert (written.name, report["result"], report["revision"]["after"]) == ("one-upgrade.json", "failed", 2)
    assert report["failed_task"] == "Install or upgrade the release and wait until it is ready"
    assert "apiServer" in report["msg"]
    assert site.revision() == 2


def test_a_registry_of_helm_is_not_converted_by_a_default(site: Site) -> None:
    before = site.state()
    said = site.controller.refused(INSTALL)
    assert "was installed by Helm (release image-registry, revision 2)" in said
    assert "registry_install_method is operator: nothing was changed" in said
    assert "registry_install_method=helm" in said
    assert "registry_install_takeover=true" in said
    assert site.state() == before
    said = site.controller.refused(INSTALL, registry_install_takeover=True)
    assert "has values that the inventory does not say: apiServer. Nothing was changed" in said
    assert site.state() == before
    wishes = {"registry_install_takeover": True, "registry_chart_values": OF_THE_RELEASE}
    foreseen = site.controller.play(INSTALL, options=("--check", "--diff"), **wishes)
    assert "logLevel: Debug" in foreseen.said, "it is taken over as it is"
    assert site.state() == before


def test_storage_and_routes_are_predicted_with_the_secrets_that_they_make(site: Site) -> None:
    pair = certificates.make_leaf(certificates.make_authority("corp", NOW), ["registry.example.com"], NOW)
    route = {"name": "public", "hostname": "registry.example.com"}
    wishes = {
        "registry_storage": {"pvc": {"size": "200Gi"}},
        "registry_storage_credentials": {"REGISTRY_STORAGE_S3_ACCESSKEY": "confidential-key"},
        "registry_routes": [{**route, "certificate": pair.certificate.decode(), "key": pair.key.decode()}],
        "registry_config": {"logLevel": "Trace"},
    }
    done = site.thrice(*DOORS, **wishes, registry_verify=False)
    assert len(done.changes) == 4, "two Secrets, and the release twice"
    assert "confidential-key" not in done.said
    assert pair.key.decode().splitlines()[1] not in done.said
    client = site.server.client
    claim = client.get(object_path("v1", "persistentvolumeclaims", "image-registry-storage", namespace=NAMESPACE))
    assert claim["spec"]["resources"]["requests"]["storage"] == "200Gi"
    path = object_path("networking.k8s.io/v1", "ingresses", namespace=NAMESPACE)
    assert "registry.example.com" in json.dumps(client.get(path)["items"])
    assert "Trace" not in site.values(), "what else the inventory says is not a matter of these roles"
    asked = {name: wishes[name] for name in ("registry_storage", "registry_routes")}
    installed = {"registry_config": {"logLevel": "Debug"}, "registry_chart_values": OF_THE_RELEASE}
    kept = site.controller.play(UPGRADE, registry_verify=False, **asked, **installed)
    assert kept.changed == 0, "what the inventory gives to other roles is not lost by the next upgrade"
    refused = site.controller.refused(UPGRADE, registry_verify=False, **installed)
    assert "values that nobody says now, so they would go: config.routes, config.storage.pvc" in refused


def test_nodes_prune_access_and_limits_are_predicted_done_and_done(site: Site, tmp_path: Path) -> None:
    site.office.api.now = datetime(2020, 1, 1, tzinfo=UTC)
    old = site.office.api.push("team/app", "old", "v1")
    new = site.office.api.push("team/app", "new", "v1")
    fill(site.registry, 3)
    before = site.revision()
    wishes = {
        "registry_nodes": {"certsDir": "/opt/certs.d"},
        "registry_pruner": {"schedule": "0 3 * * 0"},
        "registry_prune_now": True,
        "registry_prune_keep_younger_than": "0",
        "registry_prune_keep_tag_revisions": 1,
        "registry_prune_below_schedule": True,
        "registry_prune_registry_url": f"http://{site.registry.host}",
        "registry_access_rules": [{"namespace": "team", "role": "pusher", "groups": ["developers"]}],
        "registry_limits": [{"namespace": "team", "image_size": "2048Mi"}],
        "registry_report_folder": str(tmp_path),
    }
    site.thrice(*DAY, **wishes, registry_verify=False)
    assert site.office.api.names("images") == [new] != [old]
    assert site.revision() == before + 2, "nodes and the schedule each wrote the release once"
    names = ("access", "limits", "nodes", "prune", "verify")
    assert {path.name for path in tmp_path.glob("one-*")} == {f"one-{name}.json" for name in names}
    assert json.loads((tmp_path / "one-nodes.json").read_text(encoding="utf-8"))["nodes"] == 1


def test_a_node_that_does_not_trust_is_named(site: Site, tmp_path: Path) -> None:
    path = object_path("v1", "configmaps", "image-registry-nodes", namespace=NAMESPACE)
    said = json.dumps({"state": "Untrusting", "message": "containerd does not read /opt/certs.d"})
    site.server.client.merge(path, {"data": {"n1": said}})
    wishes = {"registry_nodes_patience": "5", "registry_report_folder": str(tmp_path)}  # a text, as -e has it
    refused = site.controller.refused("playbooks/nodes.yml", **wishes)
    assert "n1: containerd does not read /opt/certs.d" in refused
    report = json.loads((tmp_path / "one-nodes.json").read_text(encoding="utf-8"))
    assert (report["ok"], report["untrusting"][0]["node"]) == (False, "n1")
    site.server.client.merge(path, {"data": {"n1": None}})


def test_an_uninstallation_with_its_data_is_predicted(site: Site) -> None:
    for options in (("--check",), ()):
        listed = site.controller.play(UNINSTALL, options=options, registry_uninstall_delete_data=True)
        assert (listed.changed, "image-registry-storage" in listed.said) == (0, True), listed.said
        assert "Nothing was uninstalled and nothing deleted" in listed.said
        assert site.server.client.find(WORKLOAD) is not None, "a question takes no registry away"
    site.thrice(UNINSTALL, registry_uninstall_delete_data=True, registry_uninstall_confirm=f"one/{NAMESPACE}")
    assert site.server.client.find(f"/api/v1/namespaces/{NAMESPACE}") is None


def test_an_empty_cluster_gets_the_operator_unless_another_method_is_named(site: Site, tmp_path: Path) -> None:
    with LateOperator(site.server, tmp_path):
        done = site.thrice(INSTALL, registry_config={"logLevel": "Debug"}, registry_pruner={"suspend": True})
        assert done.changes[0].endswith("Install or upgrade the operator and wait until it is ready")
        assert site.server.client.get(CONFIG)["spec"]["logLevel"] == "Debug"
        assert site.revision() == 1
        said = site.controller.refused(INSTALL, registry_install_method="helm", registry_preflight=False)
        assert "the operator looks after release image-registry: nothing was changed" in said
        said = site.controller.refused(INSTALL, registry_install_method="olm")
        assert "was installed by Helm, and registry_install_method is olm: nothing was changed" in said
        site.thrice(UNINSTALL)
        assert site.server.client.find(CONFIG) is None
