"""Roles that another release owns when the operator comes, and that are made over to this registry later."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from image_registry.kube.client import object_path
from image_registry.kube.release_marks import own, owned_by
from image_registry.kube.release_record import RELEASE
from image_registry.operator.left_roles import MISSING
from tests.operator.conftest import NAMESPACE
from tests.operator.reconciled import Cluster

PULLER, PUSHER = "system:image-puller", "system:image-pusher"
OLD = {"apiGroups": ["registry.alauda.io"], "resources": ["images"], "verbs": ["get"]}


def path(name: str) -> str:
    return object_path("rbac.authorization.k8s.io/v1", "clusterroles", name)


@pytest.fixture(scope="module")
def told(cluster: Cluster) -> Iterator[Cluster]:
    """An operator that was told of both roles, where only one of them is there and another release has it."""
    role = own({"metadata": {"name": PULLER}, "rules": [OLD]}, "legacy", "cpaas-system")
    cluster.client.create(path(PULLER).rpartition("/")[0], role)
    reconciler = cluster.reconciler
    reconciler.base = {**reconciler.base, "clusterRoles": {"leave": [PULLER, PUSHER]}}
    cluster.change(managementState="Managed", storage={"emptyDir": {}})
    cluster.settle()
    yield cluster
    for name in (PULLER, PUSHER):
        if cluster.client.find(path(name)) is not None:
            cluster.client.delete(path(name))


def released(cluster: Cluster) -> set[str]:
    """Names of the roles that the newest revision has."""
    newest = cluster.reconciler.operand.releases()[0]
    return {item["metadata"]["name"] for item in newest.objects() if item["kind"] == "ClusterRole"}


def rules(cluster: Cluster) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cluster.client.get(path(PULLER))["rules"]
    return found


def test_while_another_release_has_them_they_are_left(told: Cluster) -> None:
    assert not released(told) & {PULLER, PUSHER}
    assert rules(told) == [OLD]
    assert told.client.find(path(PUSHER)) is None


def test_a_role_that_is_left_to_nobody_is_named_with_its_cure(told: Cluster) -> None:
    assert told.said()[MISSING] == "True LeftToNobody"
    message = told.message(MISSING)
    assert message.startswith(f"ClusterRole {PUSHER} does not exist, and is not made, because the operator was told")
    assert f"--set 'operand.clusterRoles.leave={{{PULLER}}}'" in message
    assert "LeftToNobody" in told.events()
    told.client.create(path(PUSHER).rpartition("/")[0], {"metadata": {"name": PUSHER}})
    told.until(lambda: MISSING not in told.said(), "said no more")
    told.client.delete(path(PUSHER))
    told.change(managementState="Unmanaged")
    told.until(lambda: told.said()["Available"] == "True Unmanaged", "left alone")
    assert MISSING not in told.said(), "nobody looks after it then"
    told.change(managementState="Managed")
    told.until(lambda: MISSING in told.said(), "said again")
    told.settle()


def test_a_role_that_was_made_over_is_made_this_registrys_own_and_nobody_has_to_say_so(told: Cluster) -> None:
    told.client.replace(path(PULLER), own(told.client.get(path(PULLER)), RELEASE, NAMESPACE))
    told.until(lambda: PULLER in released(told), "made its own")
    told.settle()
    assert OLD not in rules(told)
    assert PUSHER not in released(told), "of that one the operator still knows only what it was told"


def test_from_then_on_it_is_looked_after_like_any_other(told: Cluster) -> None:
    told.client.delete(path(PULLER))
    told.reconciler._compared = None
    told.until(lambda: told.client.find(path(PULLER)) is not None, "made again")
    told.settle()
    assert owned_by(told.client.get(path(PULLER)), RELEASE, NAMESPACE)
    revision = told.revision()
    told.reconciler._compared = None
    told.settle()
    assert told.revision() == revision, "it comes to rest"


def test_whatever_becomes_of_its_marks_it_is_not_given_up(told: Cluster) -> None:
    """Left, it would be deleted by Helm, and nobody could pull by it."""
    told.client.replace(path(PULLER), own(told.client.get(path(PULLER)), "legacy", "cpaas-system"))
    uid, revision = told.client.get(path(PULLER))["metadata"]["uid"], told.revision()
    told.change(logLevel="Debug")
    told.settle()
    assert told.revision() > revision
    assert told.client.get(path(PULLER))["metadata"]["uid"] == uid
    assert PULLER in released(told)
