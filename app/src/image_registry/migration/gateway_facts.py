"""The Registry Gateway, whole: what runs, its records, what belongs to it, and whether it stands before our registry.

It is a plugin of its own that puts limits before a registry, ours or another one. Its settings are documented by what
the console calls them, not by their keys. So where it leads is known by the hosts that they name, and by the Ingress.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from image_registry.kube.image_references import texts_in
from image_registry.migration.facts import GatewayFact, Installation, ObjectName
from image_registry.migration.generations import (
    GATEWAY_DEPLOYMENT,
    GATEWAY_LIMITS,
    GATEWAY_LOGIN,
    GATEWAY_SERVICE,
)
from image_registry.migration.install_records import read_gateway_records
from image_registry.migration.reading import Reader, at
from image_registry.migration.running_parts import workload_fact

_WORD = re.compile(r"[\w.-]+")
"""What a host is written with, so that one is no part of another."""
_PIECES = (
    (ObjectName("Service", GATEWAY_SERVICE), "services"),
    (ObjectName("ConfigMap", GATEWAY_LIMITS), "configmaps"),
    (ObjectName("Secret", GATEWAY_LOGIN), "secrets"),
)


def read_gateway_parts(
    reader: Reader,
    beyond: Reader | None,
    place: tuple[str, str],
    installations: Iterable[Installation],
    patches: Iterable[ObjectName],
) -> GatewayFact | None:
    """``place`` is the namespace, and the name of the cluster in the global one; ``None`` where nothing of it is."""
    namespace, cluster = place
    name = ObjectName("Deployment", GATEWAY_DEPLOYMENT, namespace, "apps/v1")
    deployment = reader.get("gateway", name, "deployments")
    records = tuple(read_gateway_records(reader, beyond, namespace, cluster))
    if deployment is None and not records:
        return None
    pieces = list(_pieces(reader, namespace))
    registries = list(installations)
    hosts = dict(_hosts(registries, namespace))
    named = [host for host in hosts if _names(at(deployment, "spec", "template", "spec"), host)]
    exposures = [exposed for entry in registries for exposed in entry.exposures if exposed.hosts]
    return GatewayFact(
        workload_fact(deployment) if deployment else None,
        records,
        (*pieces, *(patch for patch in patches if "gateway" in patch.name)),
        tuple(sorted(named)),
        any(hosts[host] for host in named),
        any(piece.name == GATEWAY_LOGIN for piece in pieces),
        any(exposed.backend == GATEWAY_SERVICE for exposed in exposures),
    )


def _pieces(reader: Reader, namespace: str) -> Iterator[ObjectName]:
    for piece, resource in _PIECES:
        name = ObjectName(piece.kind, piece.name, namespace)
        if reader.get("gateway", name, resource) is not None:
            yield name


def _hosts(installations: Iterable[Installation], namespace: str) -> Iterator[tuple[str, bool]]:
    """Names of the registry's Services, and whether each leads past the proxy."""
    for entry in installations:
        for service in entry.services:
            if service.role != "gateway":
                past = service.role == "direct"
                for name in (f"{service.object.name}.{namespace}", *service.addresses):
                    yield name, past


def _names(spec: Mapping[str, Any] | None, host: str) -> bool:
    """Whether the settings of a Pod name a host; what else they say stays where it is."""
    words = (word for text in texts_in(spec) for word in _WORD.findall(text))
    return any(word == host or word.startswith(f"{host}.") for word in words)
