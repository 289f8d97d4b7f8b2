"""What is looked at beside the release itself: routes, certificates, nodes, images. Reads little: what is as it was is
kept.

Nothing here decides anything; it is told, in conditions, in ``status.routes``, and in numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import KubeError
from image_registry.operator import (
    certificate_facts,
    config_values,
    image_integrity,
    node_facts,
    node_report,
    route_facts,
)
from image_registry.operator.certificate_facts import CertificateFact, Served
from image_registry.operator.conditions import Condition
from image_registry.operator.node_report import NodeState
from image_registry.operator.release_secrets import ISSUED
from image_registry.operator.route_facts import Route, RouteFact
from image_registry.upkeep import integrity

OTHERS = timedelta(minutes=5)
"""How often routes of the whole cluster are looked at: that of somebody else with our host is rare."""

GATEWAY = "gateway.networking.k8s.io/v1"
OLDER_GATEWAY = "gateway.networking.k8s.io/v1alpha3"
"""Where BackendTLSPolicy was before it was stable."""

CERTIFICATES = "cert-manager.io/v1"
INGRESS = "networking.k8s.io/v1"
_METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What was found."""

    certificates: tuple[CertificateFact, ...] = ()
    routes: tuple[RouteFact, ...] = ()
    nodes: Mapping[str, NodeState] | None = None
    conditions: tuple[Condition, ...] = ()


class Lookout:
    """Thread-confined: the reconciler's. :meth:`look` raises KubeError and ClusterUnreachable."""

    def __init__(self, client: ClusterClient, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._secrets: dict[str, tuple[str, dict[str, Any]]] = {}
        self._others: tuple[datetime, frozenset[str], list[tuple[str, str]]] | None = None
        self._classes: tuple[datetime, list[Mapping[str, Any]] | None] | None = None

    def look(self, config: Mapping[str, Any], workloads: Sequence[Mapping[str, Any]], now: datetime) -> Surroundings:
        """``config`` is what was applied; nothing is looked at while nothing is to run."""
        if config_values.state_of(config) == config_values.REMOVED:
            return Surroundings()
        wanted = route_facts.routes(config, self._namespace)
        facts = self._certificates(config, wanted, now)
        of_secret = {fact.secret: fact for fact in facts}
        routes = tuple(self._routes(wanted, of_secret, now))
        conditions = [certificate_facts.condition(facts)]
        if routes:
            conditions.append(route_facts.condition(routes))
        daemon_set = next((item for item in workloads if item["metadata"]["name"] == "node-ca"), None)
        nodes = self._nodes() if daemon_set is not None else None
        if daemon_set is not None and nodes is not None:
            conditions.append(node_facts.condition(daemon_set, nodes))
        told = self._client.find(self._path("v1", "configmaps", integrity.CONFIG_MAP))
        conditions.append(image_integrity.condition(told))
        return Surroundings(tuple(facts), routes, nodes, tuple(conditions))

    def _certificates(self, config: Mapping[str, Any], wanted: list[Route], now: datetime) -> list[CertificateFact]:
        hosts = {name: (f"{name.removesuffix('-tls')}.{self._namespace}.svc",) for name in ISSUED}
        if ((config.get("certificates") or {}).get("issuerRef") or {}).get("name"):
            made = self._optional(self._path(CERTIFICATES, "certificates")) or []
            wants = {str(item["metadata"]["name"]): item for item in made}
            served = [certificate_facts.issued(name, hosts[name], wants.get(name), self._namespace) for name in ISSUED]
        else:
            cure = certificate_facts.RENEWAL.format(namespace=self._namespace)
            served = [Served(name, hosts[name], cure) for name in ISSUED]
        by_secret: dict[str, list[str]] = {}
        for route in wanted:
            if route.secret and not route.gateway:
                by_secret.setdefault(route.secret, []).append(route.hostname)
        cure = f"put a certificate and its key there: kubectl -n {self._namespace} create secret tls"
        served += [Served(name, tuple(hosts), cure) for name, hosts in by_secret.items()]
        found = self._named([item.secret for item in served])
        return [certificate_facts.judge(item, found.get(item.secret), now) for item in served]

    def _named(self, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Secrets by name, each read once for each of its versions."""
        listed = self._client.get(self._path("v1", "secrets"), accept=_METADATA_LIST)
        versions = {item["metadata"]["name"]: str(item["metadata"]["resourceVersion"]) for item in listed["items"]}
        known: dict[str, tuple[str, dict[str, Any]]] = {}
        for name in names:
            if (version := versions.get(name)) is None:
                continue
            if name in self._secrets and self._secrets[name][0] == version:
                known[name] = self._secrets[name]
            elif (secret := self._client.find(self._path("v1", "secrets", name))) is not None:
                certificate = {"tls.crt": (secret.get("data") or {}).get("tls.crt") or ""}  # keys are not kept
                known[name] = (version, {"data": certificate})
        self._secrets = known
        return {name: secret for name, (_, secret) in known.items()}

    def _routes(self, wanted: list[Route], of_secret: Mapping[str, CertificateFact], now: datetime) -> list[RouteFact]:
        if not wanted:
            return []
        live = {
            gateway: self._live(gateway=gateway) if any(bool(route.gateway) is gateway for route in wanted) else {}
            for gateway in (False, True)
        }
        claims = self._claims(frozenset(route.hostname for route in wanted), now)
        policy = self._policy() if live[True] else None
        return [
            route_facts.judge(
                route,
                live[bool(route.gateway)].get(route.name),
                of_secret.get(route.secret) if not route.gateway else None,
                self._ingress_classes(now),
                [who for who, host in claims if host == route.hostname],
                policy,
            )
            for route in wanted
        ]

    def _live(self, *, gateway: bool) -> dict[str, Mapping[str, Any]]:
        path = self._path(GATEWAY, "httproutes") if gateway else self._path(INGRESS, "ingresses")
        found = self._optional(path) or []
        return {str(item["metadata"]["name"]): item for item in found}

    def _policy(self) -> Mapping[str, Any] | None:
        """How Gateways speak to the registry."""
        paths = [self._path(version, "backendtlspolicies", route_facts.POLICY) for version in (GATEWAY, OLDER_GATEWAY)]
        return self._client.find(paths[0]) or self._client.find(paths[1])

    def _claims(self, hosts: frozenset[str], now: datetime) -> list[tuple[str, str]]:
        """Who else in the cluster serves one of the hosts."""
        if self._others is None or self._others[1] != hosts or now - self._others[0] >= OTHERS:
            found = []
            for item in self._optional(object_path(INGRESS, "ingresses")) or []:
                for rule in (item.get("spec") or {}).get("rules") or []:
                    found += self._claim("Ingress", item, [str(rule.get("host") or "")], hosts)
            for item in self._optional(object_path(GATEWAY, "httproutes")) or []:
                found += self._claim("HTTPRoute", item, list((item.get("spec") or {}).get("hostnames") or []), hosts)
            self._others = (now, hosts, found)
        return self._others[2]

    def _claim(
        self, kind: str, item: Mapping[str, Any], named: list[str], hosts: frozenset[str]
    ) -> list[tuple[str, str]]:
        metadata = item["metadata"]
        if metadata.get("namespace") == self._namespace:
            return []
        return [(f"{kind} {metadata.get('namespace')}/{metadata['name']}", host) for host in named if host in hosts]

    def _ingress_classes(self, now: datetime) -> list[Mapping[str, Any]] | None:
        if self._classes is None or now - self._classes[0] >= OTHERS:
            self._classes = (now, self._optional(object_path(INGRESS, "ingressclasses")))
        return self._classes[1]

    def _nodes(self) -> dict[str, NodeState]:
        """Nodes of now that say that something is wrong."""
        path = self._path("v1", "configmaps", node_report.CONFIG_MAP)
        bad = node_facts.untrusting(node_report.read(self._client.find(path)))
        if not bad:
            return {}
        query = {"labelSelector": "app.kubernetes.io/name=node-ca"}
        pods = self._client.get(self._path("v1", "pods"), query=query)["items"]
        there = {(pod.get("spec") or {}).get("nodeName") for pod in pods}
        return {node: state for node, state in bad.items() if node in there}

    def _optional(self, path: str) -> list[Mapping[str, Any]] | None:
        """What there may be no definition of, or no right to see."""
        try:
            return list(self._client.get(path).get("items") or [])
        except KubeError as error:
            if error.not_found or error.forbidden:
                return None
            raise

    def _path(self, group_version: str, resource: str, name: str = "") -> str:
        return object_path(group_version, resource, name, namespace=self._namespace)
