"""What the pull Secrets of ServiceAccounts are to be, from ``Config/cluster`` and the registry's Service. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from image_registry.operator import config_values
from image_registry.operator.config_values import MANAGED, REMOVED, UNMANAGED

AUDIENCE = "image-registry"
"""For whom the tokens are: what the registry accepts beside tokens for the kube-apiserver, which refuses these."""

SERVICE = "image-registry"
PORT = 5000

WAITING = "Waiting"
"""There is no Service yet, so not all names of the registry are known."""

SYSTEM_NAMESPACES = ("kube-system", "kube-public", "kube-node-lease", "cpaas-system")


@dataclass(frozen=True, slots=True, kw_only=True)
class PullSecretOptions:
    """What the operator was started with."""

    namespace: str
    cluster_domain: str = "cluster.local"
    system_namespaces: tuple[str, ...] = SYSTEM_NAMESPACES
    calls_per_second: float = 100.0
    workers: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``hosts`` are all spellings by which a Pod's image may name the registry."""

    state: str
    hosts: frozenset[str] = frozenset()
    ignored: frozenset[str] = field(default=frozenset())

    def wanted_in(self, namespace: str) -> bool:
        """Whether ServiceAccounts there are to have pull Secrets."""
        return self.state == MANAGED and namespace not in self.ignored


def settings(
    config: Mapping[str, Any] | None, service: Mapping[str, Any] | None, options: PullSecretOptions
) -> Settings:
    """Without a Config nothing is touched, as the operator leaves everything else too."""
    if config is None:
        return Settings(state=UNMANAGED)
    spec = config.get("spec") or {}
    asked = spec.get("imagePullSecret") or {}
    states = (config_values.state_of(spec), str(asked.get("managementState") or MANAGED))
    state = next((one for one in (UNMANAGED, REMOVED) if one in states), MANAGED)
    ignored = {str(name) for name in asked.get("ignoredNamespaces") or ()}
    if asked.get("ignoreSystemNamespaces", True):
        ignored |= {*options.system_namespaces, options.namespace}
    if state == MANAGED and service is None:
        state = WAITING
    hosts = {*internal(service or {}, options), *external(spec, options.namespace)}
    hosts |= {str(host) for host in asked.get("additionalRegistryHosts") or ()}
    return Settings(state=state, hosts=frozenset(hosts), ignored=frozenset(ignored))


def internal(service: Mapping[str, Any], options: PullSecretOptions) -> Iterable[str]:
    """Names and addresses of the Service. IPv6 is left out: kubelets do not find such a host in a pull Secret."""
    name = f"{SERVICE}.{options.namespace}.svc"
    yield f"{name}:{PORT}"
    yield f"{name}.{options.cluster_domain}:{PORT}"
    spec = service.get("spec") or {}
    for address in {*(spec.get("clusterIPs") or ()), spec.get("clusterIP")} - {None, "", "None"}:
        if ipaddress.ip_address(address).version == 4:
            yield f"{address}:{PORT}"


def external(spec: Mapping[str, Any], namespace: str) -> Iterable[str]:
    """Hosts of the routes."""
    yield from (str(route["hostname"]) for route in spec.get("routes") or () if route.get("hostname"))
    domain = (spec.get("routeDefaults") or {}).get("domain")
    if spec.get("defaultRoute") and domain:
        yield f"default-route-{namespace}.{domain}"
