"""While a migration is under way nobody works against it; who looks is not stopped, and who means it names it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from ansible_collections.alauda.registry.plugins.module_utils import _under_migration
from ansible_collections.alauda.registry.plugins.modules import (
    image_prune,
    image_pruner,
    registry_config,
    registry_data,
    registry_gc,
    registry_info,
    registry_object,
    registry_release,
    registry_restore,
    registry_route,
    registry_storage_copy,
    registry_subscription,
)

from image_registry.migration import holding, under_way
from tests.collection.conftest import NAMESPACE, FakeCluster, FakeHelm, Run
from tests.collection.test_documents import COLLECTION

if TYPE_CHECKING:
    from types import ModuleType

LEASES = "/apis/coordination.k8s.io/v1/namespaces/{}/leases"
DIGEST = f"sha256:{'7' * 64}"
WRITERS: list[tuple[ModuleType, dict[str, Any]]] = [
    (image_prune, {"confirm": True}),
    (image_pruner, {"spec": {"suspend": False}}),
    (registry_config, {"spec": {"logLevel": "Debug"}}),
    (registry_config, {"state": "absent"}),
    (registry_data, {"confirm": NAMESPACE}),
    (registry_gc, {"confirm": True}),
    (registry_gc, {"confirm": True, "task": "scrub"}),
    (registry_gc, {"confirm": True, "registry_url": "https://127.0.0.1:9", "token": "anybody"}),
    (registry_object, {"name": "image-registry-private-configuration-user", "data": {"key": "value"}}),
    (registry_object, {"name": "public-tls", "state": "absent"}),
    (registry_release, {"state": "absent"}),
    (registry_release, {"chart_ref": "/nowhere"}),
    (registry_restore, {"folder": "/nowhere", "registry_url": "https://127.0.0.1:9"}),
    (registry_route, {"name": "public", "hostname": "registry.example.com"}),
    (registry_route, {"name": "public", "state": "absent"}),
    (registry_storage_copy, {"state": "absent"}),
    (registry_subscription, {"catalog": "ours"}),
]


def migrating(cluster: FakeCluster, namespace: str = "cpaas-system", plan: str = DIGEST) -> None:
    marks = {holding.PLAN: plan, holding.OWNER: "ann@desk"} if plan else {}
    spec = {"holderIdentity": "journal-1", "acquireTime": "2026-11-20T08:00:00.000000Z"}
    path = f"{LEASES.format(namespace)}/{holding.NAME}"
    lease = {"metadata": {"name": holding.NAME, "namespace": namespace, "annotations": marks}, "spec": spec}
    # a named fake of a server keeps objects by path: the list over all namespaces has its own
    cluster.put(path, lease)
    cluster.put(f"/apis/coordination.k8s.io/v1/leases/{holding.NAME}", lease)


def ended(cluster: FakeCluster) -> None:
    for path in [path for path in cluster.objects if path.endswith(holding.NAME)]:
        del cluster.objects[path]


def test_the_lease_is_the_one_that_the_engine_writes() -> None:
    for name in ("NAME", "GROUP_VERSION", "PLAN", "OWNER", "PROCESS"):
        assert getattr(_under_migration, name) == getattr(holding, name)


@pytest.mark.parametrize("plan", [DIGEST, ""])
@pytest.mark.parametrize("accepted", ["", "another"])
def test_modules_and_the_command_refuse_by_one_rule(plan: str, accepted: str) -> None:
    marks = {holding.PLAN: plan, holding.OWNER: "ann@desk", holding.PROCESS: "desk/7"} if plan else {}
    metadata = {"name": holding.NAME, "namespace": "cpaas-system", "annotations": marks}
    metadata |= {"managedFields": [{"manager": "kubectl"}], "creationTimestamp": "2026-11-19T07:00:00Z"}
    spec = {
        "holderIdentity": "journal-1",
        "acquireTime": "2026-11-20T08:00:00.000000Z",
        "renewTime": "2026-11-20T09:00:00Z",
    }
    lease = {"metadata": metadata, "spec": spec}
    said = _under_migration.told(lease, accepted)
    how = said[said.index("accept_migration names" if accepted else "If this is meant") :]
    assert under_way.name_of(lease) == _under_migration.name_of(lease)
    assert said == under_way.refusal(lease, how, go_on=_under_migration.GO_ON, take_back=_under_migration.TAKE_BACK)


@pytest.mark.parametrize(("module", "arguments"), WRITERS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_what_a_migration_could_not_take_back_is_refused_by_name(
    run: Run, cluster: FakeCluster, module: ModuleType, arguments: dict[str, Any]
) -> None:
    migrating(cluster)
    before = dict(cluster.objects)
    for check in (True, False):
        for more in ({}, {"accept_migration": "sha256:another"}):
            refused = run(module, check=check, **arguments, **more)
            assert refused.failed
            assert f"plan {DIGEST}, begun by ann@desk at 2026-11-20" in refused.message
            assert f"Lease cpaas-system/{holding.NAME}" in refused.message
            assert "playbooks/rollback.yml" in refused.message
            assert f"accept_migration={DIGEST}" in refused.message
            assert cluster.objects == before
    accepted = run(module, check=True, accept_migration=DIGEST, **arguments)
    assert "a migration of this cluster" not in (accepted.message or "")
    ended(cluster)
    assert "a migration of this cluster" not in (run(module, check=True, **arguments).message or "")


def test_who_looks_is_not_stopped(run: Run, cluster: FakeCluster, fake_helm: FakeHelm) -> None:
    migrating(cluster)
    assert not run(registry_info, helm_binary=fake_helm.binary).failed
    assert not run(registry_data, helm_binary=fake_helm.binary).failed
    for module in (image_prune, registry_gc):
        assert "a migration" not in run(module).message


def test_a_migration_whose_lease_names_no_plan_is_not_accepted_by_saying_nothing(
    run: Run, cluster: FakeCluster
) -> None:
    migrating(cluster, namespace="elsewhere", plan="")
    refused = run(registry_storage_copy, state="absent")
    assert f"Lease elsewhere/{holding.NAME}" in refused.message
    assert "accept_migration=journal-1" in refused.message
    assert not run(registry_storage_copy, state="absent", accept_migration="journal-1").failed
    migrating(cluster)
    both = run(registry_storage_copy, state="absent", accept_migration="journal-1")
    assert f"Lease cpaas-system/{holding.NAME}" in both.message, "to accept one is not to accept another"


def test_every_role_lets_the_migration_be_named() -> None:
    writers = {f"alauda.registry.{module.__name__.rpartition('.')[2]}" for module, _ in WRITERS}
    tasks: list[dict[str, Any]] = []

    def walk(found: list[dict[str, Any]]) -> None:
        for task in found:
            for part in ("block", "rescue", "always"):
                walk(task.get(part, []))
            tasks.append(task)

    for path in COLLECTION.glob("roles/*/tasks/*.yml"):
        walk(yaml.safe_load(path.read_text(encoding="utf-8")) or [])
    written = [(name, task[name]) for task in tasks for name in writers & task.keys()]
    assert len(written) > 15
    for name, arguments in written:
        if (arguments or {}).get("task") != "verify":
            assert arguments["accept_migration"] == "{{ registry_accept_migration }}", name
