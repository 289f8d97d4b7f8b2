"""A legacy registry's objects in a real kube-apiserver: found by an administrator, and as far as others may read."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import KubeError
from image_registry.kube.image_references import CustomField
from image_registry.migration.assess import assess
from image_registry.migration.case import make_case
from image_registry.migration.choices import Choices, Way
from image_registry.migration.content import ContentFile, ContentWriter
from image_registry.migration.discovery import Question, discover
from image_registry.migration.facts import Inventory
from image_registry.migration.planning import plan
from image_registry.migration.survey_registry import LegacyRegistry, survey_registry
from image_registry.migration.survey_storage import survey_storage
from image_registry.remote.asking import Access
from image_registry.remote.credentials import Login
from image_registry.remote.errors import RemoteError
from image_registry.storage.filesystem import FilesystemStore
from image_registry_lab.legacy import proxy
from image_registry_lab.legacy.objects import definitions, objects, workloads
from image_registry_lab.legacy.variants import HOST, VARIANTS
from tests.clients import layout
from tests.operator.conftest import control_plane, free_port, started
from tests.operator.control_plane import READY_SECONDS, ApiServer
from tests.serve.conftest import wait_for_port

VARIANT = VARIANTS["4.2-gateway"]
PLURALS = {"Ingress": "ingresses", "ModuleInfo": "moduleinfoes", "ResourcePatch": "resourcepatches"}
BUILDS = CustomField.parse("builds.example.com/v1/builds=spec.output.image")


def collection(document: dict[str, object]) -> str:
    metadata = document["metadata"]
    assert isinstance(metadata, dict)
    kind = str(document["kind"])
    plural = PLURALS.get(kind, f"{kind.lower()}s")
    return object_path(str(document["apiVersion"]), plural, namespace=metadata.get("namespace", ""))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Every object of a variant, checked by the API server's own schemas; roles of both registries have one name."""
    with started(control_plane(tmp_path_factory.mktemp("apiserver"))) as apiserver:
        fill(apiserver)
        yield apiserver


def fill(apiserver: ApiServer) -> None:
    for document in definitions():
        apiserver.client.create(collection(document), document)
    deadline = time.monotonic() + READY_SECONDS
    for document in (*objects(VARIANT), *workloads(VARIANT)):
        while document["kind"] != "CustomResourceDefinition":
            try:
                apiserver.client.create(collection(document), document)
                break
            except KubeError as error:
                if error.conflict:
                    break
                if not error.not_found or time.monotonic() > deadline:
                    raise
                time.sleep(0.2)  # the API server does not serve a new kind at once


@dataclass(frozen=True)
class Served:
    """A registry that runs, behind the proxy that asks for rights."""

    url: str
    folder: Path
    digests: dict[str, str]
    """Of what was pushed, by name and tag."""
    administrator: str = field(repr=False)
    """A token that may get images everywhere."""


@pytest.fixture(scope="module")
def served(filled: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Debian's docker-registry and the proxy, filled by skopeo with the rights of each team's builder."""
    for tool in ("docker-registry", "skopeo"):
        assert shutil.which(tool), f"no {tool}: apt-get install {tool}"
    folder = tmp_path_factory.mktemp("legacy")
    upstream, port = f"127.0.0.1:{free_port()}", free_port()
    storage = {"filesystem": {"rootdirectory": str(folder / "data")}}
    settings = {"version": 0.1, "log": {"level": "error"}, "storage": storage, "http": {"addr": upstream}}
    (folder / "config.json").write_text(json.dumps(settings))
    account = folder / "account"
    account.mkdir()
    (account / "token").write_text(token_of(filled, "registry-proxy", "cpaas-system"))
    (account / "ca.crt").write_bytes((filled.kubeconfig.parent / "certificates/apiserver.crt").read_bytes())
    api = filled.client.server.rpartition(":")[2]
    environment = {
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": api,
        "PROXY_ACCOUNT": str(account),
    }
    commands = [
        ["docker-registry", "serve", str(folder / "config.json")],
        [
            sys.executable,
            proxy.__file__,
            f"--upstream=http://{upstream}",
            f"--insecure-listen-address=127.0.0.1:{port}",
        ],
    ]
    with ExitStack() as stack, (folder / "log").open("wb") as log:
        for command, address in zip(commands, (upstream, f"127.0.0.1:{port}"), strict=True):
            known = {"PATH": os.environ["PATH"], **environment}
            process = subprocess.Popen(command, stdout=log, stderr=log, env=known)
            stack.callback(process.wait, 20)
            stack.callback(process.terminate)
            wait_for_port(address, process, folder / "log")
        digests = {}
        for name in ("team-a/app:v1", "team-a/app:v2", "team-a/app:built", "team-a/tools/report:1", "team-b/app:v1"):
            made = layout.image(folder / name.replace("/", "-").replace(":", "-"))
            digests[name] = made.digest
            deadline = time.monotonic() + READY_SECONDS
            while True:  # the API server takes a moment to know of new rights
                done = push(filled, made, f"127.0.0.1:{port}/{name}", name.partition("/")[0], folder)
                if done.returncode == 0 or "403" not in done.stderr or time.monotonic() > deadline:
                    break
                time.sleep(0.5)
            assert done.returncode == 0, done.stderr
        filled.client.create(
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
            {
                "metadata": {"name": "migration-pulls"},
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": "ClusterRole",
                    "name": "system:image-puller",
                },
                "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "cpaas-system"}],
            },
        )
        accounts = "/api/v1/namespaces/cpaas-system/serviceaccounts"
        filled.client.create(accounts, {"metadata": {"name": "default"}})
        yield Served(f"http://127.0.0.1:{port}", folder, digests, token_of(filled, "default", "cpaas-system"))


def token_of(server: ApiServer, name: str, namespace: str) -> str:
    path = object_path("v1", "serviceaccounts", name, namespace=namespace)
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    return str(server.client.create(f"{path}/token", body)["status"]["token"])


def push(
    server: ApiServer, made: layout.Layout, target: str, team: str, folder: Path
) -> subprocess.CompletedProcess[str]:
    """By skopeo, with Basic and the user that marks a token, as kubelet and people do it."""
    logins = folder / "logins.json"
    login = base64.b64encode(f"<token>:{token_of(server, 'builder', team)}".encode()).decode()
    logins.touch(0o600)
    logins.write_text(json.dumps({"auths": {target.partition("/")[0]: {"auth": login}}}))
    command = ["skopeo", "copy", "--quiet", "--dest-tls-verify=false", "--authfile", str(logins)]
    command += [f"oci:{made.folder}:v1", f"docker://{target}"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def found_by(client: ClusterClient, beyond: ClusterClient | None = None) -> Inventory:
    return discover(client, Question(cluster="business", fields=(BUILDS,)), global_client=beyond)


def test_an_administrator_finds_everything(filled: ApiServer) -> None:
    inventory = found_by(filled.client, filled.client)
    assert inventory.unread == ()
    [entry] = inventory.installations
    assert {service.role for service in entry.services} == {"registry", "direct", "gateway"}
    assert entry.storage is not None
    assert entry.storage.claim is not None
    assert {record.object.kind for record in entry.records} == {"ClusterPluginInstance", "AppRelease", "ModuleInfo"}
    assert HOST in inventory.external_hosts
    assert {consumer.object.kind for consumer in inventory.consumers} == {"Deployment", "CronJob", "Build"}
    assert {secret.object.name for secret in inventory.pull_secrets} == {
        "by-hand",
        "dockercfg-team-a-x7k2p",
        "dockercfg-team-b-x7k2p",
    }
    assert inventory.gateway is not None
    assert [limit.object.name for limit in inventory.limits] == ["registry-gateway-config"]
    assert "storage-unreachable" in {
        found.rule for found in assess(make_case(inventory, None, Choices()))
    }  # no volumes


def test_somebody_without_rights_is_told_each_one(filled: ApiServer, tmp_path: Path) -> None:
    somebody = filled.as_account(tmp_path, "builder", "team-a")
    inventory = found_by(somebody.client)
    assert inventory.installations == ()
    rights = {entry.right for entry in inventory.unread}
    assert {"list deployments.apps", "list secrets", "get services in namespace cpaas-system"} <= rights
    assert all(rights)


def test_what_was_pushed_is_what_is_surveyed_and_planned(filled: ApiServer, served: Served, tmp_path: Path) -> None:
    access = Access(login=Login(registry_token=served.administrator), insecure=True)
    told, seen = tmp_path / "told", tmp_path / "seen"
    with ContentWriter(told, "registry", served.url) as writer:
        summary = survey_registry(LegacyRegistry(served.url, access), writer)
    with ContentWriter(seen, "storage", "data") as writer:
        survey_storage(FilesystemStore(served.folder / "data"), writer)
    expected: dict[str, dict[str, str]] = {}
    for name, digest in served.digests.items():
        repository, _, tag = name.partition(":")
        expected.setdefault(repository, {})[tag] = digest
    for path in (told, seen):
        assert {found.name: dict(found.tags) for found in ContentFile(path).repositories()} == expected
    assert (summary.tags, summary.nested, summary.problems) == (5, 1, {})
    inventory = found_by(filled.client, filled.client)
    made = plan(make_case(inventory, ContentFile(told), Choices(way=Way.COPY, claim_size=1 << 40)))
    # no controller runs here: the claim has no volume, and the Deployment no Pod
    others = {"storage-unreachable", "unsupported-storage"}
    assert {found.rule for found in made.blockers} == {"nested-path", *others}
    assert made.estimate.bytes_copied == summary.size
    assert {rename.old: rename.new for rename in made.renames} == {"team-a/tools/report": "team-a/tools-report"}
    assert "broken-reference" not in {found.rule for found in made.findings}


def test_the_proxy_gives_what_the_rights_give(filled: ApiServer, served: Served, tmp_path: Path) -> None:
    refused = push(
        filled,
        layout.image(tmp_path / "image"),
        f"{served.url.removeprefix('http://')}/team-a/app:no",
        "team-b",
        tmp_path,
    )
    assert refused.returncode != 0
    assert "403" in refused.stderr
    nobody = LegacyRegistry(served.url, Access(login=Login(registry_token="nobody"), insecure=True))
    with pytest.raises(RemoteError, match="401"):
        nobody.ping()
    builder = Access(login=Login(registry_token=token_of(filled, "builder", "team-a")), insecure=True)
    with pytest.raises(RemoteError, match="403"):
        list(LegacyRegistry(served.url, builder).catalog())
