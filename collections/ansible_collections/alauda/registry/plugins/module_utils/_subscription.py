# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Operator Lifecycle Manager (OLM) is asked for, and what its answers mean.

Private to this collection. OLM installs an operator for a Subscription in a namespace with one OperatorGroup, out of a
catalog; how far it is stands in the Subscription's status and in the ClusterServiceVersion that it names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ansible_collections.alauda.registry.plugins.module_utils import _namespaces, _object_plan
from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster, ClusterError
from ansible_collections.alauda.registry.plugins.module_utils._conditions import Verdict, conditions
from ansible_collections.alauda.registry.plugins.module_utils._object_plan import Change, Document, combined

GROUP = "operators.coreos.com"
PACKAGE = "cluster-image-registry-operator"
OPERATOR_GROUP = "image-registry"
NEEDED = {"v1alpha1": {"subscriptions", "catalogsources", "clusterserviceversions"}, "v1": {"operatorgroups"}}


@dataclass(frozen=True)
class Order:
    """``catalog_image`` is empty for a catalog that is there; ``env`` is told to the operator's Pod."""

    namespace: str
    catalog: str
    catalog_namespace: str
    catalog_image: str = ""
    channel: str = "stable"
    approval: str = "Automatic"
    starting_version: str = ""
    env: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Of the Subscription."""
        return place("v1alpha1", "subscriptions", self.namespace, PACKAGE)


def place(version: str, plural: str, namespace: str, name: str) -> str:
    """The path of one of OLM's objects."""
    return f"/apis/{GROUP}/{version}/namespaces/{namespace}/{plural}/{name}"


def need_manager(cluster: Cluster) -> None:
    """Raises ClusterError where there is no OLM, or another one, with the way on."""
    for version, kinds in NEEDED.items():
        found = cluster.find(f"/apis/{GROUP}/{version}") or {}
        missing = kinds - {each["name"] for each in found.get("resources") or []}
        if not missing:
            continue
        newer = cluster.find("/apis/olm.operatorframework.io/v1") is not None
        what = (
            "has only OLM v1 (olm.operatorframework.io), which knows no Subscriptions"
            if newer
            else f"has no Operator Lifecycle Manager: {GROUP}/{version} has no {', '.join(sorted(missing))}"
        )
        raise ClusterError(
            f"the cluster {what}. Nothing was changed. Install OLM, or use registry_install_method=operator, which "
            "needs none"
        )


def settle(cluster: Cluster, order: Order, *, check: bool) -> list[Change]:
    """Namespace, OperatorGroup, CatalogSource and Subscription, each as it shall be. Raises ClusterError."""
    return [
        _namespace(cluster, order, check=check),
        *_group(cluster, order, check=check),
        *([_catalog(cluster, order, check=check)] if order.catalog_image else []),
        _one(cluster, order.path, "v1alpha1", "Subscription", _subscription(order), check=check),
    ]


def _namespace(cluster: Cluster, order: Order, *, check: bool) -> Change:
    def wish(current: Document | None) -> Document:
        if current is None:
            return _namespaces.made(order.namespace, order.labels)
        lacking = _namespaces.missing(current, order.labels)
        return combined(current, {"metadata": {"labels": lacking}}) if lacking else current

    return _object_plan.settle(cluster, f"/api/v1/namespaces/{order.namespace}", wish, check=check)


def _group(cluster: Cluster, order: Order, *, check: bool) -> list[Change]:
    """One of somebody else counts: a second one would stop every operator of the namespace."""
    collection = place("v1", "operatorgroups", order.namespace, "").rstrip("/")
    found = cluster.items(collection)
    for group in found:
        targets = (group.get("spec") or {}).get("targetNamespaces") or []
        if targets:
            raise ClusterError(
                f"OperatorGroup {group['metadata']['name']} of namespace {order.namespace} keeps operators to "
                f"{', '.join(targets)}, and this one works for all namespaces: nothing was changed. Take "
                "targetNamespaces out of it, or name another namespace"
            )
    if found:
        return []
    path = place("v1", "operatorgroups", order.namespace, OPERATOR_GROUP)
    return [_one(cluster, path, "v1", "OperatorGroup", {}, check=check)]


def _catalog(cluster: Cluster, order: Order, *, check: bool) -> Change:
    path = place("v1alpha1", "catalogsources", order.catalog_namespace, order.catalog)
    spec = {"sourceType": "grpc", "image": order.catalog_image, "displayName": "Image registry"}
    return _one(cluster, path, "v1alpha1", "CatalogSource", spec, check=check)


def _subscription(order: Order) -> Document:
    env = [{"name": name, "value": value} for name, value in sorted(order.env.items())]
    return {
        "name": PACKAGE,
        "source": order.catalog,
        "sourceNamespace": order.catalog_namespace,
        "channel": order.channel,
        "installPlanApproval": order.approval,
        **({"startingCSV": order.starting_version} if order.starting_version else {}),
        **({"config": {"env": env}} if env else {}),
    }


def _one(cluster: Cluster, path: str, version: str, kind: str, spec: Document, *, check: bool) -> Change:
    def wish(current: Document | None) -> Document:
        base = current or {
            "apiVersion": f"{GROUP}/{version}",
            "kind": kind,
            "metadata": {"name": path.rpartition("/")[2]},
        }
        return {**base, "spec": combined(base.get("spec") or {}, spec)}

    return _object_plan.settle(cluster, path, wish, check=check)


def service_version(cluster: Cluster, subscription: Document) -> Document:
    """The ClusterServiceVersion that will be installed, or that is while a person is waited for; empty if not there."""
    status = subscription.get("status") or {}
    names = [status.get("currentCSV"), status.get("installedCSV")]
    if _waits_for_a_person(subscription):
        names.reverse()
    name = names[0] or names[1] or ""
    namespace = subscription["metadata"]["namespace"]
    return (cluster.find(place("v1alpha1", "clusterserviceversions", namespace, name)) or {}) if name else {}


def verdict(subscription: Document, version: Document) -> Verdict:
    """How far OLM is, in words that name what a person must do."""
    status = subscription.get("status") or {}
    said = conditions(subscription)
    failed = said.get("ResolutionFailed", {})
    if failed.get("status") == "True":
        return Verdict(refused=f"OLM finds no way to install it: {failed.get('message') or failed.get('reason')}")
    plan = (status.get("installPlanRef") or {}).get("name", "")
    if offer(subscription, version):
        return Verdict(done=True)
    if _waits_for_a_person(subscription):
        namespace = subscription["metadata"]["namespace"]
        return Verdict(
            refused=f"InstallPlan {plan} waits for a person, as the approval is Manual: kubectl -n {namespace} patch "
            f'installplan {plan} --type=merge --patch=\'{{"spec":{{"approved":true}}}}\', then run again'
        )
    broken = said.get("InstallPlanFailed", {})
    if broken.get("status") == "True":
        return Verdict(refused=f"InstallPlan {plan} failed: {broken.get('message') or broken.get('reason')}")
    unhealthy = said.get("CatalogSourcesUnhealthy", {})
    if unhealthy.get("status") == "True":
        return Verdict(doing=f"a catalog does not answer: {unhealthy.get('message') or unhealthy.get('reason')}")
    if not status.get("currentCSV"):
        return Verdict(
            doing="OLM has not chosen a version yet; if that lasts, look at the Pods of the catalog and of OLM"
        )
    return _installed(str(status["currentCSV"]), version)


def offer(subscription: Document, version: Document) -> str:
    """A warning if a newer version waits for a person while the one that is installed is well; else empty."""
    status = subscription.get("status") or {}
    installed, newer = str(status.get("installedCSV") or ""), str(status.get("currentCSV") or "")
    well = (version.get("metadata") or {}).get("name") == installed
    well = well and (version.get("status") or {}).get("phase") == "Succeeded"
    if not (installed and well and _waits_for_a_person(subscription)):
        return ""
    plan = (status.get("installPlanRef") or {}).get("name", "")
    return (
        f"{newer or 'a newer version'} waits for a person, as the approval is Manual: InstallPlan {plan}. {installed} "
        "is installed and goes on"
    )


def _waits_for_a_person(subscription: Document) -> bool:
    pending = conditions(subscription).get("InstallPlanPending", {})
    return pending.get("status") == "True" and pending.get("reason") == "RequiresApproval"


def _installed(name: str, version: Document) -> Verdict:
    status = version.get("status") or {}
    phase = status.get("phase", "")
    if phase == "Succeeded":
        return Verdict(done=True)
    why = f": {status.get('reason', '')} {status.get('message', '')}".rstrip(": ")
    if phase == "Failed":
        return Verdict(refused=f"ClusterServiceVersion {name} has failed{why}")
    return Verdict(doing=f"ClusterServiceVersion {name} is {phase or 'not there yet'}{why}")


def told(subscription: Document, version: Document) -> dict[str, Any]:
    """For a module's result."""
    return {
        "subscription": subscription,
        "version": str((version.get("metadata") or {}).get("name", "")),
        "phase": str((version.get("status") or {}).get("phase", "")),
    }
