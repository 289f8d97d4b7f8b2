"""Ways in from outside: what each kind of controller and gateway is told, and what nodes learn of their authorities."""

from __future__ import annotations

import pytest
import yaml

from tests.charts.conftest import CHART, NAMESPACE

CONTROLLERS = yaml.safe_load((CHART / "files/controllers.yaml").read_text())
ONE = {"name": "public", "hostname": "registry.example.com", "secretName": "public-tls"}
EDGE = {"name": "edge", "namespace": "gateways", "sectionName": "https"}


def routed(**config):
    return {"config": {"routes": [ONE], **config}}


@pytest.mark.parametrize("controller", CONTROLLERS)
def test_a_controller_is_told_to_speak_https_and_to_wait(render, controller):
    release = render(values=routed())
    told = CONTROLLERS[controller]
    assert told.get("ingress", {}).items() <= release.named("Ingress", "public")["metadata"]["annotations"].items()
    service = release.named("Service", "image-registry")["metadata"].get("annotations", {})
    assert told.get("service", {}).items() <= service.items()


def test_a_registry_without_routes_has_a_plain_service(render):
    assert "annotations" not in render().named("Service", "image-registry")["metadata"]


def test_what_the_administrator_says_wins(render):
    mine = {"nginx.org/client-max-body-size": "1g"}
    release = render(values=routed(routeDefaults={"annotations": mine}))
    assert mine.items() <= release.named("Ingress", "public")["metadata"]["annotations"].items()


def test_a_gateway_gets_an_http_route_that_ends_no_request_and_a_policy_for_the_backend(render):
    release = render(values=routed(routeDefaults={"gateway": EDGE}))
    assert release.names("Ingress") == set()
    route = release.named("HTTPRoute", "public")
    assert route["spec"]["parentRefs"] == [EDGE]
    assert route["spec"]["hostnames"] == ["registry.example.com"]
    (rule,) = route["spec"]["rules"]
    assert rule["timeouts"] == {"request": "0s"}
    assert rule["backendRefs"] == [{"name": "image-registry", "port": 5000}]
    policy = release.named("BackendTLSPolicy", "image-registry")["spec"]
    assert policy["targetRefs"][0]["name"] == "image-registry"
    assert policy["validation"]["hostname"] == f"image-registry.{NAMESPACE}.svc"
    assert policy["validation"]["caCertificateRefs"][0]["name"] == "image-registry-ca"


def test_a_route_may_have_a_gateway_of_its_own(render):
    routes = [ONE, {"name": "edge", "hostname": "edge.example.com", "gateway": {"name": "edge"}}]
    release = render(values=routed(routes=routes))
    assert release.names("Ingress") == {"public"}
    assert release.names("HTTPRoute") == {"edge"}
    assert release.named("HTTPRoute", "edge")["spec"]["parentRefs"] == [{"name": "edge"}]


def test_two_routes_of_one_host_are_refused(refusal):
    said = refusal(config={"routes": [ONE, {"name": "again", "hostname": "registry.example.com"}]})
    assert "config.routes has the host registry.example.com twice" in said


def test_nodes_see_of_a_routes_secret_its_authority_alone(render):
    pod = render(values=routed(additionalTrustedCA={"name": "further"})).named("DaemonSet", "node-ca")
    spec = pod["spec"]["template"]["spec"]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    (source,) = volumes["route-cas"]["projected"]["sources"]
    assert source["secret"] == {
        "name": "public-tls",
        "items": [{"key": "ca.crt", "path": "registry.example.com"}],
        "optional": True,
    }
    assert volumes["further-cas"]["configMap"] == {"name": "further", "optional": True}
    arguments = spec["containers"][0]["args"]
    assert {"--host=registry.example.com", "--further-cas=/etc/image-registry/further-cas"} <= set(arguments)


def test_an_issuer_makes_what_clients_see_and_nothing_else(render):
    issuer = {"name": "internal", "kind": "ClusterIssuer", "group": "cert-manager.io"}
    release = render(values=routed(certificates={"issuerRef": issuer}))
    assert release.names("Certificate") == {"image-registry-tls", "image-api-server-tls"}
    spec = release.named("Certificate", "image-registry-tls")["spec"]
    assert spec["issuerRef"] == issuer
    assert {f"image-registry.{NAMESPACE}.svc", "registry.example.com"} <= set(spec["dnsNames"])
    before, after = (
        release.named("Job", f"image-registry-bootstrap-{name}")["spec"]["template"]["spec"]
        for name in ("secrets", "api-service")
    )
    assert "--issued" in before["containers"][0]["args"]
    assert {"--issued", "--wait=150"} <= set(after["initContainers"][0]["args"])
    assert render().names("Certificate") == set()
