"""Imports and pull-through against other registries: TLS by a private CA, Basic and tokens, 429s, outages, rules."""

from __future__ import annotations

import json
import secrets
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from image_registry_lab.addresses import HOST
from tests.app.remote.conftest import Content, Remote, distribution
from tests.app.remote.faulting_proxy import Fault, FaultingProxy
from tests.clients.certificates import Certificates, make_certificates
from tests.clients.programs import Crane, Registry
from tests.cluster.kubernetes import NAMESPACE, SERVICE, CommandFailed, Helm, Kubectl, Team
from tests.cluster.remote_registries import RemoteRegistry
from tests.cluster.test_pods import push_runnable

pytestmark = pytest.mark.lab

MIRRORED = "registry.mirrored.test"
"""A registry that nobody reaches; its images are in a mirror."""

INTERVAL = 10
"""Seconds between two imports of a scheduled tag, here."""


@dataclass(frozen=True)
class World:
    """Everything that there is outside of the cluster."""

    certificates: Certificates
    basic: RemoteRegistry
    token: RemoteRegistry
    failing: RemoteRegistry
    filled: dict[str, Content]
    """By host."""
    plain: Remote
    throttled: FaultingProxy
    mirror: FaultingProxy
    blocked: FaultingProxy


@pytest.fixture(scope="module")
def world(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Registries on the lab's bridge, and an installation that may import from them."""
    folder = tmp_path_factory.mktemp("world")
    certificates = make_certificates(folder, HOST)
    kinds = (("basic", "distribution", "mary"), ("token", "own", "john"), ("failing", "distribution", ""))
    made = {
        name: RemoteRegistry(folder / name, certificates, kind, user, secrets.token_urlsafe(12) if user else "")
        for name, kind, user in kinds
    }
    filled = {registry.host: registry.fill() for registry in made.values()}
    proxies: list[FaultingProxy] = []
    with distribution(folder / "plain") as plain:
        proxies += [FaultingProxy(plain.host, certificates, HOST) for _ in range(3)]
        throttled, mirror, blocked = proxies
        with throttled.running(), mirror.running(), blocked.running():
            try:
                for registry in made.values():
                    registry.start()
                found = World(
                    certificates,
                    made["basic"],
                    made["token"],
                    made["failing"],
                    filled,
                    plain,
                    throttled,
                    mirror,
                    blocked,
                )
                with installed_for(kubectl, found):
                    yield found
            finally:
                for registry in made.values():
                    registry.stop()


@contextmanager
def installed_for(kubectl: Kubectl, world: World) -> Iterator[None]:
    """The installation with rules for this world; afterwards it is as it was."""
    helm = Helm(kubectl.kubeconfig)

    def upgrade(values: str) -> None:
        helm.upgrade("--reset-values", "-f", "-", stdin=values)
        for server in ("image-registry", "image-api-server"):
            kubectl("-n", NAMESPACE, "rollout", "status", f"deployment/{server}", "--timeout=180s")

    named = [world.basic.host, world.token.host, world.failing.host, world.throttled.host, world.blocked.host]
    mirrors = [f"{world.mirror.host}/team"]
    before = helm.values()
    values = json.loads(before)
    values.setdefault("config", {})["imports"] = {
        "allowedRegistries": [*named, MIRRORED],
        "blockedRegistries": [world.blocked.host],
        "mirrors": [{"source": f"{MIRRORED}/far", "mirrors": mirrors, "mirrorSourcePolicy": "NeverContactSource"}],
        "trustedCA": world.certificates.ca.read_text(encoding="ascii"),
        "scheduledIntervalSeconds": INTERVAL,
    }
    upgrade(json.dumps(values))
    try:
        yield
    finally:
        upgrade(before)


def until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def login(team: Team, registry: RemoteRegistry) -> None:
    """A Secret of the namespace with the credentials, as `kubectl create secret docker-registry` makes it."""
    document = {"auths": {registry.host: {"username": registry.user, "password": registry.password}}}
    team.kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/dockerconfigjson",
            "metadata": {"name": "remote", "namespace": team.namespace},
            "stringData": {".dockerconfigjson": json.dumps(document)},
        }
    )


def look(team: Team, spec: dict[str, Any], *, stream: str = "app", write: bool = True) -> dict[str, Any]:
    """Import; the status of what came of it."""
    document = {
        "apiVersion": "image.alauda.io/v1",
        "kind": "ImageStreamImport",
        "metadata": {"name": stream, "namespace": team.namespace},
        "spec": {"import": write, **spec},
    }
    answer = json.loads(team.kubectl("create", "-f", "-", "-o", "json", stdin=json.dumps(document)))
    found: dict[str, Any] = answer["status"]
    return found


def one(source: str, **policy: Any) -> dict[str, Any]:
    """A spec for one image."""
    return {"images": [{"from": {"kind": "DockerImage", "name": source}, **policy}]}


def wanted(team: Team, name: str, source: str, **policy: Any) -> None:
    """A tag that is wanted, in the stream ``app`` of that one tag."""
    team.kubectl.apply(
        {
            "apiVersion": "image.alauda.io/v1",
            "kind": "ImageStream",
            "metadata": {"name": name, "namespace": team.namespace},
            "spec": {
                "tags": [{"name": "v1", "from": {"kind": "DockerImage", "name": source}, "importPolicy": policy}],
            },
        }
    )


def tag(team: Team, name: str = "app", tag: str = "v1") -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Of a tag: the wish, the newest event and the condition; what there is not is empty."""
    stream = team.kubectl.json("-n", team.namespace, "get", "imagestream", name)
    [wish] = [entry for entry in stream["spec"].get("tags", ()) if entry["name"] == tag]
    [status] = [entry for entry in stream["status"].get("tags", ()) if entry["tag"] == tag] or [{}]
    items, conditions = status.get("items") or [{}], status.get("conditions") or [{}]
    return wish, items[0], conditions[0]


def push_of_one_layer(crane: Crane, repository: str, archive: Path, folder: Path) -> str:
    """The small image as one layer that no node has, so that a node asks for all of it; its digest."""
    push_runnable(crane, repository, archive)
    (folder / "mark").write_text(secrets.token_hex(8), encoding="ascii")
    layer = folder / "mark.tar"
    with tarfile.open(layer, "w") as tar:
        tar.add(folder / "mark", "mark")
    base, more, flat = (crane.at(f"{repository}:{name}") for name in ("own", "more", "one"))
    crane.run("append", "--base", base, "--new_layer", str(layer), "--new_tag", more)
    crane.run("flatten", more, "--tag", flat)
    return crane.run("digest", flat).strip()


@pytest.mark.parity(12)
@pytest.mark.parametrize("kind", ["basic", "token"])
def test_a_private_image_is_imported_with_the_secret_of_its_namespace_alone(
    world: World, team: Team, other_team: Team, kind: str
) -> None:
    registry: RemoteRegistry = getattr(world, kind)
    login(team, registry)
    source = f"{registry.host}/team/app:v1"
    [item] = look(team, one(source))["images"]
    assert item["status"]["status"] == "Success", item
    assert item["image"]["metadata"]["name"] == str(world.filled[registry.host].image)
    wish, event, condition = tag(team)
    assert event["dockerImageReference"] == f"{registry.host}/team/app@{world.filled[registry.host].image}"
    assert (event["generation"], condition) == (wish["generation"], {})

    [refused] = look(other_team, one(source))["images"]
    assert refused["status"]["reason"] == "Unauthorized"
    assert "pull Secret" in refused["status"]["message"]
    wish, event, condition = tag(other_team)
    assert (event, condition["type"], condition["status"]) == ({}, "ImportSuccess", "False")
    assert (condition["reason"], condition["generation"]) == ("Unauthorized", wish["generation"])


@pytest.mark.parity(15)
def test_the_secrets_of_imports_are_a_subresource_and_the_data_plane_may_read_no_others(
    world: World, team: Team
) -> None:
    login(team, world.basic)
    team.kubectl("-n", team.namespace, "create", "secret", "generic", "other", "--from-literal=key=value")
    path = f"/apis/image.alauda.io/v1/namespaces/{team.namespace}/imagestreams/any/secrets"
    listed = json.loads(team.kubectl("get", "--raw", path))
    assert (listed["kind"], [item["metadata"]["name"] for item in listed["items"]]) == ("SecretList", ["remote"])
    with pytest.raises(CommandFailed, match="forbidden"):
        team.kubectl("get", "--raw", path, f"--as=system:serviceaccount:{team.namespace}:stranger")

    def may(account: str, verb: str, *resource: str) -> bool:
        who = f"--as=system:serviceaccount:{NAMESPACE}:{account}"
        with suppress(CommandFailed):
            return team.kubectl("auth", "can-i", verb, *resource, "-n", team.namespace, who).strip() == "yes"
        return False

    assert [verb for verb in ("get", "list", "watch") if may("registry", verb, "secrets")] == []
    assert [verb for verb in ("get", "list", "watch") if may("image-api-server", verb, "secrets")] == ["list"]
    assert may("registry", "get", "imagestreams.image.alauda.io", "--subresource=secrets")


@pytest.fixture
def opting_in(kubectl: Kubectl) -> Iterator[str]:
    """The Image API reads no Secrets, as with ``config.imports.pullSecrets: false``; the role for namespaces."""
    name = f"{NAMESPACE}:pull-secret-reader"
    binding = kubectl.json("get", "clusterrolebinding", name)
    kubectl("delete", "clusterrolebinding", name)
    binding["metadata"] = {key: binding["metadata"][key] for key in ("name", "labels", "annotations")}
    yield name
    kubectl.apply(binding)


@pytest.mark.parity(15)
def test_a_namespace_can_let_imports_read_its_secrets_where_nobody_else_does(
    world: World, team: Team, other_team: Team, opting_in: str
) -> None:
    account = f"--serviceaccount={NAMESPACE}:image-api-server"
    role = f"--clusterrole={opting_in}"
    team.kubectl("-n", team.namespace, "create", "rolebinding", "import-credentials", role, account)
    found = {}
    for each in (team, other_team):
        login(each, world.token)
        [item] = look(each, one(f"{world.token.host}/team/app:v1"))["images"]
        found[each.namespace] = item["status"].get("reason", "Success")
    assert found == {team.namespace: "Success", other_team.namespace: "Unauthorized"}


@pytest.mark.parity(12)
def test_a_registry_that_asks_to_wait_is_waited_for_and_then_tried_again(world: World, team: Team) -> None:
    source = f"{world.throttled.host}/team/app:v1"
    world.throttled.faults.append(Fault("manifests", 429, {"Retry-After": "3"}))
    began = time.monotonic()
    [item] = look(team, one(source))["images"]
    assert item["status"]["status"] == "Success", item
    assert time.monotonic() - began > 3

    always = Fault("manifests", 429, {"Retry-After": "25"}, always=True)
    world.throttled.faults.append(always)
    wanted(team, "later", source, scheduled=True)
    until(lambda: tag(team, "later")[2].get("reason") == "TooManyRequests", 60)
    wish, event, condition = tag(team, "later")
    assert (event, condition["status"], condition["generation"]) == ({}, "False", wish["generation"])
    world.throttled.faults.remove(always)
    until(lambda: tag(team, "later")[1].get("image") == str(world.plain.content.image), 120)
    assert tag(team, "later")[2] == {}


@pytest.mark.parity(12)
def test_an_outage_is_a_condition_and_a_scheduled_tag_recovers_from_it(world: World, team: Team) -> None:
    registry = world.failing
    wanted(team, "app", f"{registry.host}/team/app:v1", scheduled=True)
    first = str(world.filled[registry.host].image)
    until(lambda: tag(team)[1].get("image") == first, 60)
    registry.stop()
    until(lambda: tag(team)[2].get("reason") == "ServiceUnavailable", 90)
    wish, event, condition = tag(team)
    assert (condition["type"], condition["status"]) == ("ImportSuccess", "False")
    assert condition["generation"] == wish["generation"]
    assert registry.host in condition["message"]
    assert event["image"] == first, "what the tag meant it means on"
    second = registry.fill()
    registry.start()
    until(lambda: tag(team)[1].get("image") == str(second.image), 150)
    assert tag(team)[2] == {}


@pytest.mark.parity(12)
def test_registries_that_are_blocked_or_not_allowed_are_not_asked(world: World, team: Team) -> None:
    for host, why in ((world.blocked.host, "blockedRegistries"), ("registry.other.test", "allowedRegistries")):
        [item] = look(team, one(f"{host}/team/app:v1"), write=False)["images"]
        assert (item["status"]["reason"], item["status"]["code"]) == ("Forbidden", 403)
        assert why in item["status"]["message"]
    assert world.blocked.seen == []


@pytest.mark.parity(12)
def test_an_image_of_a_registry_that_nobody_reaches_comes_from_its_mirror(world: World, team: Team) -> None:
    [item] = look(team, one(f"{MIRRORED}/far/app:v1"))["images"]
    assert item["status"]["status"] == "Success", item
    assert tag(team)[1]["dockerImageReference"] == f"{MIRRORED}/far/app@{world.plain.content.image}"
    assert world.mirror.asked("/v2/team/app/manifests/v1")


@pytest.mark.parity(12)
def test_an_index_is_kept_whole_or_one_platform_is_taken(world: World, team: Team) -> None:
    content, source = world.plain.content, f"{world.throttled.host}/team/app:multi"
    [whole] = look(team, one(source, importPolicy={"importMode": "PreserveOriginal"}))["images"]
    assert whole["image"]["metadata"]["name"] == str(content.index)
    assert {image["metadata"]["name"] for image in whole["manifests"]} == {str(content.image), str(content.arm)}
    for digest in (content.index, content.image, content.arm):
        team.kubectl("get", "image.image.alauda.io", str(digest))
    [single] = look(team, one(source), stream="single")["images"]
    assert single["image"]["metadata"]["name"] in (str(content.image), str(content.arm))
    assert "manifests" not in single


@pytest.mark.parity(12)
def test_a_whole_repository_is_imported_the_most_important_tags_first(world: World, team: Team) -> None:
    source = {"kind": "DockerImage", "name": f"{world.throttled.host}/team/app"}
    found = look(team, {"repository": {"from": source}})["repository"]
    assert [item["tag"] for item in found["images"]] == ["latest", "1.1.0", "1.0.0", "multi", "v1"]
    assert {item["status"]["status"] for item in found["images"]} == {"Success"}
    stream = team.kubectl.json("-n", team.namespace, "get", "imagestream", "app")
    assert {entry["tag"] for entry in stream["status"]["tags"]} == {"latest", "1.1.0", "1.0.0", "multi", "v1"}


@pytest.mark.parity(15)
def test_a_node_pulls_through_with_the_namespaces_secret_and_on_when_the_source_is_away(
    world: World, team: Team, crane: Crane, busybox: Path, tmp_path: Path
) -> None:
    upstream = world.basic
    (tmp_path / "remote").mkdir()
    remote = Crane(
        Registry(upstream.host, world.certificates.ca, upstream.user, upstream.password), tmp_path / "remote"
    )
    remote.login(upstream.user, upstream.password)
    digest = push_of_one_layer(remote, "team/server", busybox, tmp_path)
    login(team, upstream)
    local = one(f"{upstream.host}/team/server:one", referencePolicy={"type": "Local"})
    [item] = look(team, local, stream="server")["images"]
    assert item["status"]["status"] == "Success", item

    def running(pod: str) -> str:
        team.run(pod, f"{SERVICE}/{team.namespace}/server:one", secret="pull")
        team.kubectl("-n", team.namespace, "wait", f"pod/{pod}", "--for=condition=Ready", "--timeout=90s")
        status = team.kubectl.json("-n", team.namespace, "get", "pod", pod)["status"]
        return str(status["containerStatuses"][0]["imageID"]).partition("@")[2]

    team.pull_secret("pull", "builder")
    assert running("first") == digest
    upstream.stop()
    try:
        assert crane.pull(f"{team.namespace}/server@{digest}") == digest
        assert running("second") == digest
    finally:
        upstream.start()
