"""A route that nobody serves, or that serves the wrong host, is told by name with what to do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from image_registry.operator.certificate_facts import CertificateFact
from image_registry.operator.route_facts import Route, RouteFact, condition, judge, routes

ROUTE = Route("public", "registry.example.com", "public-tls", ingress_class="nginx")
EDGE = Route("edge", "edge.example.com", gateway="edge")
NGINX = {"metadata": {"name": "nginx"}}
TRAEFIK = {"metadata": {"name": "traefik", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}}}
SERVED = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}}
GOOD = CertificateFact("public-tls", datetime(2027, 1, 1, tzinfo=UTC))


def answered(status: str, reason: str = "Accepted") -> dict[str, Any]:
    return {"status": {"parents": [{"conditions": [{"type": "Accepted", "status": status, "reason": reason}]}]}}


def test_routes_are_those_that_the_chart_makes() -> None:
    config = {
        "defaultRoute": True,
        "routeDefaults": {"domain": "apps.example.com", "ingressClassName": "nginx"},
        "routes": [{"name": "public", "hostname": "registry.example.com", "gateway": {"name": "edge"}}],
    }
    default, public = routes(config, "image-registry-system")
    assert default == Route(
        "default-route", "default-route-image-registry-system.apps.example.com", ingress_class="nginx"
    )
    assert public.gateway == "edge"


def test_a_served_route_shows_its_address_and_the_end_of_its_certificate() -> None:
    fact = judge(ROUTE, SERVED, GOOD, [NGINX], [])
    assert fact.shown() == {
        "name": "public",
        "hostname": "registry.example.com",
        "kind": "Ingress",
        "admitted": True,
        "addresses": ["192.0.2.7"],
        "certificateExpires": "2027-01-01T00:00:00Z",
    }
    assert condition([fact]).reason == "AsExpected"


@pytest.mark.parametrize(
    ("fact", "reason", "words"),
    [
        (judge(ROUTE, None, GOOD, [NGINX], []), "IngressNotFound", "does not exist"),
        (judge(ROUTE, {}, GOOD, [TRAEFIK], []), "IngressClassNotFound", "name one of traefik"),
        (judge(ROUTE, {}, GOOD, [], []), "IngressClassNotFound", "install an ingress controller"),
        (judge(Route("a", "a.b"), {}, None, [NGINX], []), "IngressClassNotFound", "no IngressClass is the cluster's"),
        (judge(ROUTE, SERVED, GOOD, [NGINX], ["Ingress shop/web"]), "HostConflict", "Ingress shop/web has the host"),
        (
            judge(ROUTE, SERVED, CertificateFact("public-tls", None, "SecretNotFound", "no Secret"), [NGINX], []),
            "SecretNotFound",
            "no Secret",
        ),
        (judge(EDGE, answered("False", "NotAllowedByListeners"), None, None, []), "GatewayRefused", "NotAllowedBy"),
    ],
    ids=["not there", "other class", "no class", "no default", "conflict", "certificate", "gateway"],
)
def test_what_is_wrong_is_told_with_the_route(fact: RouteFact, reason: str, words: str) -> None:
    told = condition([judge(EDGE, answered("True"), None, None, []), fact])
    assert (told.status, told.reason) == ("True", reason)
    assert told.message.startswith(f"route {fact.route.name}: ")
    assert words in told.message
    assert fact.shown()["message"]


@pytest.mark.parametrize("fact", [judge(ROUTE, {}, GOOD, None, []), judge(EDGE, {}, None, None, [])])
def test_an_address_that_is_not_written_is_waited_for_and_nothing_is_called_broken(fact: RouteFact) -> None:
    told = condition([fact])
    assert (told.status, told.reason) == ("False", "WaitingForAddress")
    assert not fact.admitted


def test_a_gateway_that_does_not_speak_https_to_the_registry_is_spoken_of() -> None:
    silent = judge(EDGE, answered("True"), None, None, [], {})
    assert (silent.admitted, silent.reason) == (True, "")
    assert "speaks plain HTTP to the registry" in silent.message
    ancestor = {"ancestorRef": {"name": "edge"}, **answered("False", "Invalid")["status"]["parents"][0]}
    refused = judge(EDGE, answered("True"), None, None, [], {"status": {"ancestors": [ancestor]}})
    assert (refused.admitted, refused.reason) == (False, "GatewayRefused")
    others = {"status": {"ancestors": [{**ancestor, "ancestorRef": {"name": "inner"}}]}}
    assert judge(EDGE, answered("True"), None, None, [], others).admitted, "what another Gateway says is not about it"
