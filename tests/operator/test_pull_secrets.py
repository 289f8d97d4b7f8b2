"""Pull Secrets for ServiceAccounts against a real kube-apiserver, with the rights of the operator's chart and no other.

Nobody collects garbage and nobody makes ServiceAccounts here, so what goes or comes is the operator's work alone.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.endpoint import Endpoint
from image_registry.kube.errors import KubeError
from image_registry.kube.reviews import TokenReviewer
from image_registry.operator import pull_secret_content as content
from image_registry.operator import pull_secret_failures, pull_secret_plan
from image_registry.operator.operand import CONFIG
from image_registry.operator.pull_secret_plan import BINDING
from image_registry.operator.pull_secrets import PullSecrets
from tests.operator.conftest import ApiServer
from tests.operator.rooms import INTERNAL, RBAC, SERVICE, Object, Room, auths, running, token, until, with_registry


@pytest.fixture(scope="module")
def registry(apiserver: ApiServer, operator: ApiServer, configs: str) -> Iterator[ClusterClient]:  # noqa: ARG001
    """The administrator of a cluster with a registry."""
    with with_registry(apiserver.client) as found:
        yield found


@pytest.fixture
def spec(registry: ClusterClient) -> Iterator[Callable[..., None]]:
    """Change ``imagePullSecret`` of Config for one test."""

    def change(**fields: Any) -> None:
        registry.merge(CONFIG, {"spec": {"imagePullSecret": fields}})

    yield change
    registry.merge(CONFIG, {"spec": {"imagePullSecret": None, "managementState": "Managed"}})


@pytest.fixture(scope="module")
def keeper(registry: ClusterClient, operator: ApiServer) -> Iterator[PullSecrets]:  # noqa: ARG001
    with running(operator) as found:
        yield found


@pytest.fixture
def room(keeper: PullSecrets, registry: ClusterClient) -> Room:  # noqa: ARG001
    found = Room(registry)
    until(found.good, "a pull Secret")
    return found


@pytest.mark.parity(18)
def test_a_new_namespace_has_a_pull_secret_and_the_right_to_pull(room: Room, registry: ClusterClient) -> None:
    secret, account = room.secret(), registry.get(room.at("serviceaccounts", "default"))
    metadata = secret["metadata"]
    assert content.may_be_named("default", metadata["name"])
    assert secret["type"] == "kubernetes.io/dockerconfigjson"
    assert metadata["labels"]["imageregistry.operator.alauda.io/managed-pull-secret"] == "true"
    assert metadata["annotations"][content.ACCOUNT] == "default"
    assert metadata["annotations"][content.BINDING] == "bound"
    assert [owner["uid"] for owner in metadata["ownerReferences"]] == [account["metadata"]["uid"]]
    address = registry.get(SERVICE)["spec"]["clusterIP"]
    assert set(auths(secret)) == {*INTERNAL, f"{address}:5000"}
    binding = registry.get(room.at("rolebindings", BINDING, RBAC))
    assert binding["roleRef"]["name"] == "system:image-puller"
    assert [one["name"] for one in binding["subjects"]] == [f"system:serviceaccounts:{room.namespace}"]


def test_others_in_the_list_stay(room: Room) -> None:
    room.join("robot", imagePullSecrets=[{"name": "mine"}, {"name": "other-dockercfg-abcde"}])
    until(lambda: len(room.listed("robot")) == 3, "named")
    first, second, third = room.listed("robot")
    assert (first, second) == ("mine", "other-dockercfg-abcde")
    assert content.may_be_named("robot", third)


@pytest.mark.parity(18)
def test_the_token_is_for_the_registry_alone_and_dies_with_its_secret(room: Room, apiserver: ApiServer) -> None:
    reviewer, found = TokenReviewer(apiserver.client), token(room.secret())
    user = reviewer.review(found, "image-registry")
    assert user is not None
    assert user.username == f"system:serviceaccount:{room.namespace}:default"
    assert reviewer.review(found) is None, "the kube-apiserver's own audience"
    endpoint = ClusterClient.from_kubeconfig(apiserver.kubeconfig)._endpoint
    stranger = ClusterClient(Endpoint(**{**_fields(endpoint), "token": found}))
    with pytest.raises(KubeError) as caught:
        stranger.get("/api/v1/namespaces/default")
    assert caught.value.unauthorized
    room.client.delete(room.at("secrets", room.secret()["metadata"]["name"]))
    until(lambda: reviewer.review(found, "image-registry") is None, "refused")
    until(room.good, "a new Secret")
    assert reviewer.review(token(room.secret()), "image-registry") is not None


def _fields(endpoint: Endpoint) -> Object:
    return {name: getattr(endpoint, name) for name in endpoint.__dataclass_fields__}


def lose_list(room: Room) -> None:
    room.client.merge(room.at("serviceaccounts", "default"), {"imagePullSecrets": None})


def lose_annotation(room: Room) -> None:
    notes = {"annotations": {content.REFERENCE: None}}
    room.client.merge(room.at("serviceaccounts", "default"), {"metadata": notes})


def lose_label(room: Room) -> None:
    path = room.at("secrets", room.secret()["metadata"]["name"])
    room.client.merge(path, {"metadata": {"labels": {content.LABEL: None}}})


def lose_owner(room: Room) -> None:
    room.client.merge(room.at("secrets", room.secret()["metadata"]["name"]), {"metadata": {"ownerReferences": None}})


def edit_content(room: Room) -> None:
    body = {"data": {".dockerconfigjson": content.document(["elsewhere:5000"], "x")}}
    room.client.merge(room.at("secrets", room.secret()["metadata"]["name"]), body)


def freeze(room: Room) -> None:
    body = {"immutable": True, "data": {".dockerconfigjson": content.document((), "")}}
    room.client.merge(room.at("secrets", room.secret()["metadata"]["name"]), body)


def lose_secret(room: Room) -> None:
    room.client.delete(room.at("secrets", room.secret()["metadata"]["name"]))


def lose_binding(room: Room) -> None:
    room.client.delete(room.at("rolebindings", BINDING, RBAC))


@pytest.mark.parity(18)
@pytest.mark.parametrize(
    "harm",
    [lose_list, lose_annotation, lose_label, lose_owner, edit_content, freeze, lose_secret, lose_binding],
)
def test_what_somebody_takes_away_is_back_and_nothing_is_doubled(room: Room, harm: Callable[[Room], None]) -> None:
    before = room.secret()["metadata"]["name"]
    harm(room)

    def whole() -> bool:
        return room.good() and (room.secret()["metadata"].get("labels") or {}).get(content.LABEL) == "true"

    until(lambda: whole() and bool(room.secret()["metadata"].get("ownerReferences")), "healed")
    assert room.secret()["metadata"]["name"] == before
    assert room.listed() == [before]


def test_a_binding_that_somebody_edits_is_as_it_was(room: Room) -> None:
    path = room.at("rolebindings", BINDING, RBAC)
    before = room.client.get(path)["subjects"]
    room.client.merge(path, {"subjects": [{**before[0], "name": "system:unauthenticated"}]})
    until(lambda: room.client.get(path)["subjects"] == before, "as it was")
    room.client.delete(path)
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    wrong = {"metadata": {"name": BINDING}, "roleRef": role, "subjects": before}
    try:
        room.client.create(path.rpartition("/")[0], wrong)
    except KubeError as error:
        assert error.conflict, "it was back already"  # noqa: PT017
    until(lambda: (room.client.find(path) or wrong)["roleRef"]["name"] == "system:image-puller", "the right role")


@pytest.mark.parity(18)
def test_two_of_one_account_become_one(room: Room) -> None:
    secret = room.secret()
    metadata = {part: secret["metadata"][part] for part in ("labels", "annotations", "ownerReferences")}
    copy = {"metadata": {"name": "default-dockercfg-aaaaa", **metadata}, "type": secret["type"], "data": secret["data"]}
    room.client.create(room.at("secrets"), copy)
    until(lambda: len(room.secrets()) == 1, "one")
    assert room.secret()["metadata"]["name"] == secret["metadata"]["name"]


@pytest.mark.parity(18)
def test_a_secret_goes_with_its_account(room: Room) -> None:
    room.client.delete(room.at("serviceaccounts", "default"))
    until(lambda: not room.secrets(), "gone")


def test_nothing_is_missed_in_a_namespace_that_is_gone(
    room: Room, keeper: PullSecrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull_secret_failures, "FIRST_PAUSE", 0.02)
    name, path = room.namespace, f"/api/v1/namespaces/{room.namespace}"
    room.client.delete(path)
    secret = room.at("secrets", room.secret()["metadata"]["name"])
    for left in (room.at("rolebindings", BINDING, RBAC), secret, room.at("serviceaccounts", "default")):
        room.client.delete(left)
    namespace = room.client.get(path)
    room.client.replace(f"{path}/finalize", {**namespace, "spec": {"finalizers": []}})
    until(lambda: room.client.find(path) is None, "gone")
    wrong: list[str] = []
    for _ in range(40):
        time.sleep(0.05)
        wrong += [keeper.condition().message] * (
            keeper.condition().status == "False" and name in keeper.condition().message
        )
    assert not wrong
    room.client.create("/api/v1/namespaces", {"metadata": {"name": name}})
    room.join("default")
    until(room.good, "a pull Secret in a namespace of the same name")


def test_a_secret_of_somebody_else_is_never_taken(room: Room) -> None:
    foreign = {"metadata": {"name": "robot-dockercfg-abcde"}, "stringData": {"key": "value"}}
    room.client.create(room.at("secrets"), foreign)
    room.join("robot", imagePullSecrets=[])
    until(lambda: len(room.secrets()) == 3, "another name")
    notes = {"annotations": {content.REFERENCE: "robot-dockercfg-abcde"}}
    room.client.merge(room.at("serviceaccounts", "robot"), {"metadata": notes})
    until(lambda: room.listed("robot") != ["robot-dockercfg-abcde"] and len(room.listed("robot")) == 1, "named")
    left = room.client.get(room.at("secrets", "robot-dockercfg-abcde"))
    assert left["data"] == {"key": base64.b64encode(b"value").decode()}
    assert "labels" not in left["metadata"]


def test_another_name_of_the_registry_reaches_every_secret(room: Room, spec: Callable[..., None]) -> None:
    spec(additionalRegistryHosts=["registry.example.com", "10.1.2.3:5000"])
    until(lambda: {"registry.example.com", "10.1.2.3:5000"} <= set(auths(room.secret())), "in the Secret")
    spec(additionalRegistryHosts=None)
    until(lambda: "registry.example.com" not in auths(room.secret()), "out of it")


def test_ignored_namespaces_have_none(room: Room, spec: Callable[..., None]) -> None:
    spec(ignoredNamespaces=[room.namespace])
    path = room.at("rolebindings", BINDING, RBAC)
    until(lambda: not room.secrets() and room.client.find(path) is None, "taken away")
    assert room.listed() == []
    spec(ignoredNamespaces=None)
    until(room.good, "back")


def test_namespaces_of_the_platform_have_none_unless_they_are_wanted(
    room: Room, spec: Callable[..., None], registry: ClusterClient
) -> None:
    path = object_path("v1", "serviceaccounts", "platform", namespace="kube-public")
    registry.create(path.rpartition("/")[0], {"metadata": {"name": "platform"}})
    room.join("later")
    until(lambda: len(room.secrets()) == 2, "told of what came later")
    secrets = object_path("v1", "secrets", namespace="kube-public")
    assert registry.get(secrets)["items"] == []
    spec(ignoreSystemNamespaces=False)
    until(lambda: bool(registry.get(secrets)["items"]), "wanted")
    spec(ignoreSystemNamespaces=True)
    until(lambda: not registry.get(secrets)["items"], "not wanted")
    registry.delete(path)


def test_unmanaged_leaves_everything_as_it_is(room: Room, spec: Callable[..., None], keeper: PullSecrets) -> None:
    spec(managementState="Unmanaged")
    until(lambda: keeper.condition().reason == "Unmanaged", "paused")
    lose_list(room)
    room.join("later")
    time.sleep(0.5)
    assert room.listed() == []
    assert len(room.secrets()) == 1
    spec(managementState="Managed")
    until(lambda: len(room.listed()) == 1 and len(room.secrets()) == 2, "on again")


def test_removed_takes_away_what_was_made_and_nothing_else(
    room: Room, spec: Callable[..., None], keeper: PullSecrets, registry: ClusterClient
) -> None:
    room.client.create(room.at("secrets"), {"metadata": {"name": "mine"}, "stringData": {"key": "value"}})
    room.client.merge(room.at("serviceaccounts", "default"), {"imagePullSecrets": [{"name": "mine"}]})
    until(lambda: len(room.listed()) == 2, "both named")
    spec(managementState="Removed")
    until(lambda: [one["metadata"]["name"] for one in room.secrets()] == ["mine"], "taken away")
    until(lambda: room.client.find(room.at("rolebindings", BINDING, RBAC)) is None, "no binding")
    until(lambda: keeper.condition().message == "nothing of them is left", "said")
    assert room.listed() == ["mine"]
    left = registry.get("/api/v1/secrets", query={"labelSelector": content.LABEL})["items"]
    assert left == []


def test_a_restart_writes_nothing(registry: ClusterClient, operator: ApiServer, keeper: PullSecrets) -> None:
    rooms = [Room(registry) for _ in range(5)]
    until(lambda: all(room.good() for room in rooms), "all")
    until(lambda: keeper.condition().reason == "AsExpected", "at rest")

    def versions() -> dict[str, str]:
        found = registry.get("/api/v1/secrets", query={"labelSelector": content.LABEL})["items"]
        found += registry.get("/api/v1/serviceaccounts")["items"]
        return {item["metadata"]["uid"]: item["metadata"]["resourceVersion"] for item in found}

    before = versions()
    with running(operator) as second:
        until(lambda: second.condition().reason == "AsExpected", "at rest")
    assert versions() == before


def test_a_new_token_comes_before_the_old_one_ends(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    before = room.secret()
    said = content.read(before)
    assert said is not None
    assert said.expires - said.issued == 3600
    monkeypatch.setattr(pull_secret_plan, "EARLIEST", 0.0)
    monkeypatch.setattr(pull_secret_plan, "LATEST", 0.0)
    room.client.merge(room.at("serviceaccounts", "default"), {"metadata": {"labels": {"look": "again"}}})
    until(lambda: token(room.secret()) != token(before), "renewed")
    assert room.good()
    assert room.secret()["metadata"]["uid"] == before["metadata"]["uid"]
    assert TokenReviewer(room.client).review(token(before), "image-registry") is not None, "who has it may go on"
