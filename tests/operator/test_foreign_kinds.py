"""Objects of the Gateway API and of cert-manager, checked by their real definitions in a real kube-apiserver.

No gateway and no cert-manager runs here: what they would write into a status is written by hand, as their definitions
allow it, and the operator must tell it.
"""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import KubeError
from image_registry.operator import certificates, drift
from tests.operator.conftest import CHART, NAMESPACE, ApiServer, program
from tests.operator.definitions import CERT_MANAGER, DEFINITIONS, GATEWAY_API, defined, definition, wait_for
from tests.operator.reconciled import Cluster

GATEWAY, ISSUER = "gateway.networking.k8s.io", "cert-manager.io"
GROUPS = (f"{GATEWAY}/", f"{ISSUER}/")
OLDER = f"{GATEWAY}/v1alpha3"
NOW = datetime.now(UTC)
Object = dict[str, Any]

EDGE = {"name": "edge"}
WHOLE = {"name": "edge", "namespace": "gateways", "sectionName": "https"}
ROUTE = {"name": "public", "hostname": "registry.example.com"}
LONG = ".".join(["a" * 60] * 4)
ROUTED: dict[str, Object] = {
    "a gateway for all routes": {"routes": [ROUTE], "routeDefaults": {"gateway": EDGE}},
    "a listener in another namespace": {"routes": [{**ROUTE, "gateway": WHOLE}]},
    "the default route": {"defaultRoute": True, "routeDefaults": {"domain": "apps.example.com", "gateway": WHOLE}},
    "annotations, and an Ingress beside it": {
        "routes": [{**ROUTE, "gateway": EDGE, "annotations": {"a.b/c": "true"}}, {"name": "b", "hostname": "b.c"}]
    },
    "the longest names": {"routes": [{"name": "a" * 63, "hostname": LONG, "gateway": {"name": "g" * 63}}]},
}
ISSUED: dict[str, Object] = {
    "an issuer of the namespace": {"certificates": {"issuerRef": {"name": "internal", "kind": "Issuer"}}},
    "an issuer of the cluster, with the hosts of routes": {
        "certificates": {"issuerRef": {"name": "internal", "kind": "ClusterIssuer"}},
        "routes": [ROUTE, {"name": "long", "hostname": LONG}],
    },
    "an issuer of somebody else": {
        "certificates": {"issuerRef": {"name": "vault", "kind": "Store", "group": "issuers.example.com"}}
    },
}


@pytest.fixture(scope="module")
def gateway_api(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return GATEWAY_API.folder(tmp_path_factory.mktemp("module")) / "config/crd"


@pytest.fixture(scope="module")
def foreign(
    apiserver: ApiServer, operator: ApiServer, gateway_api: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ClusterClient]:
    """The API server, with the definitions that a cluster with a gateway and with cert-manager has."""
    del operator  # makes the namespace
    crds = CERT_MANAGER.folder(tmp_path_factory.mktemp("module")) / "deploy/crds"
    files = [gateway_api / f"standard/{GATEWAY}_{name}.yaml" for name in ("httproutes", "backendtlspolicies")]
    with defined(apiserver.client, map(definition, [*files, crds / f"{ISSUER}_certificates.yaml"])):
        yield apiserver.client


def rendered(home: Path, config: Object, *more: str) -> list[Object]:
    command = [program("helm"), "template", "image-registry", str(CHART), "--namespace", NAMESPACE, "--values=-"]
    values = json.dumps({"config": config})
    text = subprocess.run(
        [*command, "--kube-version=1.37", *more],
        input=values,
        capture_output=True,
        text=True,
        check=True,
        env={"HOME": str(home)},
    ).stdout
    items = [item for item in yaml.load_all(text, yaml.CSafeLoader) if item]
    return [item for item in items if item["apiVersion"].startswith(GROUPS)]


def applied(client: ClusterClient, item: Object) -> Object:
    """Server-side apply as a dry run; a field that the definition does not know is an error."""
    query = {"fieldManager": "test", "force": "true", "dryRun": "All", "fieldValidation": "Strict"}
    path = drift.path_of(item, NAMESPACE)
    return client.request("PATCH", path, item, query=query, content_type="application/apply-patch+yaml")


@pytest.mark.parametrize("variant", [*ROUTED, *ISSUED])
def test_what_the_chart_renders_is_accepted_by_the_real_definitions(
    foreign: ClusterClient, tmp_path: Path, variant: str
) -> None:
    items = rendered(tmp_path, ROUTED.get(variant) or ISSUED[variant])
    kinds = {item["kind"] for item in items}
    assert kinds == ({"HTTPRoute", "BackendTLSPolicy"} if variant in ROUTED else {"Certificate"})
    for item in items:
        made = applied(foreign, item)
        assert made["kind"] == item["kind"]
        with pytest.raises(KubeError, match="field not declared in schema"):
            applied(foreign, {**item, "spec": {**item["spec"], "retries": 3}})


def test_a_cluster_that_knows_only_the_older_policy_gets_that(
    foreign: ClusterClient, gateway_api: Path, tmp_path: Path
) -> None:
    """Both the definition of the experimental channel, which serves both versions, and a chart that sees one."""
    experimental = definition(gateway_api / f"experimental/{GATEWAY}_backendtlspolicies.yaml")
    path = f"{DEFINITIONS}/{experimental['metadata']['name']}"
    before = foreign.get(path)
    foreign.merge(path, {"spec": experimental["spec"]})
    wait_for(foreign, experimental)
    items = rendered(tmp_path, ROUTED["a gateway for all routes"], f"--api-versions={OLDER}/BackendTLSPolicy")
    (policy,) = [item for item in items if item["kind"] == "BackendTLSPolicy"]
    assert policy["apiVersion"] == OLDER
    assert applied(foreign, policy)["apiVersion"] == OLDER
    foreign.merge(path, {"spec": before["spec"]})


# from here on in the order of the file: one registry with a Gateway and an issuer, looked after by the operator


def path(kind: str, name: str) -> str:
    version = f"{ISSUER}/v1" if kind == "certificates" else f"{GATEWAY}/v1"
    return object_path(version, kind, name, namespace=NAMESPACE)


HTTP_ROUTE = path("httproutes", "public")
POLICY = path("backendtlspolicies", "image-registry")
CERTIFICATE = path("certificates", "image-registry-tls")
OTHER_CERTIFICATE = path("certificates", "image-api-server-tls")


@pytest.fixture(scope="module")
def routed(foreign: ClusterClient, cluster: Cluster) -> Cluster:
    del foreign
    cluster.change(
        managementState="Managed",
        storage={"emptyDir": {}},
        routes=[{**ROUTE, "gateway": WHOLE}],
        certificates={"issuerRef": {"name": "internal", "kind": "ClusterIssuer"}},
    )
    cluster.settle()
    return cluster


def said(kind: str, status: str, reason: str, message: str, of: int | None = None) -> Object:
    when = {"observedGeneration": of} if of else {}
    time = NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": time, **when}


def tell(client: ClusterClient, path: str, status: Object) -> None:
    """Write a status as a controller does: nothing that the definition does not know."""
    client.merge(f"{path}/status", {"status": status}, query={"fieldValidation": "Strict"})


def answer(client: ClusterClient, path: str, *conditions: Object) -> None:
    """What a gateway says of an HTTPRoute, or of the policy."""
    ref = {"group": GATEWAY, "kind": "Gateway", "name": "edge", "namespace": "gateways", "sectionName": "https"}
    entry = {"controllerName": "gateway.example.com/controller", "conditions": list(conditions)}
    if path == POLICY:
        tell(client, path, {"ancestors": [{**entry, "ancestorRef": ref}]})
    else:
        tell(client, path, {"parents": [{**entry, "parentRef": ref}]})


def route(cluster: Cluster) -> Object:
    cluster.reconciler.turn()
    (found,) = cluster.config()["status"]["routes"]
    return dict(found)


def nothing_differs(cluster: Cluster) -> bool:
    newest = cluster.reconciler.operand.releases()[0]
    done = newest.deployed and cluster.reconciler._attempt is None
    return done and not cluster.reconciler.operand.drift(newest)


def test_defaults_of_the_real_definitions_are_no_drift(routed: Cluster) -> None:
    live = routed.client.get(HTTP_ROUTE)
    assert live["spec"]["parentRefs"][0]["kind"] == "Gateway", "the definition has filled in what the chart leaves out"
    assert nothing_differs(routed)
    revision = routed.revision()
    routed.reconciler._compared = None
    routed.reconciler.turn()
    assert routed.revision() == revision


def test_what_is_edited_or_deleted_is_put_back(routed: Cluster) -> None:
    edits: dict[str, Object] = {
        HTTP_ROUTE: {"hostnames": ["somebody.example.com"]},
        POLICY: {"validation": {"hostname": "somebody.example.com"}},
        CERTIFICATE: {"dnsNames": ["somebody.example.com"]},
    }
    before = {path: routed.client.get(path)["spec"] for path in edits}
    for path, spec in edits.items():
        routed.client.merge(path, {"spec": spec})
    routed.client.delete(OTHER_CERTIFICATE)
    routed.reconciler._compared = None
    routed.until(lambda: nothing_differs(routed), "everything as it was")
    assert {path: routed.client.get(path)["spec"] for path in edits} == before
    assert routed.client.find(OTHER_CERTIFICATE) is not None


def test_what_a_gateway_says_of_its_route_is_told(routed: Cluster) -> None:
    client, generation = routed.client, int(routed.client.get(HTTP_ROUTE)["metadata"]["generation"])
    found = route(routed)
    assert (found["kind"], found["admitted"]) == ("HTTPRoute", False)
    assert routed.said()["IngressDegraded"] == "False WaitingForAddress"
    answer(client, HTTP_ROUTE, said("Accepted", "False", "NotAllowedByListeners", "no listener has this host"))
    assert route(routed)["admitted"] is False
    assert routed.said()["IngressDegraded"] == "True GatewayRefused"
    assert "NotAllowedByListeners: no listener has this host" in routed.message("IngressDegraded")
    answer(
        client,
        HTTP_ROUTE,
        said("Accepted", "True", "Accepted", "taken", generation),
        said("ResolvedRefs", "False", "BackendNotFound", "no Service", generation),
    )
    assert "BackendNotFound: no Service" in route(routed)["message"]
    answer(client, HTTP_ROUTE, said("Accepted", "Unknown", "Pending", "wait"))
    assert route(routed)["admitted"] is False
    assert routed.said()["IngressDegraded"] == "False WaitingForAddress"
    good = [said(name, "True", name, "") for name in ("Accepted", "ResolvedRefs")]
    answer(client, HTTP_ROUTE, *good)
    assert route(routed)["admitted"] is True
    assert "has not answered to BackendTLSPolicy" in route(routed)["message"]
    answer(client, POLICY, said("Accepted", "False", "NoValidCACertificate", "no certificate in it"))
    assert route(routed)["admitted"] is False
    assert "refuses BackendTLSPolicy image-registry" in routed.message("IngressDegraded")
    answer(client, POLICY, *good)
    assert set(route(routed)) == {"name", "hostname", "kind", "admitted"}
    assert routed.said()["IngressDegraded"] == "False AsExpected"


def test_an_answer_to_an_earlier_specification_is_not_believed(routed: Cluster) -> None:
    generation = int(routed.client.get(HTTP_ROUTE)["metadata"]["generation"])
    refused = said("Accepted", "False", "NotAllowedByListeners", "of before", generation - 1)
    answer(routed.client, HTTP_ROUTE, refused)
    assert route(routed)["admitted"] is False
    assert routed.said()["IngressDegraded"] == "False WaitingForAddress"
    answer(routed.client, HTTP_ROUTE, said("Accepted", "True", "Accepted", "of now", generation))
    assert route(routed)["admitted"] is True


def keep(client: ClusterClient, service: str, age: timedelta = timedelta()) -> None:
    """What cert-manager writes when it has a certificate."""
    then = NOW - age
    pair = certificates.make_leaf(certificates.make_authority("issuer", then), [f"{service}.{NAMESPACE}.svc"], then)
    encoded = {"tls.crt": base64.b64encode(pair.certificate).decode(), "tls.key": base64.b64encode(pair.key).decode()}
    client.merge(object_path("v1", "secrets", f"{service}-tls", namespace=NAMESPACE), {"data": encoded})


def test_what_cert_manager_says_of_its_certificates_is_told(routed: Cluster) -> None:
    client = routed.client

    def told() -> str:
        routed.reconciler.turn()
        return routed.said()["CertificatesValid"]

    assert told() == "False CertificateInvalid", "nobody has issued one"
    assert "cert-manager has said nothing of Certificate image-registry-tls yet, does it run?" in routed.message(
        "CertificatesValid"
    )
    issuing = said("Issuing", "True", "DoesNotExist", "Issuing certificate as Secret does not exist")
    missing = said("Ready", "False", "DoesNotExist", "Issuing certificate as Secret does not exist")
    tell(client, CERTIFICATE, {"conditions": [issuing, missing]})
    assert told() == "False CertificateInvalid"
    assert "cert-manager says DoesNotExist: Issuing certificate as Secret" in routed.message("CertificatesValid")
    denied = said("Issuing", "False", "Denied", "the request was denied by policy")
    tell(client, CERTIFICATE, {"conditions": [denied, missing]})
    told()
    assert "cert-manager says Denied: the request was denied by policy" in routed.message("CertificatesValid")
    ready = said("Ready", "True", "Ready", "Certificate is up to date and has not expired")
    for service, path in (("image-registry", CERTIFICATE), ("image-api-server", OTHER_CERTIFICATE)):
        keep(client, service)
        tell(client, path, {"conditions": [ready], "revision": 1})
    assert told() == "True AsExpected"
    failed = said("Issuing", "False", "Failed", "the issuer does not answer")
    tell(client, CERTIFICATE, {"conditions": [ready, failed], "failedIssuanceAttempts": 2})
    assert told() == "True NotRenewed", "it is still good"
    assert "cannot be renewed: cert-manager says Failed: the issuer does not answer" in routed.message(
        "CertificatesValid"
    )
    assert f"kubectl -n {NAMESPACE} describe certificates.cert-manager.io image-registry-tls" in routed.message(
        "CertificatesValid"
    )
    keep(client, "image-registry", timedelta(days=400))
    assert told() == "False CertificateExpired"


def test_removed_takes_them_away(routed: Cluster) -> None:
    routed.change(managementState="Removed")
    routed.settle()
    # an API server may show for a moment what it has been told to delete
    routed.until(lambda: not any(routed.client.find(path) for path in (HTTP_ROUTE, POLICY)), "both are gone")
