"""Whether somebody has changed or deleted what the release made.

An object is compared by the API server itself: a server-side apply of what the chart says, as a dry run. If the answer
is the object as it is, nothing that the chart says was changed; defaults, other people's additions and the many
spellings of one quantity can not deceive. An object that has not changed since it was found to be right is not asked
about again, so that a quiet cluster costs one small read for all objects of a kind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import KubeError
from image_registry.kube.release_record import RELEASE

OWNER = "cluster-image-registry-operator-comparison"
"""Field manager of dry runs; it never owns anything."""

MENDER = "cluster-image-registry-operator"

RESOURCES = {
    "APIService": "apiservices",
    "BackendTLSPolicy": "backendtlspolicies",
    "Certificate": "certificates",
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "ConfigMap": "configmaps",
    "CronJob": "cronjobs",
    "DaemonSet": "daemonsets",
    "Deployment": "deployments",
    "HTTPRoute": "httproutes",
    "Ingress": "ingresses",
    "MutatingWebhookConfiguration": "mutatingwebhookconfigurations",
    "NetworkPolicy": "networkpolicies",
    "PersistentVolumeClaim": "persistentvolumeclaims",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "PrometheusRule": "prometheusrules",
    "Role": "roles",
    "RoleBinding": "rolebindings",
    "ServersTransport": "serverstransports",
    "Service": "services",
    "ServiceAccount": "serviceaccounts",
    "ServiceMonitor": "servicemonitors",
    "StatefulSet": "statefulsets",
}
"""Kinds that the operand chart makes, with their names in paths."""

WITHOUT_NAMESPACE = {"APIService", "ClusterRole", "ClusterRoleBinding", "MutatingWebhookConfiguration"}

CHANGING = {"PersistentVolumeClaim"}
"""Kinds of which people may change what the chart said first: a claim is enlarged, never shrunk."""

UNKNOWN_TO_HELM = {
    "APIService",
    "BackendTLSPolicy",
    "Certificate",
    "HTTPRoute",
    "PrometheusRule",
    "ServersTransport",
    "ServiceMonitor",
}
"""Kinds of which Helm compares its own two revisions only, and so does not see what somebody else has changed."""

TOGETHER = 3
"""Objects of one kind in one place from which on one question for all of them costs less."""

_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_APPLY = "application/apply-patch+yaml"
_BOOKKEEPING = ("managedFields", "resourceVersion", "generation")


def path_of(item: Mapping[str, Any], namespace: str) -> str:
    """Where an object of the release is; empty for a kind that is not known."""
    kind, metadata = str(item.get("kind")), item.get("metadata") or {}
    if kind not in RESOURCES:
        return ""
    where = "" if kind in WITHOUT_NAMESPACE else str(metadata.get("namespace") or namespace)
    return object_path(str(item.get("apiVersion")), RESOURCES[kind], str(metadata.get("name")), namespace=where)


class Comparison:
    """Remembers which objects were right, by what tells that they have changed since."""

    def __init__(self, client: ClusterClient, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._right: dict[tuple[str, str], str] = {}

    def changed(self, revision: str, items: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
        """``Kind name`` of everything that is missing or not as it was made; ``revision`` names what it is compared to.

        Raises KubeError and ClusterUnreachable where the answer is not known.
        """
        there = [(path, item) for item in items if (path := path_of(item, self._namespace))]
        seen = self._seen([path for path, _ in there])
        found = [
            f"{item['kind']} {item['metadata']['name']}"
            for path, item in there
            if not self._is_right(revision, path, item, seen.get(path))
        ]
        self._right = {key: mark for key, mark in self._right.items() if key[0] == revision}
        return tuple(found)

    def mend(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Change back what Helm would leave as somebody edited it; what is missing is made by Helm."""
        for item in items:
            path = path_of(item, self._namespace)
            if path and item["kind"] in UNKNOWN_TO_HELM and self._client.find(path, accept=_METADATA) is not None:
                query = {"fieldManager": MENDER, "force": "true"}
                self._client.request("PATCH", path, item, query=query, content_type=_APPLY)

    def _seen(self, paths: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """The metadata of objects that stand together, asked for together; what is not found so is asked for alone."""
        found: dict[str, Mapping[str, Any]] = {}
        query = {"labelSelector": f"app.kubernetes.io/instance={RELEASE}"}
        for folder, count in Counter(path.rpartition("/")[0] for path in paths).items():
            if count < TOGETHER:
                continue
            try:
                listed = self._client.get(folder, query=query, accept=_METADATA_LIST)
            except KubeError as error:
                if error.forbidden:
                    continue
                raise
            found |= {f"{folder}/{quote(one['metadata']['name'], safe='')}": one for one in listed.get("items") or []}
        return found

    def _is_right(self, revision: str, path: str, item: Mapping[str, Any], seen: Mapping[str, Any] | None) -> bool:
        live = seen or self._client.find(path, accept=_METADATA)
        if live is None:
            return False
        if item["kind"] in CHANGING:
            return True  # also while it is being deleted: nothing can keep it, and a new one is made when it is gone
        if (live.get("metadata") or {}).get("deletionTimestamp"):
            return False
        mark = _mark(live)
        if self._right.get((revision, path)) == mark:
            return True
        if not self._same(path, item):
            return False
        self._right[revision, path] = mark
        return True

    def _same(self, path: str, item: Mapping[str, Any]) -> bool:
        live = self._client.find(path)
        if live is None:
            return False
        query = {"fieldManager": OWNER, "force": "true", "dryRun": "All"}
        try:
            applied = self._client.request("PATCH", path, item, query=query, content_type=_APPLY)
        except KubeError as error:
            if error.status in (409, 422):  # what can not be changed back can not be repaired
                return True
            raise
        return _content(live) == _content(applied)


def _mark(live: Mapping[str, Any]) -> str:
    """Changes with the content: the generation where there is one, because a status changes all the time."""
    metadata = live.get("metadata") or {}
    labels = sorted((metadata.get("labels") or {}).items())
    notes = sorted((metadata.get("annotations") or {}).items())
    version = metadata.get("generation") or metadata.get("resourceVersion")
    return f"{metadata.get('uid')} {version} {labels} {notes}"


def _content(item: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {name: part for name, part in (item.get("metadata") or {}).items() if name not in _BOOKKEEPING}
    return {**{name: part for name, part in item.items() if name != "status"}, "metadata": metadata}
