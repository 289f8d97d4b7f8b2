# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ways in from outside: one entry among those of Config, and what serves them in the cluster.

Private to this collection.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.alauda.registry.plugins.module_utils import _object_plan, _objects
from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster
from ansible_collections.alauda.registry.plugins.module_utils._conditions import Verdict, conditions, config
from ansible_collections.alauda.registry.plugins.module_utils._operator_objects import CONFIG, VERSION

Document = dict[str, Any]
DEFAULT = "default-route"
FIELDS = {
    "hostname": "hostname",
    "secret_name": "secretName",
    "ingress_class_name": "ingressClassName",
    "annotations": "annotations",
}
ROUTES = (("networking.k8s.io/v1", "ingresses", "Ingress"), ("gateway.networking.k8s.io/v1", "httproutes", "HTTPRoute"))


def entry(asked: Document) -> Document:
    """As in ``spec.routes``, from a module's options."""
    found = {"name": asked["name"]}
    found |= {field: asked[option] for option, field in FIELDS.items() if asked[option] is not None}
    gateway = asked["gateway"] or {}
    if gateway:
        members = {"name": gateway["name"], "namespace": gateway["namespace"], "sectionName": gateway["section_name"]}
        found["gateway"] = {key: value for key, value in members.items() if value is not None}
    return found


def wish(current: Document | None, *, name: str, entry: Document | None) -> Document | None:
    """Config with this route, or with ``None`` without it; the others and their order stay."""
    document = current or {"apiVersion": VERSION, "kind": CONFIG.name, "metadata": {"name": "cluster"}, "spec": {}}
    before = list((document.get("spec") or {}).get("routes") or [])
    known = any(route.get("name") == name for route in before)
    if entry is None:
        after = [route for route in before if route.get("name") != name]
    else:
        after = [_object_plan.combined(route, entry) if route.get("name") == name else route for route in before]
        after += [] if known else [entry]
    if after == before:
        return document
    return {**document, "spec": {**document["spec"], "routes": after}}


def found(document: Document, name: str) -> Document:
    """What the operator says of a route; empty if it knows none of that name."""
    for route in (document.get("status") or {}).get("routes") or []:
        if route.get("name") == name:
            return dict(route)
    return {}


def verdict(document: Document, *, name: str, wanted: bool, admitted: bool) -> Verdict:
    """Whether the operator has made the route, or taken it away, and if asked whether a controller serves it."""
    if not (said := config(document)).done:
        return said
    route = found(document, name)
    if not wanted:
        return Verdict(done=not route, doing=f"waiting until route {name} is gone")
    if not route:
        return Verdict(doing=f"waiting until the operator has looked at route {name}")
    if admitted and not route.get("admitted"):
        degraded = conditions(document).get("IngressDegraded", {})
        return Verdict(doing=str(route.get("message") or degraded.get("message") or "waiting for a controller"))
    return Verdict(done=True)


def listed(cluster: Cluster, namespace: str, release: str) -> list[Document]:
    """Every way in: as the operator says, else as the objects of the release are."""
    document = cluster.find(CONFIG.path) or {}
    told = (document.get("status") or {}).get("routes")
    if told is not None:
        return [_row(route) for route in told]
    rows = []
    for version, resource, kind in ROUTES:
        place = _objects.collection(version, resource, namespace)
        if cluster.find(place) is None:
            continue  # a cluster without Gateway API
        for item in cluster.items(place, labelSelector=f"app.kubernetes.io/instance={release}"):
            rows += _from_object(item, kind)
    return rows


def _from_object(item: Document, kind: str) -> list[Document]:
    spec, status = item.get("spec") or {}, item.get("status") or {}
    if kind == "Ingress":
        hosts = [str(rule["host"]) for rule in spec.get("rules") or [] if rule.get("host")]
        given = (status.get("loadBalancer") or {}).get("ingress") or []
        addresses = [str(one.get("ip") or one.get("hostname")) for one in given]
        admitted = bool(addresses)
    else:
        hosts, addresses = [str(host) for host in spec.get("hostnames") or []], []
        said = [one for parent in status.get("parents") or [] for one in parent.get("conditions") or []]
        admitted = any(one.get("type") == "Accepted" and one.get("status") == "True" for one in said)
    name = item["metadata"]["name"]
    told = {"name": name, "kind": kind, "admitted": admitted, "addresses": addresses}
    return [_row({**told, "hostname": host}) for host in hosts]


def _row(route: Document) -> Document:
    return {
        "name": str(route.get("name", "")),
        "hostname": str(route.get("hostname", "")),
        "kind": str(route.get("kind", "")),
        "default": route.get("name") == DEFAULT,
        "admitted": bool(route.get("admitted")),
        "addresses": list(route.get("addresses") or []),
        "certificate_expires": str(route.get("certificateExpires") or ""),
        "message": str(route.get("message") or ""),
    }
