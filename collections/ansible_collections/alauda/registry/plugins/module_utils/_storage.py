# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the images lie, read from what the data plane runs with, so that it is true however the registry was installed.

Private to this collection.
"""

from __future__ import annotations

import traceback
from typing import Any

from ansible_collections.alauda.registry.plugins.module_utils import _objects, _retained
from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster, ClusterError
from ansible_collections.alauda.registry.plugins.module_utils._conditions import conditions
from ansible_collections.alauda.registry.plugins.module_utils._operator_objects import CONFIG

IMPORT_ERROR: str | None = None
try:
    from image_registry.kube import quantity
    from image_registry.relocating.settings import NoStorage, chosen, variables
except ImportError:
    IMPORT_ERROR = traceback.format_exc()

Document = dict[str, Any]
PREFIX = "REGISTRY_STORAGE_"
OBJECT_STORES = ("s3", "gcs", "azure", "swift")
OWN_CLAIM = "image-registry-storage"
ADDRESS = {
    "s3": ("bucket", "regionendpoint", "rootdirectory"),
    "gcs": ("bucket", "rootdirectory"),
    "azure": ("container", "accountname", "realm", "rootdirectory"),
    "swift": ("container", "authurl", "tenant", "tenantid", "domain", "domainid", "region", "rootdirectory"),
}
"""What tells a place from every other one, with what holds the images first."""


def facts(cluster: Cluster, namespace: str, release: str) -> Document:
    """Everything, for the result of a module; raises ClusterError."""
    deployment = cluster.find(f"{_objects.collection('apps/v1', 'deployments', namespace)}/image-registry")
    config = cluster.find(CONFIG.path) or {}
    found = _of_deployment(deployment) if deployment else _left(cluster, namespace)
    claim = _claim(cluster, namespace, found["name"]) if found["kind"] == "claim" else {}
    used, unread = _used(cluster, namespace, found["name"]) if claim else ({}, "")
    late = _pods_elsewhere(cluster, namespace, deployment) if deployment else []
    return {
        **found,
        "pods_elsewhere": [pod["name"] for pod in late],
        "late_pods": late,
        "claim": claim,
        "capacity_bytes": used.get("capacityBytes"),
        "used_bytes": used.get("usedBytes"),
        "free_bytes": used.get("availableBytes"),
        "unread": unread,
        "conditions": [item for kind, item in conditions(config).items() if kind == "StorageExists"],
        "lost_if_removed": list((config.get("status") or {}).get("ownedClaims") or []),
        "kept_if_uninstalled": [item.as_dict() for item in _retained.find(cluster, namespace, release)],
    }


def elsewhere(storage: Document, now: Document) -> bool:
    """Whether ``storage``, as ``config.storage`` has it, is another place than ``now``, which :func:`facts` has found.

    Who names a bucket means its whole address; who names none changes settings of the one that is.
    """
    named = {kind: value for kind, value in storage.items() if isinstance(value, dict)}
    if not named or not now["kind"]:
        return False
    if "emptyDir" in named:
        return bool(now["kind"] != "emptyDir")
    try:
        kind, given = chosen(named)
    except NoStorage as error:
        raise ClusterError(str(error)) from None
    if kind == "pvc":
        return (now["kind"], now["name"]) != ("claim", given.get("claim") or OWN_CLAIM)
    told = variables(named, credentials="")
    protocol = told["REGISTRY_STORAGE"]
    if protocol != now["kind"]:
        return True
    start = f"{PREFIX}{protocol}_".upper()
    wished = {name[len(start) :].lower(): value for name, value in told.items() if name.startswith(start)}
    whole = ADDRESS[protocol][0] in wished
    return any(
        wished.get(part, "").strip("/") != now["settings"].get(part, "").strip("/")
        for part in ADDRESS[protocol]
        if whole or part in wished
    )


def resized(storage: Document, now: Document) -> str:
    """Whether ``storage`` wants the claim of ``now`` to be ``larger``, ``smaller`` or as it is (``same``).

    Empty without a wish, for another place, and for a claim that is not there. Raises ClusterError for a size that is
    no quantity.
    """
    wished = (storage.get("pvc") or {}).get("size")
    has = (now.get("claim") or {}).get("requested")
    if not wished or not has or elsewhere(storage, now):
        return ""
    try:
        wanted, there = quantity.whole(wished), quantity.whole(has)
    except ValueError as error:
        raise ClusterError(f"storage.pvc.size: {error}") from None
    if wanted == there:
        return "same"
    return "larger" if wanted > there else "smaller"


def _of_deployment(deployment: Document) -> Document:
    pod = deployment["spec"]["template"]["spec"]
    told = {
        str(each["name"])[len(PREFIX) :].lower(): str(each.get("value", ""))
        for container in pod.get("containers") or []
        for each in container.get("env") or []
        if str(each.get("name", "")).startswith(PREFIX) and "value" in each
    }
    for kind in OBJECT_STORES:
        settings = {key[len(kind) + 1 :]: value for key, value in told.items() if key.startswith(f"{kind}_")}
        if settings:
            name = settings.get("bucket") or settings.get("container") or ""
            return {"kind": kind, "name": name, "settings": settings}
    for volume in pod.get("volumes") or []:
        if "persistentVolumeClaim" in volume:
            return {"kind": "claim", "name": volume["persistentVolumeClaim"]["claimName"], "settings": {}}
    return {"kind": "emptyDir", "name": "", "settings": {}}


def _pods_elsewhere(cluster: Cluster, namespace: str, deployment: Document) -> list[Document]:
    """Of a rollout that is not over yet; a Pod that ends may still take what it was begun to be sent."""
    labels = deployment["spec"]["selector"]["matchLabels"]
    pods = cluster.items(
        _objects.collection("v1", "pods", namespace),
        labelSelector=",".join(f"{key}={value}" for key, value in labels.items()),
    )
    now = _of_deployment(deployment)
    late = [
        pod
        for pod in pods
        if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
        and _of_deployment({"spec": {"template": pod}}) != now
    ]
    found = [_late(cluster, pod) for pod in late]
    return sorted(found, key=lambda pod: str(pod["name"]))


def _late(cluster: Cluster, pod: Document) -> Document:
    """Where the Pod is, as who wants to know why it does not end has to ask there."""
    node = str((pod.get("spec") or {}).get("nodeName") or "")
    ends = bool(pod["metadata"].get("deletionTimestamp"))
    return {"name": pod["metadata"]["name"], "node": node, "node_state": _node_state(cluster, node), "ends": ends}


def _node_state(cluster: Cluster, name: str) -> str:
    if not name:
        return ""
    try:
        node = cluster.find(f"/api/v1/nodes/{name}")
    except ClusterError:
        return ""  # who may not read nodes is told of the Pod all the same
    if node is None:
        return "gone"
    told = (node.get("status") or {}).get("conditions") or []
    ready = any(item.get("type") == "Ready" and item.get("status") == "True" for item in told)
    return "ready" if ready else "not ready"


def _left(cluster: Cluster, namespace: str) -> Document:
    """Of a registry that does not run: the claim that it has kept."""
    claims = _objects.collection("v1", "persistentvolumeclaims", namespace)
    there = cluster.find(f"{claims}/{OWN_CLAIM}") is not None
    return {"kind": "claim" if there else "", "name": OWN_CLAIM if there else "", "settings": {}}


def _claim(cluster: Cluster, namespace: str, name: str) -> Document:
    claim = cluster.find(f"{_objects.collection('v1', 'persistentvolumeclaims', namespace)}/{name}")
    if claim is None:
        return {"phase": "missing"}
    spec, status = claim.get("spec") or {}, claim.get("status") or {}
    volume = cluster.find(f"/api/v1/persistentvolumes/{spec['volumeName']}") if spec.get("volumeName") else None
    chosen = spec.get("storageClassName")
    kind = cluster.find(f"/apis/storage.k8s.io/v1/storageclasses/{chosen}") if chosen else None
    return {
        "phase": status.get("phase", ""),
        "storage_class": chosen or "",
        "requested": ((spec.get("resources") or {}).get("requests") or {}).get("storage", ""),
        "capacity": (status.get("capacity") or {}).get("storage", ""),
        "access_modes": spec.get("accessModes") or [],
        "volume": spec.get("volumeName", ""),
        "reclaim_policy": ((volume or {}).get("spec") or {}).get("persistentVolumeReclaimPolicy", ""),
        "expandable": bool((kind or {}).get("allowVolumeExpansion")),
    }


def _used(cluster: Cluster, namespace: str, claim: str) -> tuple[Document, str]:
    """What the node of a Pod that mounts the claim counts on it; else why that is not known."""
    for pod in cluster.items(_objects.collection("v1", "pods", namespace)):
        spec = pod.get("spec") or {}
        mounted = [(volume.get("persistentVolumeClaim") or {}).get("claimName") for volume in spec.get("volumes") or []]
        if claim not in mounted or not spec.get("nodeName"):
            continue
        try:
            summary = cluster.get(f"/api/v1/nodes/{spec['nodeName']}/proxy/stats/summary")
        except ClusterError as error:
            return {}, f"the node {spec['nodeName']} could not be asked: {error}"
        for entry in summary.get("pods") or []:
            for volume in entry.get("volume") or []:
                reference = volume.get("pvcRef") or {}
                if (reference.get("namespace"), reference.get("name")) == (namespace, claim):
                    return volume, ""
        return {}, f"the node {spec['nodeName']} counts nothing on the claim"
    return {}, "no Pod that runs mounts the claim"
