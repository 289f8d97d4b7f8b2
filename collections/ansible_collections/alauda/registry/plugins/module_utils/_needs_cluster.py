# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Needs of the registry that the cluster as a whole must meet: version, aggregation layer, nodes.

Private to this collection.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster, ClusterError
from ansible_collections.alauda.registry.plugins.module_utils._findings import Finding
from ansible_collections.alauda.registry.plugins.module_utils._versions import Version, satisfies
from ansible_collections.alauda.registry.plugins.module_utils._wanted import Wanted


def version(cluster: Cluster, wanted: Wanted) -> Iterator[Finding]:
    """Kubernetes is one that the chart is for."""
    said = str(cluster.get("/version").get("gitVersion", ""))
    found = Version.find(said)
    if found and wanted.kube_version and not satisfies(found, wanted.kube_version):
        yield Finding(
            "kubernetes-version",
            f"the cluster runs Kubernetes {said}, and the chart is for {wanted.kube_version}",
            "upgrade the cluster, or use a release of the chart that is for its version",
        )


def aggregation(cluster: Cluster, _wanted: Wanted) -> Iterator[Finding]:
    """The API server hands requests to aggregated APIs and says who may vouch for callers."""
    cure = (
        "start kube-apiserver with --requestheader-client-ca-file, --requestheader-allowed-names, "
        "--requestheader-username-headers, --proxy-client-cert-file and --proxy-client-key-file "
        "(managed clusters have them; see 'Configure the Aggregation Layer' in the Kubernetes documentation)"
    )
    if cluster.find("/apis/apiregistration.k8s.io/v1") is None:
        yield Finding("aggregation-layer", "the cluster has no aggregation layer (apiregistration.k8s.io/v1)", cure)
        return
    path = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
    try:
        data = (cluster.find(path) or {}).get("data") or {}
    except ClusterError as error:
        if not error.forbidden:
            raise
        return  # the permissions check names it
    if "BEGIN CERTIFICATE" not in str(data.get("requestheader-client-ca-file", "")):
        yield Finding(
            "aggregation-layer",
            "ConfigMap kube-system/extension-apiserver-authentication has no "
            "requestheader-client-ca-file, so the Image "
            "API could not know its callers",
            cure,
        )


def nodes(cluster: Cluster, wanted: Wanted, architectures: list[str]) -> Iterator[Finding]:
    """There are nodes for the Pods, of an architecture that the image is for, with a runtime that node trust knows."""
    try:
        every = cluster.items("/api/v1/nodes")
    except ClusterError as error:
        if not error.forbidden:
            raise
        yield Finding(
            "nodes", str(error), "or check yourself that nodes of the image's architecture are ready", "warning"
        )
        return
    ready = [node for node in every if _ready(node)]
    if not ready:
        yield Finding(
            "nodes",
            f"the cluster has {len(every)} nodes and none is ready and schedulable",
            "start or uncordon a node (kubectl get nodes says what each lacks)",
        )
        return
    foreign = sorted({_architecture(node) for node in ready} - set(architectures))
    if foreign and not [node for node in ready if _architecture(node) in architectures]:
        yield Finding(
            "architecture",
            f"every ready node is of architecture {', '.join(foreign)}, and the image is for "
            f"{', '.join(architectures)}",
            "build the image for it and say so in registry_architectures, or add nodes",
        )
    elif foreign:
        yield Finding(
            "architecture",
            f"some nodes are of architecture {', '.join(foreign)}, and the image is for {', '.join(architectures)}",
            "keep the Pods away from them: kubernetes.io/arch in config.nodeSelector, apiServer.nodeSelector, "
            "postgresql.nodeSelector and nodeCA.nodeSelector",
            "warning",
        )
    yield from _selectors(ready, wanted)
    yield from _runtimes(ready, wanted)


def _selectors(ready: list[dict[str, Any]], wanted: Wanted) -> Iterator[Finding]:
    """Each kind of Pod has a node that its node selector admits."""
    selectors = {
        "config.nodeSelector": wanted.value("config.nodeSelector"),
        "apiServer.nodeSelector": wanted.value("apiServer.nodeSelector"),
        "nodeCA.nodeSelector": wanted.value("nodeCA.nodeSelector") if wanted.value("nodeCA.enabled") else None,
    }
    if wanted.bundled_database is not None:
        selectors["postgresql.nodeSelector"] = wanted.value("postgresql.nodeSelector")
    for place, selector in selectors.items():
        if selector and not any(_matches(node, selector) for node in ready):
            pairs = ", ".join(f"{key}={value}" for key, value in selector.items())
            yield Finding(
                "nodes", f"no ready node has the labels of {place} ({pairs})", "label a node or change the value"
            )


def _runtimes(ready: list[dict[str, Any]], wanted: Wanted) -> Iterator[Finding]:
    """Node trust is written in the way that containerd reads."""
    if wanted.value("nodeCA.enabled"):
        runtimes = {str(node["status"].get("nodeInfo", {}).get("containerRuntimeVersion", "")) for node in ready}
        other = sorted(runtime for runtime in runtimes if runtime and not runtime.startswith("containerd://"))
        if other:
            yield Finding(
                "node-trust",
                f"nodes run {', '.join(other)}, and node trust is written for containerd",
                "make these nodes resolve and trust the registry by other means (ConfigMap image-registry-ca) and keep "
                "node-ca away from them with nodeCA.nodeSelector",
                "warning",
            )


def _ready(node: dict[str, Any]) -> bool:
    conditions = (node.get("status") or {}).get("conditions") or []
    good = any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)
    return good and not (node.get("spec") or {}).get("unschedulable")


def _architecture(node: dict[str, Any]) -> str:
    return str(node["status"].get("nodeInfo", {}).get("architecture", "unknown"))


def _matches(node: dict[str, Any], selector: dict[str, str]) -> bool:
    labels = node["metadata"].get("labels") or {}
    return all(labels.get(key) == value for key, value in selector.items())
