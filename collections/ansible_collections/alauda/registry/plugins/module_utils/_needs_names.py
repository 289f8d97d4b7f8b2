# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names that the registry takes: a namespace that can hold it, objects that belong to nobody else, Secrets that exist.

Private to this collection.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ansible_collections.alauda.registry.plugins.module_utils import _objects
from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster, ClusterError
from ansible_collections.alauda.registry.plugins.module_utils._findings import Finding
from ansible_collections.alauda.registry.plugins.module_utils._wanted import Wanted

ENFORCE = "pod-security.kubernetes.io/enforce"
SHARED = ("system:image-puller", "system:image-pusher")
"""ClusterRoles that the registry before has, too: everybody's right to pull and push hangs on them."""

LEGACY = "registry.alauda.io"
"""The API group of its rights."""


def namespace(cluster: Cluster, wanted: Wanted) -> Iterator[Finding]:
    """The namespace is not on its way out and admits the Pods."""
    found = cluster.find(f"/api/v1/namespaces/{wanted.namespace}")
    if found is None:
        return
    metadata = found["metadata"]
    if metadata.get("deletionTimestamp"):
        broken = [
            str(condition.get("message"))
            for condition in (found.get("status") or {}).get("conditions") or []
            if condition.get("status") == "True" and "Failure" in str(condition.get("type"))
        ]
        because = f" ({'; '.join(broken)})" if broken else ""
        yield Finding(
            "namespace",
            f"namespace {wanted.namespace} is being deleted{because}",
            "wait until it is gone; an APIService without servers keeps it from going: kubectl get apiservices",
        )
    level = (metadata.get("labels") or {}).get(ENFORCE, "")
    ours = _objects.CREATED_BY in (metadata.get("annotations") or {})
    if wanted.value("nodeCA.enabled") and level in ("baseline", "restricted") and not ours:
        yield Finding(
            "pod-security",
            f"namespace {wanted.namespace} enforces the Pod Security level {level}, and node-ca writes two host paths",
            f"label the namespace {ENFORCE}=privileged, or set nodeCA.enabled to false and let the "
            "nodes trust the registry "
            "by other means",
        )


def conflicts(cluster: Cluster, wanted: Wanted) -> Iterator[Finding]:
    """No object that the release would make exists under another owner."""
    mine = (wanted.release, wanted.namespace)
    for item in wanted.release_objects():
        try:
            found = cluster.find(_objects.path(item, wanted.namespace))
        except ClusterError as error:
            if not error.forbidden:
                raise
            continue  # the permissions check names it
        if found is None or _objects.owner(found) == mine:
            continue
        owner = _objects.owner(found)
        title = _objects.title(item, wanted.namespace)
        who = f"release {owner[0]} in namespace {owner[1]}" if owner else _manager(found)
        yield Finding("name-conflict", f"{title} exists and belongs to {who}", _cure(found, item, owner))


def references(cluster: Cluster, wanted: Wanted) -> Iterator[Finding]:
    """Secrets and Ingress classes that the values name exist."""
    secrets = {
        f"global.imagePullSecrets ({each['name']})": each["name"]
        for each in wanted.value("global.imagePullSecrets", [])
    }
    routes = wanted.value("config.routes", []) or []
    secrets |= {f"config.routes ({each['name']})": each["secretName"] for each in routes if each.get("secretName")}
    if proxy := wanted.value("config.proxy.secretName", ""):
        secrets["config.proxy.secretName"] = proxy
    for place, name in secrets.items():
        if name not in wanted.made and cluster.find(f"/api/v1/namespaces/{wanted.namespace}/secrets/{name}") is None:
            yield Finding(
                "secret",
                f"{place} names Secret {name}, and namespace {wanted.namespace} has no such Secret",
                "make the namespace and the Secret first, or take the name out of the values",
            )
    classes = {each.get("ingressClassName") for each in routes} if routes else set()
    if wanted.value("config.defaultRoute") or routes:
        classes.add(wanted.value("config.routeDefaults.ingressClassName"))
    classes.discard(None)
    classes.discard("")
    for name in sorted(str(each) for each in classes):
        if cluster.find(f"/apis/networking.k8s.io/v1/ingressclasses/{name}") is None:
            yield Finding(
                "ingress-class",
                f"a route asks for the Ingress class {name}, which the cluster does not have",
                "name one of `kubectl get ingressclasses`, or install its controller",
            )


def _grants_elsewhere(role: dict[str, Any]) -> bool:
    return any(LEGACY in (rule.get("apiGroups") or ()) for rule in role.get("rules") or ())


def _manager(item: dict[str, object]) -> str:
    metadata = item.get("metadata")
    labels = metadata.get("labels") if isinstance(metadata, dict) else None
    manager = (labels or {}).get("app.kubernetes.io/managed-by")
    return f"{manager}, not to a release of this name" if manager else "no Helm release"


def _cure(found: dict[str, Any], item: dict[str, Any], owner: tuple[str, str] | None) -> str:
    kind, name = item["kind"], _objects.name(item)
    if kind == "ClusterRole" and name in SHARED and (owner or _grants_elsewhere(found)):
        return (
            "pulls and pushes of the registry before go by it, so leave it to its owner: clusterRoles: {leave: "
            f"[{name}]}} in the values of the chart (by the operator, registry_operator_values: {{operand: "
            f"{{clusterRoles: {{leave: [{name}]}}}}}}); a migration makes it this registry's own at its end"
        )
    if owner:
        return (
            "there is one registry per cluster: upgrade that one (registry_release_name, "
            "registry_namespace), or uninstall it "
            "first"
        )
    if kind == "ClusterRole":
        return (
            "delete it if it is a leftover that nobody is bound to, or set clusterRoles.create to false if another "
            "product owns it"
        )
    if kind == "PersistentVolumeClaim":
        return "name it in config.storage.pvc.claim to use it as it is, or delete it"
    return "delete it if it is a leftover, or annotate and label it for this release (meta.helm.sh/release-name)"
