"""Routes, certificates and nodes as the operator sees them in a real kube-apiserver, with the rights of its chart."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from image_registry.kube.client import ClusterClient, object_path
from image_registry.operator import certificates
from image_registry.operator.surroundings import Lookout, Surroundings
from tests.operator.conftest import NAMESPACE, ApiServer

NOW = datetime.now(UTC)
CONFIG: dict[str, Any] = {
    "managementState": "Managed",
    "routes": [{"name": "public", "hostname": "registry.example.com", "secretName": "public-tls"}],
}
NODE_CA = {
    "metadata": {"name": "node-ca", "namespace": NAMESPACE},
    "status": {"desiredNumberScheduled": 2, "numberReady": 2},
}
OTHERS = "shop"


def put(client: ClusterClient, version: str, resource: str, body: dict[str, Any], namespace: str = NAMESPACE) -> None:
    """Create it, or another one in its place."""
    path = object_path(version, resource, namespace=namespace)
    if client.find(f"{path}/{body['metadata']['name']}") is not None:
        client.delete(f"{path}/{body['metadata']['name']}")
    client.create(path, body)


def ingress(name: str, host: str) -> dict[str, Any]:
    backend = {"service": {"name": "image-registry", "port": {"name": "5000-tcp"}}}
    rule = {"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    return {"metadata": {"name": name}, "spec": {"ingressClassName": "edge", "rules": [rule]}}


def leaf(name: str, host: str, age: timedelta = timedelta()) -> dict[str, Any]:
    then = NOW - age
    pair = certificates.make_leaf(certificates.make_authority("test", then), [host], then)
    encoded = {"tls.crt": base64.b64encode(pair.certificate).decode(), "tls.key": base64.b64encode(pair.key).decode()}
    return {"metadata": {"name": name}, "type": "kubernetes.io/tls", "data": encoded}


@pytest.fixture
def world(operator: ApiServer, apiserver: ApiServer) -> Iterator[ClusterClient]:  # noqa: ARG001 - makes the namespace
    """Everything as it should be, by the administrator's hand."""
    client = apiserver.client
    put(
        client,
        "networking.k8s.io/v1",
        "ingressclasses",
        {"metadata": {"name": "edge"}, "spec": {"controller": "a.b/c"}},
        "",
    )
    put(client, "networking.k8s.io/v1", "ingresses", ingress("public", "registry.example.com"))
    path = object_path("networking.k8s.io/v1", "ingresses", "public", namespace=NAMESPACE)
    client.merge(f"{path}/status", {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}})
    put(client, "v1", "secrets", leaf("public-tls", "registry.example.com"))
    for service in ("image-registry", "image-api-server"):
        put(client, "v1", "secrets", leaf(f"{service}-tls", f"{service}.{NAMESPACE}.svc"))
    put(client, "v1", "configmaps", {"metadata": {"name": "image-registry-nodes"}, "data": {}})
    yield client
    for version, resource, name in (
        ("networking.k8s.io/v1", "ingresses", "public"),
        ("v1", "secrets", "public-tls"),
        ("v1", "secrets", "image-registry-tls"),
        ("v1", "secrets", "image-api-server-tls"),
        ("v1", "configmaps", "image-registry-nodes"),
    ):
        client.delete(object_path(version, resource, name, namespace=NAMESPACE))
    client.delete(object_path("networking.k8s.io/v1", "ingressclasses", "edge"))


def look(operator: ApiServer, **config: Any) -> Surroundings:
    return Lookout(operator.client, NAMESPACE).look({**CONFIG, **config}, [NODE_CA], NOW)


def told(found: Surroundings) -> dict[str, str]:
    return {item.type: f"{item.status} {item.reason}" for item in found.conditions}


@pytest.mark.usefixtures("world")
def test_what_is_right_is_told(operator: ApiServer) -> None:
    found = look(operator)
    assert told(found) == {
        "CertificatesValid": "True AsExpected",
        "IngressDegraded": "False AsExpected",
        "NodeCADaemonAvailable": "True AsExpected",
        "ImagesIntact": "Unknown NotTold",
    }
    (route,) = found.routes
    assert route.shown()["addresses"] == ["192.0.2.7"]
    assert look(operator, managementState="Removed").conditions == ()


def test_an_expired_certificate_of_a_route_is_told(world: ClusterClient, operator: ApiServer) -> None:
    lookout = Lookout(operator.client, NAMESPACE)
    assert told(lookout.look(CONFIG, [], NOW))["CertificatesValid"] == "True AsExpected"
    put(world, "v1", "secrets", leaf("public-tls", "registry.example.com", timedelta(days=400)))
    found = told(lookout.look(CONFIG, [], NOW))
    assert found["CertificatesValid"] == "False CertificateExpired", "the Secret was read again"
    assert found["IngressDegraded"] == "True CertificateExpired"


def test_somebody_else_with_our_host_is_named(world: ClusterClient, operator: ApiServer) -> None:
    if world.find(f"/api/v1/namespaces/{OTHERS}") is None:
        world.create("/api/v1/namespaces", {"metadata": {"name": OTHERS}})
    put(world, "networking.k8s.io/v1", "ingresses", ingress("web", "registry.example.com"), OTHERS)
    found = look(operator)
    world.delete(object_path("networking.k8s.io/v1", "ingresses", "web", namespace=OTHERS))
    assert told(found)["IngressDegraded"] == "True HostConflict"
    assert "Ingress shop/web has the host registry.example.com too" in found.routes[0].message


def test_an_ingress_class_that_does_not_exist_is_told(world: ClusterClient, operator: ApiServer) -> None:
    put(world, "networking.k8s.io/v1", "ingresses", ingress("public", "registry.example.com"))
    found = look(operator, routeDefaults={"ingressClassName": "nginx"})
    assert told(found)["IngressDegraded"] == "True IngressClassNotFound"
    assert "name one of edge" in found.routes[0].message


@pytest.mark.usefixtures("world")
def test_a_route_by_a_gateway_without_its_definitions_is_told(operator: ApiServer) -> None:
    found = look(operator, routeDefaults={"gateway": {"name": "edge"}})
    assert told(found)["IngressDegraded"] == "True HTTPRouteNotFound"


def test_a_node_that_cannot_pull_is_named_while_it_is_there(world: ClusterClient, operator: ApiServer) -> None:
    state = json.dumps({"state": "ConfigPathMissing", "message": "add config_path"})
    path = object_path("v1", "configmaps", "image-registry-nodes", namespace=NAMESPACE)
    world.merge(path, {"data": {"node-1": state, "node-gone": state}})
    labels = {"app.kubernetes.io/name": "node-ca"}
    pod = {"nodeName": "node-1", "containers": [{"name": "node-ca", "image": "x"}]}
    put(world, "v1", "pods", {"metadata": {"name": "node-ca-1", "labels": labels}, "spec": pod})
    found = look(operator)
    world.delete(object_path("v1", "pods", "node-ca-1", namespace=NAMESPACE))
    assert told(found)["NodeCADaemonAvailable"] == "False ConfigPathMissing"
    assert set(found.nodes or {}) == {"node-1"}
    (message,) = [item.message for item in found.conditions if item.type == "NodeCADaemonAvailable"]
    assert message == "node-1 of 2 nodes: add config_path"


@pytest.mark.usefixtures("world")
def test_a_quiet_cluster_is_asked_little(operator: ApiServer) -> None:
    lookout = Lookout(operator.client, NAMESPACE)
    lookout.look(CONFIG, [NODE_CA], NOW)
    asked: list[str] = []
    request = operator.client.request

    class Counting:
        def __getattr__(self, name: str) -> Any:
            return getattr(operator.client, name)

        def get(self, path: str, **options: Any) -> Any:
            asked.append(path)
            return request("GET", path, **options)

        def find(self, path: str, **options: Any) -> Any:
            asked.append(path)
            return operator.client.find(path, **options)

    lookout._client = Counting()  # type: ignore[assignment]
    lookout.look(CONFIG, [NODE_CA], NOW + timedelta(seconds=30))
    assert len(asked) == 4, asked
