"""Pods of ServiceAccounts that nobody has set up, in a real cluster with its controllers and a kubelet."""

from __future__ import annotations

import base64
import json
import secrets
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import KubeError
from tests.clients.programs import Crane, Refused
from tests.cluster.kubernetes import NAMESPACE, SERVICE, CommandFailed, Team
from tests.operator.conftest import OPERATOR
from tests.operator.operated import HEALED, Operated, config, crane, lab, operated, said, team  # noqa: F401
from tests.serve.conftest import CACHE

pytestmark = pytest.mark.lab

LABEL = "imageregistry.operator.alauda.io/managed-pull-secret=true"
BINDING = "image-registry-system-image-pullers"
NAMESPACES = 20


@pytest.fixture(scope="module", autouse=True)
def registry(operated: Operated) -> None:  # noqa: F811
    storage = {"emptyDir": {}}
    database = {"postgresql": {"managed": {"emptyDir": {}}}}
    operated.kubectl.apply(config(managementState="Managed", storage=storage, metadata=database))
    operated.ready()
    operated.until(lambda: operated.said().get("PullSecretsReady") == "True AsExpected", "pull Secrets", HEALED)


@pytest.fixture(scope="module")
def client(operated: Operated) -> ClusterClient:  # noqa: F811
    return ClusterClient.from_kubeconfig(operated.kubectl.kubeconfig)


def ready(team: Team, name: str) -> bool:  # noqa: F811
    status = team.kubectl.json("-n", team.namespace, "get", "pod", name)["status"]
    return any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions") or [])


@pytest.mark.parity(17)
def test_a_pod_of_a_new_namespace_pulls_with_nothing_set_up(
    operated: Operated,  # noqa: F811
    team: Team,  # noqa: F811
    crane: Crane,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    crane.run("push", str(CACHE / "images/bb.tar"), crane.at(f"{team.namespace}/hello:1"))
    began = time.monotonic()
    team.run("first", f"{SERVICE}/{team.namespace}/hello:1")
    operated.until(lambda: ready(team, "first"), "ready", HEALED)
    said(capsys, f"a Pod of the default ServiceAccount was ready {time.monotonic() - began:.1f} s after it was made")
    spec = team.kubectl.json("-n", team.namespace, "get", "pod", "first")["spec"]
    (entry,) = spec["imagePullSecrets"]
    assert entry["name"].startswith("default-dockercfg-")
    assert spec["serviceAccountName"] == "default"
    other = f"team-{secrets.token_hex(3)}"
    team.kubectl("create", "namespace", other)
    try:
        began = time.monotonic()
        binding = ["create", "rolebinding", "reads", "--clusterrole=system:image-puller"]
        team.kubectl("-n", team.namespace, *binding, f"--group=system:serviceaccounts:{other}")
        operated.until(lambda: bool(team.kubectl.names("secrets", "-n", other, "-l", LABEL)), "a Secret", HEALED)
        Team(team.kubectl, other).run("guest", f"{SERVICE}/{team.namespace}/hello:1")
        operated.until(lambda: ready(Team(team.kubectl, other), "guest"), "ready", HEALED)
    finally:
        team.kubectl("delete", "namespace", other, "--wait=false")


def test_what_a_pod_can_miss_is_measured(client: ClusterClient, capsys: pytest.CaptureFixture[str]) -> None:
    """From the first moment at which a Pod may be made to the first at which it has the name."""
    gaps, whole = [], []
    made = []
    try:
        for _ in range(NAMESPACES):
            name = f"gap-{secrets.token_hex(3)}"
            client.create("/api/v1/namespaces", {"metadata": {"name": name}})
            made.append(name)
            began, possible = time.monotonic(), 0.0
            while True:
                named = _named(client, name)
                now = time.monotonic() - began
                if named is not None and not possible:
                    possible = now
                if named:
                    break
                assert now < HEALED
            gaps.append(now - possible)
            whole.append(now)
    finally:
        for name in made:
            client.delete(f"/api/v1/namespaces/{name}")
    said(
        capsys,
        f"{NAMESPACES} namespaces: a Pod could be made without the name for {1000 * statistics.median(gaps):.0f} ms "
        f"(median; longest {1000 * max(gaps):.0f} ms); it had the name {1000 * statistics.median(whole):.0f} ms "
        f"(longest {1000 * max(whole):.0f} ms) after its namespace was made",
    )
    assert statistics.median(gaps) < 1


def _named(client: ClusterClient, namespace: str) -> bool | None:
    """Whether a Pod made now has the name; ``None`` if it can not be made yet."""
    container = {"name": "one", "image": "one"}
    body = {"metadata": {"name": "one"}, "spec": {"containers": [container]}}
    try:
        pod = client.create(object_path("v1", "pods", namespace=namespace), body, query={"dryRun": "All"})
    except KubeError as error:
        if not error.forbidden:
            raise
        return None
    return bool(pod["spec"].get("imagePullSecrets"))


@pytest.fixture
def again(operated: Operated, team: Team) -> Iterator[Callable[[], float]]:  # noqa: F811
    """A new Pod that has to pull; seconds until it is ready."""
    names = []

    def run() -> float:
        name = f"again-{secrets.token_hex(3)}"
        names.append(name)
        team.run(name, f"{SERVICE}/{team.namespace}/hello:1")
        return operated.until(lambda: ready(team, name), "ready", HEALED)

    yield run
    for name in names:
        team.kubectl("-n", team.namespace, "delete", "pod", name, "--wait=false")


def held(team: Team) -> dict[str, Any]:  # noqa: F811
    """The Secret of the default ServiceAccount."""
    items = team.kubectl.json("-n", team.namespace, "get", "secrets", "-l", LABEL)["items"]
    (found,) = [item for item in items if item["metadata"]["name"].startswith("default-dockercfg-")]
    return dict(found)


def full(team: Team) -> bool:  # noqa: F811
    try:
        data = held(team)["data"][".dockerconfigjson"]
        team.kubectl("-n", team.namespace, "get", "rolebinding", BINDING)
    except (CommandFailed, ValueError):
        return False
    account = team.kubectl.json("-n", team.namespace, "get", "serviceaccount", "default")
    return bool(json.loads(base64.b64decode(data))["auths"]) and bool(account.get("imagePullSecrets"))


def lose_secret(team: Team) -> None:  # noqa: F811
    team.kubectl("-n", team.namespace, "delete", "secret", held(team)["metadata"]["name"])


def lose_binding(team: Team) -> None:  # noqa: F811
    team.kubectl("-n", team.namespace, "delete", "rolebinding", BINDING)


def lose_list(team: Team) -> None:  # noqa: F811
    patch = '{"imagePullSecrets": null, "metadata": {"annotations": null}}'
    team.kubectl("-n", team.namespace, "patch", "serviceaccount", "default", "--type=merge", "-p", patch)


def lose_account(team: Team) -> None:  # noqa: F811
    team.kubectl("-n", team.namespace, "delete", "serviceaccount", "default")


@pytest.mark.parity(18)
@pytest.mark.parametrize("harm", [lose_secret, lose_binding, lose_list, lose_account])
def test_what_somebody_deletes_is_back_within_a_minute(
    operated: Operated,  # noqa: F811
    team: Team,  # noqa: F811
    again: Callable[[], float],
    harm: Callable[[Team], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    harm(team)
    seconds = operated.until(lambda: full(team), "healed", HEALED)
    said(capsys, f"{harm.__name__}: healed in {seconds:.1f} s, a new Pod ready in {again():.1f} s")


def test_a_restart_of_the_operator_changes_nothing(
    operated: Operated,  # noqa: F811
    team: Team,  # noqa: F811
    again: Callable[[], float],
) -> None:
    def versions() -> dict[str, str]:
        items = operated.kubectl.json("get", "secrets", "-A", "-l", LABEL)["items"]
        return {item["metadata"]["uid"]: item["metadata"]["resourceVersion"] for item in items}

    before = versions()
    operated.kubectl("-n", NAMESPACE, "rollout", "restart", "deployment", OPERATOR)
    operated.kubectl("-n", NAMESPACE, "rollout", "status", "deployment", OPERATOR, "--timeout=90s")
    lose_list(team)
    operated.until(lambda: full(team), "looked after by the next one", HEALED)
    after = versions()
    assert {uid: after.get(uid) for uid in before} == before
    assert again() < HEALED


def test_a_token_opens_the_registry_alone_and_dies_with_its_secret(
    operated: Operated,  # noqa: F811
    team: Team,  # noqa: F811
    crane: Crane,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    auths = json.loads(base64.b64decode(held(team)["data"][".dockerconfigjson"]))["auths"]
    assert SERVICE in auths
    user, _, token = base64.b64decode(auths[SERVICE]["auth"]).decode().partition(":")
    document = operated.kubectl.json("config", "view", "--raw", "--flatten")
    document["users"] = [{"name": one["name"], "user": {"token": token}} for one in document["users"]]
    kubeconfig = tmp_path_factory.mktemp("token") / "kubeconfig"
    kubeconfig.write_text(json.dumps(document))
    with pytest.raises(KubeError) as caught:
        ClusterClient.from_kubeconfig(kubeconfig).get("/api/v1/namespaces/default")
    assert caught.value.unauthorized
    crane.login(user, token)
    crane.pull(f"{team.namespace}/hello:1")
    lose_secret(team)

    def refused() -> bool:
        try:
            crane.pull(f"{team.namespace}/hello:1")
        except Refused:
            return True
        return False

    operated.until(refused, "refused", HEALED)


def test_removed_and_unmanaged_are_followed(operated: Operated, team: Team) -> None:  # noqa: F811
    operated.patch(imagePullSecret={"managementState": "Removed"})
    operated.until(lambda: not operated.kubectl.names("secrets", "-A", "-l", LABEL), "taken away", HEALED)
    operated.until(lambda: operated.said().get("PullSecretsReady") == "False Removed", "said", HEALED)
    account = team.kubectl.json("-n", team.namespace, "get", "serviceaccount", "default")
    assert not account.get("imagePullSecrets")
    operated.patch(imagePullSecret={"managementState": "Managed"})
    operated.until(lambda: full(team), "back", HEALED)
