"""What is found of a legacy registry, in every variant, and what happens where something may not be read."""

from __future__ import annotations

import json

import pytest

from image_registry.migration.discovery import Question, WrongNamespace, discover
from image_registry.migration.documents import InvalidDocument, from_document, to_document
from image_registry.migration.facts import Inventory, ObjectName
from image_registry_lab.legacy.variants import HOST, VARIANTS, Variant
from tests.app.migration.conftest import cluster_of, inventory_of


def test_every_variant_is_found_with_its_generation_and_its_storage(variant: Variant) -> None:
    inventory = inventory_of(cluster_of(variant))
    [found] = inventory.installations
    assert (found.name, found.runs) == (variant.name, not variant.partial)
    assert found.storage is not None
    kind = {"pvc": "pvc", "local": "hostPath", "s3": "s3"}[variant.storage]
    assert found.storage.kind == kind
    assert found.storage.source
    assert {service.role for service in found.services} >= {"registry"}
    assert HOST in inventory.external_hosts
    assert {variant.service_host, f"{variant.name}.cpaas-system.svc.cluster.local", "10.0.0.80"} <= set(inventory.hosts)
    assert not inventory.unread
    if variant.partial:
        assert {"Deployment", "configuration", "install record"} <= set(found.missing)
    else:
        assert not found.missing


def test_a_volume_is_known_as_far_as_another_claim_could_be_bound_to_it() -> None:
    [found] = inventory_of(cluster_of(VARIANTS["4.2-pvc"])).installations
    assert found.storage is not None
    assert found.storage.volume is not None
    assert found.storage.claim == ObjectName("PersistentVolumeClaim", "image-registry", "cpaas-system")
    assert found.storage.volume.attributes == {
        "driver": "nfs.csi.k8s.io",
        "volumeHandle": "h",
        "server": "nfs.test",
        "share": "/s",
    }
    assert (found.storage.volume.reclaim_policy, found.storage.size) == ("Delete", 10 << 30)


def test_a_bucket_is_known_by_what_runs_and_its_credentials_by_their_names_alone() -> None:
    [found] = inventory_of(cluster_of(VARIANTS["4.2-s3"])).installations
    storage = found.storage
    assert storage is not None
    assert (storage.bucket, storage.endpoint, storage.skip_verify) == ("images", "https://minio.example.com:9000", True)
    assert storage.secret_keys == ("access-key-id", "secret-access-key")
    assert not storage.secret_missing
    assert len(storage.fingerprint) == 16


def test_no_value_of_a_secret_is_carried(variant: Variant) -> None:
    said = json.dumps(to_document(inventory_of(cluster_of(variant))))
    for secret in ("legacy-access", "legacy-secret-key", "short-lived", "by-hand:", "not-a-secret", "nobody documents"):
        assert secret not in said
    for encoded in ("bGVnYWN5", "PHRva2VuPj", "cm9ib3Q6"):
        assert encoded not in said


def test_the_global_cluster_is_not_needed() -> None:
    cluster = cluster_of(VARIANTS["4.2-pvc"])
    alone = inventory_of(cluster, beyond=False)
    assert not alone.global_cluster
    assert {record.object.kind for record in alone.installations[0].records} == {"ClusterPluginInstance", "AppRelease"}
    both = inventory_of(cluster)
    assert both.global_cluster
    assert {record.cluster for record in both.installations[0].records} == {"workload", "global"}


def test_consumers_are_found_place_by_place_and_no_others() -> None:
    inventory = inventory_of(cluster_of(VARIANTS["4.2-pvc"]))
    found = {f"{entry.object.kind} {entry.object.name}": entry for entry in inventory.consumers}
    assert set(found) == {"Deployment web", "Deployment api", "CronJob report", "Build app"}
    assert found["Deployment web"].uses[0].pointer == "/spec/template/spec/containers/0/image"
    assert found["Build app"].uses[0].pointer == "/spec/output/image"
    assert found["Deployment api"].kept_by == "Helm (api)"
    assert found["Deployment api"].pull_secrets == ("by-hand",)


def test_pull_secrets_say_hosts_and_users_of_them() -> None:
    secrets = {entry.object.name: entry for entry in inventory_of(cluster_of(VARIANTS["4.2-pvc"])).pull_secrets}
    assert secrets["by-hand"].hosts == (HOST,)
    assert secrets["by-hand"].other_hosts == 1
    assert not secrets["by-hand"].managed
    assert secrets["dockercfg-team-a-x7k2p"].managed
    assert secrets["dockercfg-team-a-x7k2p"].used_by == ("ServiceAccount team-a/default",)


def test_rights_limits_and_jobs_are_found() -> None:
    inventory = inventory_of(cluster_of(VARIANTS["4.2-pvc"]))
    roles = {entry.object.name: entry for entry in inventory.roles}
    assert roles["system:image-puller"].owner == "cpaas-system/image-registry"
    assert roles["image-cleaner"].rules[0].verbs == ("delete", "get")
    assert {entry.object.name for entry in inventory.bindings} == {
        "default-sa-image-puller-rolebinding", "builder-pushes", "team-b-pulls",
    }  # fmt: skip
    [limit] = inventory.limits
    assert (limit.max_image_size, limit.tag_count_limit, len(limit.rules)) == ("1GB", "1000", 2)
    [cleanup] = inventory.cleanups
    assert "--keep-tag-revisions=5" in cleanup.arguments
    assert inventory.controller is not None


@pytest.mark.parametrize(
    ("denied", "what"),
    [
        ("list secrets", "pull secrets"),
        ("list pods", "consumers: pods"),
        ("get persistentvolumes", "persistent volume"),
        ("list clusterroles", "roles"),
        ("get clusterplugininstances", "install records"),
        ("list namespaces", "namespaces"),
    ],
)
def test_a_right_that_is_missing_is_named_and_stops_nothing_else(denied: str, what: str) -> None:
    cluster = cluster_of(VARIANTS["4.2-pvc"])
    cluster.denied.add(denied)
    inventory = inventory_of(cluster)
    entry = inventory.could_not_read(what)
    assert entry is not None
    assert entry.right.startswith(denied)
    assert inventory.installations[0].runs
    assert inventory.limits


@pytest.mark.parametrize("name", ["4.2-pvc", "4.2-s3"])
def test_no_failing_read_stops_the_rest(name: str) -> None:
    variant = VARIANTS[name]
    whole = cluster_of(variant)
    resources = {path.split("/")[-2] for path in whole.documents} | {"pods", "jobs", "replicasets"}
    for resource in sorted(resources):
        cluster = cluster_of(variant)
        cluster.broken.add(resource)
        inventory = inventory_of(cluster)
        if resource not in {"customresourcedefinitions", "nodes", "persistentvolumes"}:  # not always of interest
            assert inventory.unread, resource


def test_with_no_right_at_all_everything_is_named() -> None:
    cluster = cluster_of(VARIANTS["4.2-pvc"])
    cluster.denied = {f"{verb} {path.split('/')[-2]}" for path in cluster.documents for verb in ("get", "list")}
    inventory = inventory_of(cluster)
    assert not inventory.installations
    assert all(entry.right for entry in inventory.unread)


def test_nothing_is_written(variant: Variant) -> None:
    cluster = cluster_of(variant)
    inventory_of(cluster)
    assert cluster.written == []


def test_the_platforms_own_registry_is_not_looked_at() -> None:
    with pytest.raises(WrongNamespace, match="is not migrated"):
        discover(cluster_of(VARIANTS["4.2-pvc"]), Question(namespace="kube-system"))


def test_an_inventory_survives_as_a_document(variant: Variant) -> None:
    inventory = inventory_of(cluster_of(variant))
    document = json.loads(json.dumps(to_document(inventory)))
    assert from_document(Inventory, document) == inventory


def test_a_document_of_another_version_is_refused() -> None:
    document = to_document(inventory_of(cluster_of(VARIANTS["4.2-pvc"])))
    with pytest.raises(InvalidDocument, match="'later'"):
        from_document(Inventory, {**document, "later": 1})
    del document["target"]
    with pytest.raises(InvalidDocument, match="no 'target'"):
        from_document(Inventory, document)


def test_workloads_that_name_a_generation_that_is_gone_are_still_found() -> None:
    cluster = cluster_of(VARIANTS["4.2-pvc"])
    spec = {"containers": [{"name": "old", "image": "internal-docker-registry.cpaas-system.svc/team-a/app:v1"}]}
    cluster.put({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "old", "namespace": "team-a"}, "spec": spec})
    assert "old" in {entry.object.name for entry in inventory_of(cluster).consumers}
