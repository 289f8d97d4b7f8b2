# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts of an installation, read from the release and from the objects that run.

Private to this collection.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from ansible_collections.alauda.registry.plugins.module_utils import _objects, _readiness
from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster
from ansible_collections.alauda.registry.plugins.module_utils._findings import errors
from ansible_collections.alauda.registry.plugins.module_utils._helm import Helm
from ansible_collections.alauda.registry.plugins.module_utils._operator_objects import CONFIG
from ansible_collections.alauda.registry.plugins.module_utils._release import in_use_for, last_working, record

CLAIMS = "persistentvolumeclaims"

NODES = "image-registry-nodes"
"""The ConfigMap in which every node says whether it trusts the registry."""


def facts(cluster: Cluster, helm: Helm) -> dict[str, Any]:
    """Everything, for the result of a module; raises ClusterError, HelmError."""
    current = helm.status()
    chart = helm.chart_of() if current else {}
    view = _readiness.look(cluster, helm.namespace, helm.release)
    problems = _readiness.problems(view) if current else []
    workloads = [_readiness.counted(item) for item in view.workloads]
    deployed = current is not None and current["info"]["status"] == "deployed"
    config = cluster.find(CONFIG.path) or {}
    operator = _operator(cluster, helm.namespace)
    return {
        "installed": current is not None,
        "method": _method(current, config, operator),
        "config": {part: config[part] for part in ("spec", "status") if part in config},
        "operator": operator,
        "ready": deployed and not errors(problems),
        "release": _release(current),
        "versions": {
            "chart": str(chart.get("version", "")),
            "app": str(chart.get("appVersion", "")),
            "kubernetes": str(cluster.get("/version").get("gitVersion", "")),
        },
        "values": _values(helm, current),
        "workloads": workloads,
        "storage": _storage(view),
        "database": _database(view),
        "hostnames": _hostnames(cluster, helm),
        "api_service": _api_service(view),
        "node_trust": _node_trust(cluster, helm.namespace, workloads),
        "images": _images(view),
        "certificate_authority": certificate_authority(cluster, helm.namespace),
        "problems": [problem.as_dict() for problem in problems],
    }


def _values(helm: Helm, current: dict[str, Any] | None) -> dict[str, Any]:
    """Of what the registry runs with: a revision of a run that died is taken back before anything else is done."""
    if current is None:
        return {}
    died = str(current["info"]["status"]).startswith("pending-")
    return helm.values((last_working(helm) or None) if died else None)


def _operator(cluster: Cluster, namespace: str) -> dict[str, Any]:
    found = cluster.find(f"{_objects.collection('apps/v1', 'deployments', namespace)}/cluster-image-registry-operator")
    if found is None:
        return {}
    labels = found["metadata"].get("labels") or {}
    container, *_more = found["spec"]["template"]["spec"]["containers"]
    return {
        "image": container["image"],
        "desired": found["spec"].get("replicas", 1),
        "ready": (found.get("status") or {}).get("readyReplicas", 0),
        "by": "olm" if "olm.owner" in labels else "helm",
    }


def _method(release: dict[str, Any] | None, config: dict[str, Any], operator: dict[str, Any]) -> str:
    if config and (operator or (config.get("spec") or {}).get("managementState") != "Unmanaged"):
        return "olm" if operator.get("by") == "olm" else "operator"
    return "helm" if release is not None else ""


def certificate_authority(cluster: Cluster, namespace: str) -> str:
    """The certificates that clients of the registry trust."""
    found = cluster.find(f"{_objects.collection('v1', 'configmaps', namespace)}/image-registry-ca") or {}
    return str((found.get("data") or {}).get("ca-bundle.crt", ""))


def _release(current: dict[str, Any] | None) -> dict[str, Any]:
    if current is None:
        return {}
    return {
        "name": current["name"],
        "namespace": current["namespace"],
        "revision": int(current["version"]),
        "status": current["info"]["status"],
        "updated": current["info"].get("last_deployed", ""),
        "record": record(current["name"], current),
        "in_use_for": math.ceil(in_use_for(current)),
    }


def _claim(view: _readiness.View, name: str) -> dict[str, Any]:
    for claim in view.claims:
        if claim["metadata"]["name"] == name:
            spec, status = claim.get("spec") or {}, claim.get("status") or {}
            return {
                "name": name,
                "phase": status.get("phase", ""),
                "storage_class": spec.get("storageClassName", ""),
                "size": (status.get("capacity") or {}).get("storage", "") or spec["resources"]["requests"]["storage"],
                "access_modes": spec.get("accessModes") or [],
                "volume": spec.get("volumeName", ""),
            }
    return {"name": name, "phase": "missing"}


def _storage(view: _readiness.View) -> dict[str, Any]:
    found: list[dict[str, Any]] = []
    for item in view.workloads:
        if (item["kind"], item["metadata"]["name"]) == ("Deployment", "image-registry"):
            found = item["spec"]["template"]["spec"].get("volumes") or []
    for volume in found:
        if "persistentVolumeClaim" in volume:
            return {"kind": "claim", **_claim(view, volume["persistentVolumeClaim"]["claimName"])}
    if found:
        return {"kind": "emptyDir"}
    kept = _claim(view, "image-registry-storage")
    return {"kind": "claim", **kept} if kept["phase"] != "missing" else {}


def _database(view: _readiness.View) -> dict[str, Any]:
    for item in view.workloads:
        if (item["kind"], item["metadata"]["name"]) == ("StatefulSet", "image-registry-db"):
            if not item["spec"].get("volumeClaimTemplates"):
                return {"kind": "bundled", "claim": "", "phase": "emptyDir"}
            claim = _claim(view, "data-image-registry-db-0")
            return {"kind": "bundled", "claim": claim.pop("name"), **claim}
    kept = _claim(view, "data-image-registry-db-0")
    if kept["phase"] != "missing":
        return {"kind": "kept", "claim": kept.pop("name"), **kept}
    return {"kind": "external"} if view.workloads else {}


def _hostnames(cluster: Cluster, helm: Helm) -> dict[str, Any]:
    service = cluster.find(f"{_objects.collection('v1', 'services', helm.namespace)}/image-registry")
    ingresses = cluster.items(
        _objects.collection("networking.k8s.io/v1", "ingresses", helm.namespace),
        labelSelector=f"app.kubernetes.io/instance={helm.release}",
    )
    hosts = {
        str(rule["host"])
        for item in ingresses
        for rule in (item.get("spec") or {}).get("rules") or []
        if rule.get("host")
    }
    return {
        "internal": f"image-registry.{helm.namespace}.svc:5000" if service else "",
        "cluster_ip": ((service or {}).get("spec") or {}).get("clusterIP", ""),
        "external": sorted(hosts),
    }


def _api_service(view: _readiness.View) -> dict[str, Any]:
    why = _readiness.unavailable(view.api_service)
    return {"name": "v1.image.alauda.io", "available": not why, "reason": why}


def _node_trust(cluster: Cluster, namespace: str, workloads: list[dict[str, Any]]) -> dict[str, Any]:
    for item in workloads:
        if (item["kind"], item["name"]) == ("DaemonSet", "node-ca"):
            told = cluster.find(f"{_objects.collection('v1', 'configmaps', namespace)}/{NODES}") or {}
            bad = list(_untrusting(told.get("data") or {}))
            return {"enabled": True, "nodes": item["desired"], "ready": item["ready"], "untrusting": bad}
    return {"enabled": False, "nodes": 0, "ready": 0, "untrusting": []}


def _untrusting(said: dict[str, str]) -> Iterator[dict[str, str]]:
    """Nodes that say of themselves that something is wrong."""
    for node, text in sorted(said.items()):
        try:
            found = json.loads(text)
            state, message = str(found["state"]), str(found["message"])
        except (ValueError, KeyError, TypeError):
            state, message = "Unreadable", f"what it says in ConfigMap {NODES} can not be read"
        if state != "Trusted":
            yield {"node": node, "state": state, "message": message}


def _images(view: _readiness.View) -> list[dict[str, Any]]:
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for pod in view.pods:
        labels = pod["metadata"].get("labels") or {}
        for status in (pod.get("status") or {}).get("containerStatuses") or []:
            key = (str(labels.get("app.kubernetes.io/name", "")), str(status["name"]), str(status.get("image", "")))
            found[key] = {
                "workload": key[0],
                "container": key[1],
                "image": key[2],
                "image_id": status.get("imageID", ""),
            }
    return [found[key] for key in sorted(found)]
