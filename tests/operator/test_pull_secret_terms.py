"""How the controller of pull Secrets begins, with whatever keys, load and rights it finds; one for each test."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import pull_secrets as pull_secret_bench
from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.reviews import TokenReviewer
from image_registry.operator import pull_secrets
from tests.operator.conftest import NAMESPACE, control_plane, started
from tests.operator.control_plane import ApiServer, new_key
from tests.operator.rooms import RBAC, Object, Room, running, token, until, with_registry


@pytest.fixture(scope="module")
def registry(apiserver: ApiServer, operator: ApiServer, configs: str) -> Iterator[ClusterClient]:  # noqa: ARG001
    """The administrator of a cluster with a registry."""
    with with_registry(apiserver.client) as found:
        yield found


def test_keys_that_know_nothing_of_our_tokens_are_not_believed(
    registry: ClusterClient, operator: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room(registry)
    with running(operator) as first:
        until(lambda: room.good() and first.condition().reason == "AsExpected", "a pull Secret")
    get = ClusterClient.get

    def others(self: ClusterClient, path: str, **options: Any) -> Object:
        return {"keys": [{"kid": "somebody else's"}]} if path == "/openid/v1/jwks" else get(self, path, **options)

    monkeypatch.setattr(ClusterClient, "get", others)
    with running(operator) as second:
        until(lambda: second.condition().reason == "AsExpected", "at rest")
        time.sleep(1.5)
        once = room.secret()["metadata"]["resourceVersion"]
        room.client.merge(room.at("serviceaccounts", "default"), {"metadata": {"labels": {"look": "again"}}})
        time.sleep(0.5)
    assert room.secret()["metadata"]["resourceVersion"] == once


def test_tokens_of_a_key_that_is_withdrawn_are_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull_secrets, "KEYS_AGAIN", 0.5)
    plane = control_plane(tmp_path)
    with started(plane) as server:
        pull_secret_bench.fill(server.client, 1, 2)
        with running(server):  # as an administrator: the operator's own token would end with its key
            room = Room(server.client)
            until(room.good, "a pull Secret")
            before = room.secret()
            plane.crash()
            new_key(tmp_path)
            plane.start()
            until(lambda: room.secret() != before and room.good(), "renewed")
            assert TokenReviewer(server.client).review(token(room.secret()), "image-registry") is not None


def test_many_accounts_cost_four_requests_each_and_a_restart_none(
    registry: ClusterClient, operator: ApiServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """A small run of ``make bench-pull-secrets``."""
    pull_secret_bench.fill(registry, 10, 10)
    options = argparse.Namespace(rate=200.0, rest=2.0, renew=20)
    found = pull_secret_bench.measure(registry, operator.kubeconfig, options)
    with capsys.disabled():
        print("", pull_secret_bench.HEAD, *(phase.row() for phase in found), sep="\n")  # noqa: T201
    first, rest, restart, renewed = found
    assert first.calls <= 4 * first.written + 10 + 30, (
        "a name, a Secret, a token, its content; a binding for each namespace"
    )
    assert rest.calls <= 3
    assert restart.written == 0
    assert restart.calls < 30
    assert renewed.calls <= 2 * (renewed.written + 5) + 30
    assert first.memory < 150


def test_what_is_not_permitted_is_named(registry: ClusterClient, apiserver: ApiServer, tmp_path: Path) -> None:
    apiserver.client.create(
        object_path("v1", "serviceaccounts", namespace=NAMESPACE), {"metadata": {"name": "powerless"}}
    )
    powerless = apiserver.as_account(tmp_path, "powerless", NAMESPACE)
    rule = {"apiGroups": ["imageregistry.operator.alauda.io"], "resources": ["configs"], "verbs": ["get"]}
    every = {
        "apiGroups": [""],
        "resources": ["namespaces", "serviceaccounts", "secrets", "services"],
        "verbs": ["get", "list", "watch"],
    }
    registry.create(f"/apis/{RBAC}/clusterroles", {"metadata": {"name": "powerless"}, "rules": [rule, every]})
    subject = {"kind": "ServiceAccount", "name": "powerless", "namespace": NAMESPACE}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "powerless"}
    binding = {"metadata": {"name": "powerless"}, "roleRef": reference, "subjects": [subject]}
    registry.create(f"/apis/{RBAC}/clusterrolebindings", binding)
    with running(powerless) as keeper:
        until(lambda: keeper.condition().reason == "PermissionDenied", "said")
    message = keeper.condition().message
    assert "create serviceaccounts/token" in message
    assert "list rolebindings.rbac.authorization.k8s.io" in message
    assert "list secrets" not in message
    assert "helm upgrade cluster-image-registry-operator" in message
