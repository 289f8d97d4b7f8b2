# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Permissions that an installation needs, asked of the API server itself before anything is written.

Private to this collection.
"""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.alauda.registry.plugins.module_utils import _objects
from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster, ClusterError
from ansible_collections.alauda.registry.plugins.module_utils._findings import Finding
from ansible_collections.alauda.registry.plugins.module_utils._wanted import Wanted

WRITE = ("get", "create", "patch", "delete")
READ = ("list",)

ALWAYS: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    ("", "namespaces", ("get",), ""),
    ("", "secrets", ("get", "list", "create", "update", "delete"), "own"),  # where helm keeps releases
    ("", "pods", READ, "own"),
    ("", "pods/log", ("get",), "own"),
    ("", "events", READ, "own"),
    ("", "configmaps", ("get",), "kube-system"),
)
"""(group, resource, verbs, namespace) that every run needs, whatever the chart makes."""


def permissions(cluster: Cluster, wanted: Wanted) -> Iterator[Finding]:
    """One finding for each place in which something may not be done."""
    if _allowed(cluster, "*", "*", "*", ""):
        return
    needs: dict[tuple[str, str, str], set[str]] = {}
    for group, resource, verbs, place in ALWAYS:
        needs.setdefault((wanted.namespace if place == "own" else place, group, resource), set()).update(verbs)
    if not _namespace_exists(cluster, wanted.namespace):
        needs.setdefault(("", "", "namespaces"), set()).add("create")
    for item in wanted.objects:
        if _objects.known(item):
            place = _objects.namespace_of(item, wanted.namespace)
            key = (place, _objects.group(item), _objects.KINDS[item["kind"]][0])
            needs.setdefault(key, set()).update(WRITE)
    denied: dict[str, list[str]] = {}
    for (place, group, resource), wished in sorted(needs.items()):
        missing = [verb for verb in sorted(wished) if not _allowed(cluster, verb, group, resource, place)]
        if missing:
            full = f"{resource}.{group}" if group else resource
            denied.setdefault(place, []).append(f"{'/'.join(missing)} {full}")
    for place, what in denied.items():
        where = f"in namespace {place}" if place else "in the whole cluster"
        yield Finding(
            "permissions",
            f"these credentials may not {', '.join(what)} {where}",
            "use the kubeconfig of a cluster administrator, or have these rights granted",
        )
    if not denied:
        yield from _escalation(cluster, wanted)


def _escalation(cluster: Cluster, wanted: Wanted) -> Iterator[Finding]:
    """Who makes a role must hold its rights: the API server says so at a creation that writes nothing."""
    for item in wanted.objects:
        if item["kind"] not in ("ClusterRole", "ClusterRoleBinding"):
            continue
        place = _objects.collection(item["apiVersion"], _objects.KINDS[item["kind"]][0])
        trial = {**item, "metadata": {"name": f"{item['metadata']['name']}-preflight"}}
        try:
            cluster.create(place, trial, dry_run=True)
        except ClusterError as error:
            if error.forbidden:
                yield Finding(
                    "permissions",
                    f"these credentials may not grant what {item['kind']} {item['metadata']['name']} grants",
                    "use the kubeconfig of a cluster administrator, or have the verbs 'escalate' and "
                    "'bind' on roles and "
                    "clusterroles granted",
                )
                return
            raise


def _namespace_exists(cluster: Cluster, name: str) -> bool:
    try:
        return cluster.find(f"/api/v1/namespaces/{name}") is not None
    except ClusterError as error:
        if not error.forbidden:
            raise
        return False  # who may not look would have to make it, as far as we can tell


def _allowed(cluster: Cluster, verb: str, group: str, resource: str, namespace: str) -> bool:
    name, _sep, subresource = resource.partition("/")
    attributes = {"verb": verb, "group": group, "resource": name, "namespace": namespace}
    if subresource:
        attributes["subresource"] = subresource
    answer = cluster.create(
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        },
    )
    return bool((answer.get("status") or {}).get("allowed"))
