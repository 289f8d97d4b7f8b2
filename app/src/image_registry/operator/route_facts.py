"""Whether each way in from outside is served: by whom, under which address, with which certificate. Pure.

An Ingress without an address is not called wrong: some controllers never write one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from image_registry.operator.certificate_facts import CertificateFact
from image_registry.operator.conditions import TIME, Condition

POLICY = "image-registry"
"""The BackendTLSPolicy that the chart makes."""

DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"


@dataclass(frozen=True, slots=True)
class Route:
    """One way in as it is wanted."""

    name: str
    hostname: str
    secret: str = ""
    gateway: str = ""
    ingress_class: str = ""


@dataclass(frozen=True, slots=True)
class RouteFact:
    """What was found of one; ``reason`` is empty where nothing is wrong."""

    route: Route
    addresses: tuple[str, ...] = ()
    admitted: bool = False
    reason: str = ""
    message: str = ""
    certificate: CertificateFact | None = None

    def shown(self) -> dict[str, Any]:
        """As in ``status.routes``."""
        found: dict[str, Any] = {
            "name": self.route.name,
            "hostname": self.route.hostname,
            "kind": "HTTPRoute" if self.route.gateway else "Ingress",
            "admitted": self.admitted,
        }
        if self.addresses:
            found["addresses"] = list(self.addresses)
        if self.certificate and self.certificate.expires:
            found["certificateExpires"] = self.certificate.expires.strftime(TIME)
        return found | ({"message": self.message} if self.message else {})


def routes(config: Mapping[str, Any], namespace: str) -> list[Route]:
    """Those of a configuration, the default route first, as the chart makes them."""
    defaults = config.get("routeDefaults") or {}
    wanted = list(config.get("routes") or [])
    if config.get("defaultRoute") and defaults.get("domain"):
        host = f"default-route-{namespace}.{defaults['domain']}"
        wanted.insert(0, {"name": "default-route", "hostname": host})
    return [
        Route(
            str(item["name"]),
            str(item["hostname"]),
            str(item.get("secretName") or ""),
            str((item.get("gateway") or {}).get("name") or (defaults.get("gateway") or {}).get("name") or ""),
            str(item.get("ingressClassName") or defaults.get("ingressClassName") or ""),
        )
        for item in wanted
    ]


def judge(
    route: Route,
    live: Mapping[str, Any] | None,
    certificate: CertificateFact | None,
    classes: Sequence[Mapping[str, Any]] | None,
    others: Sequence[str],
    policy: Mapping[str, Any] | None = None,
) -> RouteFact:
    """``classes`` are the cluster's IngressClasses, ``None`` if not known; ``others`` are who else claims the host.

    ``policy`` is the BackendTLSPolicy by which a Gateway speaks HTTPS to the registry.
    """
    kind = "HTTPRoute" if route.gateway else "Ingress"
    reason, message, admitted = "", "", False
    addresses: tuple[str, ...] = ()
    if live is None:
        reason, message = f"{kind}NotFound", f"{kind} {route.name} does not exist yet"
    elif route.gateway:
        admitted, reason, message = _of_gateway(route, live, policy or {})
    else:
        addresses = _addresses(live)
        admitted = bool(addresses)
        if not admitted:
            reason, message = _unserved(route, classes)
    if others:
        reason = "HostConflict"
        message = f"{', '.join(others)} has the host {route.hostname} too: one of them must let go of it"
    elif certificate is not None and certificate.broken:
        reason, message = certificate.reason, certificate.message
    return RouteFact(route, addresses, admitted, reason, message, certificate)


def condition(facts: Sequence[RouteFact]) -> Condition:
    """``IngressDegraded``."""
    bad = [fact for fact in facts if fact.reason and fact.reason != "WaitingForAddress"]
    if bad:
        said = "; ".join(f"route {fact.route.name}: {fact.message}" for fact in bad[:3])
        more = f"; and {len(bad) - 3} more" if len(bad) > 3 else ""
        return Condition("IngressDegraded", "True", bad[0].reason, said + more)
    if waiting := [fact for fact in facts if fact.reason]:
        return Condition("IngressDegraded", "False", "WaitingForAddress", waiting[0].message)
    return Condition("IngressDegraded", "False", "AsExpected", f"{len(facts)} routes are served")


def _addresses(live: Mapping[str, Any]) -> tuple[str, ...]:
    found = ((live.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    return tuple(
        str(item.get("hostname") or item.get("ip")) for item in found if item.get("hostname") or item.get("ip")
    )


def _unserved(route: Route, classes: Sequence[Mapping[str, Any]] | None) -> tuple[str, str]:
    if classes is not None:
        names = [str(item["metadata"]["name"]) for item in classes]
        if route.ingress_class and route.ingress_class not in names:
            cure = f"name one of {', '.join(names)} in ingressClassName" if names else "install an ingress controller"
            return "IngressClassNotFound", f"there is no IngressClass {route.ingress_class}: {cure}"
        marked = [item for item in classes if (item["metadata"].get("annotations") or {}).get(DEFAULT_CLASS) == "true"]
        if not route.ingress_class and not marked:
            cure = f"name one of {', '.join(names)} in ingressClassName" if names else "install an ingress controller"
            return "IngressClassNotFound", f"no IngressClass is the cluster's default: {cure}"
    said = f"no controller has written an address into Ingress {route.name} (some never do): see its Events"
    return "WaitingForAddress", said


def _of_gateway(route: Route, live: Mapping[str, Any], policy: Mapping[str, Any]) -> tuple[bool, str, str]:
    """Admitted, reason, message. What was said of an earlier specification is not an answer to this one."""
    generation = int((live.get("metadata") or {}).get("generation") or 0)
    answers = [_answer(parent, generation) for parent in (live.get("status") or {}).get("parents") or []]
    why = next((refused for _, refused in answers if refused), "")
    if why:
        return False, "GatewayRefused", f"Gateway {route.gateway} refuses HTTPRoute {route.name}: {why}"
    if not any(accepted for accepted, _ in answers):
        said = f"no Gateway has answered to HTTPRoute {route.name}: see that Gateway {route.gateway} exists"
        return False, "WaitingForAddress", said
    ancestors = [
        _answer(item, int((policy.get("metadata") or {}).get("generation") or 0))
        for item in (policy.get("status") or {}).get("ancestors") or []
        if (item.get("ancestorRef") or {}).get("name") == route.gateway
    ]
    why = next((refused for _, refused in ancestors if refused), "")
    if why:
        said = f"Gateway {route.gateway} refuses BackendTLSPolicy {POLICY}, so it cannot reach the registry: {why}"
        return False, "GatewayRefused", said
    if not any(accepted for accepted, _ in ancestors):
        said = f"Gateway {route.gateway} has not answered to BackendTLSPolicy {POLICY}"
        return True, "", f"{said}: one that does not know it speaks plain HTTP to the registry, which is refused"
    return True, "", ""


def _answer(said: Mapping[str, Any], generation: int) -> tuple[bool, str]:
    """Whether a controller accepts this generation, and why not; neither while it has not decided."""
    accepted = False
    for item in said.get("conditions") or []:
        if int(item.get("observedGeneration") or generation) < generation:
            continue
        if item.get("type") in ("Accepted", "ResolvedRefs") and item.get("status") == "False":
            return False, f"{item.get('reason')}: {item.get('message')}"
        accepted = accepted or (item.get("type"), item.get("status")) == ("Accepted", "True")
    return accepted, ""
