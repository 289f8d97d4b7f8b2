# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an uninstallation keeps, and its deletion: images, their names, keys and certificates.

Private to this collection. What an administrator made (a claim named in the values, a Secret without our label, an
external database) is never among it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.alauda.registry.plugins.module_utils import _objects
from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster

CLAIMS = {
    "image-registry-storage": "every image",
    "data-image-registry-db-0": "names and history of every image",
}
MADE_BY_CODE = "app.kubernetes.io/managed-by=image-registry-bootstrap"


@dataclass(frozen=True)
class Kept:
    """One object that outlives the release."""

    kind: str
    name: str
    holds: str
    path: str
    note: str = ""

    def as_dict(self) -> dict[str, str]:
        """For a module's result."""
        return asdict(self)


def find(cluster: Cluster, namespace: str, release: str) -> list[Kept]:
    """Everything that is kept, in the order of its deletion; raises ClusterError."""
    found: list[Kept] = []
    if cluster.find(f"/api/v1/namespaces/{namespace}") is None:
        return found
    claims = _objects.collection("v1", "persistentvolumeclaims", namespace)
    for claim in cluster.items(claims, labelSelector=f"app.kubernetes.io/instance={release}"):
        name = claim["metadata"]["name"]
        if name in CLAIMS:
            size = (claim.get("status") or {}).get("capacity", {}).get("storage", "")
            holds = f"{CLAIMS[name]} ({size})" if size else CLAIMS[name]
            found.append(Kept("PersistentVolumeClaim", name, holds, f"{claims}/{name}", _fate(cluster, claim)))
    for kind, resource in (("Secret", "secrets"), ("ConfigMap", "configmaps")):
        place = _objects.collection("v1", resource, namespace)
        for item in cluster.items(place, labelSelector=MADE_BY_CODE):
            name = item["metadata"]["name"]
            found.append(Kept(kind, name, "keys, certificates or passwords", f"{place}/{name}"))
    return found


def namespace_if_ours(cluster: Cluster, namespace: str) -> Kept | None:
    """The namespace itself, if this collection made it."""
    path = f"/api/v1/namespaces/{namespace}"
    item = cluster.find(path)
    if item is None or _objects.CREATED_BY not in (item["metadata"].get("annotations") or {}):
        return None
    return Kept("Namespace", namespace, "nothing else: this collection made it", path)


def in_use(cluster: Cluster, namespace: str) -> list[str]:
    """Pods that mount one of the claims."""
    return [
        str(pod["metadata"]["name"])
        for pod in cluster.items(_objects.collection("v1", "pods", namespace))
        if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
        and any(
            (volume.get("persistentVolumeClaim") or {}).get("claimName") in CLAIMS
            for volume in (pod.get("spec") or {}).get("volumes") or []
        )
    ]


def delete(cluster: Cluster, kept: list[Kept], timeout: float) -> list[str]:
    """Delete; returns the paths that still are there after ``timeout`` seconds."""
    for item in kept:
        cluster.delete(item.path)
    return [item.path for item in kept if not cluster.wait_for_absence(item.path, timeout)]


def _fate(cluster: Cluster, claim: dict[str, Any]) -> str:
    """What becomes of the bytes when the claim goes."""
    name = (claim.get("spec") or {}).get("volumeName")
    if not name:
        return "no volume was ever bound to it"
    volume = cluster.find(f"/api/v1/persistentvolumes/{name}")
    policy = ((volume or {}).get("spec") or {}).get("persistentVolumeReclaimPolicy")
    if policy == "Delete":
        return f"volume {name} and its bytes go with it"
    return f"volume {name} stays (reclaim policy {policy or 'unknown'}): its bytes are yours to delete"
