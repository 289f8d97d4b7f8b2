# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Needs of the registry's storage: claims, their classes, and how many nodes may mount them at once.

Private to this collection.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster
from ansible_collections.alauda.registry.plugins.module_utils._findings import Finding
from ansible_collections.alauda.registry.plugins.module_utils._wanted import Wanted

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"

ONE_NODE = (
    "rancher.io/local-path",
    "kubernetes.io/no-provisioner",
    "topolvm.io",
    "topolvm.cybozu.com",
    "local.csi.openebs.io",
)
"""Provisioners whose volumes exist on one node only, whatever a claim asks for."""

KEYS = ("host", "port", "database", "username", "password", "sslmode")
"""What the Secret of an external database must have."""


def replicas(_cluster: Cluster, wanted: Wanted) -> Iterator[Finding]:
    """Two Pods need a volume that two nodes can mount."""
    count, claim = wanted.value("config.replicas", 1), wanted.claim
    mode = (claim or {}).get("accessMode", "ReadWriteOnce")
    if claim is not None and isinstance(count, int) and count > 1 and mode != "ReadWriteMany":
        yield Finding(
            "access-mode",
            f"config.replicas is {count}, and the storage is {mode}, which one node can mount",
            "set config.replicas to 1, or use a StorageClass for many nodes with config.storage.pvc.accessMode "
            "ReadWriteMany",
        )


def claims(cluster: Cluster, wanted: Wanted) -> Iterator[Finding]:
    """The claims that are named exist and fit; those that will be made have a class that can make them."""
    claim, database = wanted.claim, wanted.bundled_database
    needs: list[tuple[str, str, str]] = []
    if claim is not None:
        name = claim.get("claim") or "image-registry-storage"
        found = cluster.find(f"/api/v1/namespaces/{wanted.namespace}/persistentvolumeclaims/{name}")
        if found is not None:
            yield from _existing(found, claim)
        elif claim.get("claim"):
            yield Finding(
                "claim",
                f"config.storage.pvc.claim names {name}, and namespace {wanted.namespace} has no such claim",
                "make the claim first, or leave the name empty to have one made",
            )
        else:
            needs.append(
                ("config.storage.pvc.storageClassName", claim.get("storageClassName", ""), claim.get("accessMode", ""))
            )
    if database is not None and not isinstance(database.get("emptyDir"), dict):
        path = f"/api/v1/namespaces/{wanted.namespace}/persistentvolumeclaims/data-image-registry-db-0"
        if cluster.find(path) is None:
            key = "config.metadata.postgresql.managed.storageClassName"
            needs.append((key, database.get("storageClassName", ""), "ReadWriteOnce"))
    if needs:
        yield from _classes(cluster.items("/apis/storage.k8s.io/v1/storageclasses"), needs)


def database(cluster: Cluster, wanted: Wanted) -> Iterator[Finding]:
    """The Secret of an external database is there and complete."""
    name = wanted.value("config.metadata.postgresql.secretName")
    if wanted.bundled_database is not None or not name:
        return
    secret = cluster.find(f"/api/v1/namespaces/{wanted.namespace}/secrets/{name}")
    if secret is None:
        yield Finding(
            "database",
            f"config.metadata.postgresql.secretName names {name}, and namespace {wanted.namespace} has no such Secret",
            f"make it with the keys {', '.join(KEYS)} and, for a private CA, ca.crt",
        )
        return
    missing = [key for key in KEYS if not (secret.get("data") or {}).get(key)]
    if missing:
        yield Finding(
            "database", f"Secret {name} of the external database lacks {', '.join(missing)}", "add the missing keys"
        )


def _existing(found: dict[str, Any], claim: dict[str, Any]) -> Iterator[Finding]:
    name, spec = found["metadata"]["name"], found.get("spec") or {}
    modes, mode = spec.get("accessModes") or [], claim.get("accessMode", "")
    if mode and mode not in modes:
        yield Finding(
            "access-mode",
            f"claim {name} is {' and '.join(modes)}, and config.storage.pvc.accessMode is {mode}",
            f"set config.storage.pvc.accessMode to {modes[0] if modes else 'what it is'}, or make a "
            "new claim, copy the "
            "data and name it in config.storage.pvc.claim",
        )
    phase = (found.get("status") or {}).get("phase")
    if phase == "Lost":
        yield Finding(
            "claim",
            f"claim {name} has lost its volume {spec.get('volumeName', '')}",
            "restore the volume, or make a new claim",
        )
    if found["metadata"].get("deletionTimestamp"):
        yield Finding("claim", f"claim {name} is being deleted", "wait until it is gone, or restore it from its volume")
    wished = claim.get("storageClassName")
    if wished and not claim.get("claim") and spec.get("storageClassName") not in (None, wished):
        yield Finding(
            "storage-class",
            f"claim {name} has the StorageClass {spec.get('storageClassName')}, which can not be changed to {wished}",
            "leave config.storage.pvc.storageClassName empty, or make a new claim, copy the data and name it in "
            "config.storage.pvc.claim",
        )


def _classes(classes: list[dict[str, Any]], needs: list[tuple[str, str, str]]) -> Iterator[Finding]:
    names = sorted(item["metadata"]["name"] for item in classes)
    there = f"the cluster has {', '.join(names)}" if names else "the cluster has none at all"
    default = [item for item in classes if ((item["metadata"].get("annotations") or {}).get(DEFAULT_CLASS)) == "true"]
    unnamed = [key for key, name, _mode in needs if not name]
    if unnamed and not default:
        yield Finding(
            "storage-class",
            f"there is no default StorageClass and {' and '.join(unnamed)} "
            f"{'is' if len(unnamed) == 1 else 'are'} empty "
            f"({there})",
            f"name a class there, or make one the default (kubectl annotate storageclass NAME {DEFAULT_CLASS}=true)"
            if names
            else "install a storage driver with a StorageClass",
        )
    for key, name, mode in needs:
        chosen = [item for item in classes if item["metadata"]["name"] == name] if name else default[-1:]
        if name and not chosen:
            yield Finding("storage-class", f"{key} names {name}, and {there}", "name one that exists, or make it")
        for item in chosen:
            if mode == "ReadWriteMany" and item.get("provisioner") in ONE_NODE:
                yield Finding(
                    "access-mode",
                    f"StorageClass {item['metadata']['name']} ({item['provisioner']}) makes volumes of one node, and "
                    "config.storage.pvc.accessMode is ReadWriteMany",
                    "name a class of a shared file system, or use ReadWriteOnce with one replica",
                )
