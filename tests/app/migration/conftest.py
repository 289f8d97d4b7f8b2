"""Legacy registries of every variant in a named fake of the cluster: the same documents go into a real one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.endpoint import Endpoint
from image_registry.kube.explaining import refusal
from image_registry.kube.image_references import CustomField
from image_registry.migration.discovery import Question, discover
from image_registry.migration.facts import Inventory
from image_registry_lab.legacy.objects import objects, workloads
from image_registry_lab.legacy.variants import VARIANTS, Variant

BUILDS = CustomField.parse("builds.example.com/v1/builds=spec.output.image")
_PLURALS = {"Ingress": "ingresses", "StorageClass": "storageclasses", "ModuleInfo": "moduleinfoes"}
_PLURALS |= {"ResourcePatch": "resourcepatches"}


def resource_of(kind: str) -> str:
    return _PLURALS.get(kind, f"{kind.lower()}s")


class LegacyCluster(ClusterClient):
    """A named fake of kube-apiserver that is its own client: objects, selectors by type, rights that are missing."""

    def __init__(self, documents: list[dict[str, Any]]) -> None:
        super().__init__(Endpoint(server="https://fake", source="a test"))
        self.documents: dict[str, dict[str, Any]] = {}
        self.denied: set[str] = set()
        """``list secrets``: what is answered with 403."""
        self.broken: set[str] = set()
        """Resources that are answered with 500."""
        self.written: list[str] = []
        self.kinds: dict[str, set[str]] = {}
        """Of each ``/apis/<group>/<version>``, as the API server tells them."""
        for document in documents:
            self.put(document)

    def put(self, document: dict[str, Any]) -> None:
        metadata = document["metadata"]
        path = object_path(
            document["apiVersion"], resource_of(document["kind"]), metadata["name"],
            namespace=metadata.get("namespace", ""),
        )  # fmt: skip
        self.documents[path] = copy.deepcopy(document)
        version = document["apiVersion"]
        self.kinds.setdefault(f"/apis/{version}" if "/" in version else f"/api/{version}", set()).add(document["kind"])

    def drop(self, kind: str, name: str) -> None:
        kept = self.documents.items()
        self.documents = {path: item for path, item in kept if (item["kind"], item["metadata"]["name"]) != (kind, name)}

    def request(self, method: Any, path: str, body: Any = None, **options: Any) -> dict[str, Any]:  # noqa: ARG002
        if method != "GET":
            self.written.append(f"{method} {path}")
        if path == "/version":
            return {"gitVersion": "v1.37.0"}
        if path in self.kinds:
            known = [{"name": resource_of(kind), "kind": kind} for kind in sorted(self.kinds[path])]
            wide = ("PersistentVolume", "Namespace", "Node", "StorageClass", "ClusterRole", "ClusterRoleBinding")
            return {"resources": [{**each, "namespaced": each["kind"] not in wide} for each in known]}
        parts = path.strip("/").split("/")
        rest = parts[2 if parts[0] == "api" else 3 :]
        namespace = rest[1] if rest[:1] == ["namespaces"] and len(rest) > 2 else ""
        rest = rest[2:] if namespace else rest
        verb = "get" if len(rest) > 1 else "list"
        if rest[0] in self.broken:
            raise refusal("fake", 500, {"message": "something broke", "reason": "InternalError"}, path)
        if f"{verb} {rest[0]}" in self.denied:
            said = {"kind": "Status", "reason": "Forbidden", "message": f"{rest[0]} is forbidden: cannot {verb}"}
            raise refusal("fake", 403, said, path)
        if verb == "get":
            if path in self.documents:
                return copy.deepcopy(self.documents[path])
            raise refusal("fake", 404, {"kind": "Status", "reason": "NotFound", "message": f"{path} not found"}, path)
        return {"items": list(self._items(path, rest[0], namespace, options.get("query") or {})), "metadata": {}}

    def _items(self, path: str, resource: str, namespace: str, query: dict[str, str]) -> Iterator[dict[str, Any]]:
        group = path[: path.rindex(f"/{resource}")].split("/namespaces/")[0]
        wanted = query.get("fieldSelector", "").removeprefix("type=")
        for place, document in sorted(self.documents.items()):
            found = place.split("/namespaces/")[0] if "/namespaces/" in place else place.rpartition(f"/{resource}/")[0]
            if resource_of(document["kind"]) != resource or found != group:
                continue
            if namespace and document["metadata"].get("namespace") != namespace:
                continue
            if wanted and document.get("type") != wanted:
                continue
            item = copy.deepcopy(document)
            if ".alauda.io" not in path and "example.com" not in path:  # lists of the API server's own kinds
                del item["kind"], item["apiVersion"]
            yield item


def ready(document: dict[str, Any]) -> dict[str, Any]:
    """As controllers leave it behind."""
    if document["kind"] == "Deployment":
        document["status"] = {"readyReplicas": document["spec"]["replicas"], "replicas": 1}
    if document["kind"] == "Service":
        document["spec"]["clusterIP"] = (
            "10.0.0.80" if document["metadata"]["name"].endswith("registry") else "10.0.0.81"
        )
    if document["kind"] == "PersistentVolumeClaim":
        document["spec"]["volumeName"] = "pv-legacy"
        document["status"] = {"phase": "Bound", "capacity": {"storage": "10Gi"}}
    return document


def volume() -> dict[str, Any]:
    csi = {
        "driver": "nfs.csi.k8s.io",
        "volumeHandle": "h",
        "volumeAttributes": {"server": "nfs.test", "share": "/s", "x": "y"},
    }
    spec = {
        "capacity": {"storage": "10Gi"},
        "accessModes": ["ReadWriteMany"],
        "persistentVolumeReclaimPolicy": "Delete",
        "storageClassName": "nfs",
        "csi": csi,
    }
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "pv-legacy"},
        "spec": spec,
        "status": {"phase": "Bound"},
    }


def node(name: str = "n1") -> dict[str, Any]:
    status = {
        "conditions": [{"type": "Ready", "status": "True"}],
        "addresses": [{"type": "InternalIP", "address": "10.213.0.11"}],
    }
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": status}


def cluster_of(variant: Variant) -> LegacyCluster:
    found = [ready(document) for document in (*objects(variant), *workloads(variant))]
    return LegacyCluster([*found, volume(), node()])


Discovered = Callable[..., Inventory]


def inventory_of(cluster: LegacyCluster, *, beyond: bool = True, **question: Any) -> Inventory:
    asked = Question(cluster="business", fields=(BUILDS,), **question)
    return discover(cluster, asked, global_client=cluster if beyond else None)


@pytest.fixture(params=sorted(VARIANTS))
def variant(request: pytest.FixtureRequest) -> Variant:
    return VARIANTS[request.param]
