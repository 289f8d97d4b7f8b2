# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Objects of the chart that no release owns: those of hooks that failed, or all of them when the record is lost.

Private to this collection. Claims and Secrets are never among them.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.alauda.registry.plugins.module_utils import _objects
from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster

NAMESPACED = (
    ("batch/v1", "cronjobs"),
    ("batch/v1", "jobs"),
    ("apps/v1", "daemonsets"),
    ("apps/v1", "deployments"),
    ("apps/v1", "statefulsets"),
    ("v1", "pods"),
    ("networking.k8s.io/v1", "ingresses"),
    ("v1", "services"),
    ("networking.k8s.io/v1", "networkpolicies"),
    ("policy/v1", "poddisruptionbudgets"),
    ("rbac.authorization.k8s.io/v1", "rolebindings"),
    ("rbac.authorization.k8s.io/v1", "roles"),
    ("v1", "configmaps"),
    ("v1", "serviceaccounts"),
)
CLUSTER_WIDE = (
    ("rbac.authorization.k8s.io/v1", "clusterrolebindings"),
    ("rbac.authorization.k8s.io/v1", "clusterroles"),
)


def remnants(cluster: Cluster, namespace: str, release: str, *, hooks_only: bool = False) -> list[str]:
    """Their paths, in the order of deletion; beside a living release ask for those of hooks alone."""
    selector = f"app.kubernetes.io/part-of=image-registry,app.kubernetes.io/instance={release}"
    found: list[str] = []
    service = cluster.find(_objects.PATH_OF_APISERVICE)
    backend = ((service or {}).get("spec") or {}).get("service") or {}
    if _of_release(service, namespace, release) and backend.get("namespace") == namespace and not hooks_only:
        found.append(_objects.PATH_OF_APISERVICE)  # first: without its servers it stops every namespace's deletion
    places = [_objects.collection(version, resource, namespace) for version, resource in NAMESPACED]
    elsewhere = [_objects.collection(version, resource) for version, resource in CLUSTER_WIDE]
    elsewhere.append(_objects.collection("rbac.authorization.k8s.io/v1", "rolebindings", "kube-system"))
    for place in [*places, *elsewhere]:
        for item in cluster.items(place, labelSelector=selector):
            ours = place in places or _objects.owner(item) == (release, namespace) or _named_after(item, namespace)
            if ours and (_objects.is_hook(item) or not hooks_only):
                found.append(f"{place}/{item['metadata']['name']}")
    return found


def delete_remnants(cluster: Cluster, namespace: str, release: str, *, hooks_only: bool = False) -> list[str]:
    """Delete them; returns the paths."""
    found = remnants(cluster, namespace, release, hooks_only=hooks_only)
    return [path for path in found if cluster.delete(path)]


def _of_release(service: dict[str, Any] | None, namespace: str, release: str) -> bool:
    """Whether the APIService is this release's; the operator's release shares the namespace and has none."""
    if service is None:
        return False
    labels = (service.get("metadata") or {}).get("labels") or {}
    return (_objects.owner(service) or (labels.get("app.kubernetes.io/instance", release), namespace))[0] == release


def _named_after(item: dict[str, object], namespace: str) -> bool:
    """Hooks have no owner; what they make for the whole cluster begins with the namespace."""
    return _objects.name(item).startswith(f"{namespace}:")
