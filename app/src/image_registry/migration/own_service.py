"""Where this registry is asked: by its Service, under the name that its certificate has, or where somebody says.

A migration installs this registry, so its address is not known when the migration begins. Names of Services mean
something in the cluster alone; their addresses are reached from machines of the cluster's network, too. Whoever names
an address gets no other certificate: this registry's own CA is trusted there as well, and the Service's address is
asked under the Service's name, because certificates are made for names.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from image_registry.kube.client import object_path
from image_registry.kube.errors import ClusterUnreachable, KubeError
from image_registry.migration.actions import Context, RegistryDoor, StepFailed
from image_registry.migration.spelling import Said

SERVICE, PORT = "image-registry", 5000
AUTHORITIES, KEY = "image-registry-ca", "ca-bundle.crt"


def by_service(door: RegistryDoor, context: Context) -> RegistryDoor:
    """The door with an address, and with this registry's own CA. Raises :class:`StepFailed` without a Service."""
    found = _service(context)
    address = _address(found)
    if not address:
        raise StepFailed(
            f"the address of this registry is not known, because Service {context.plan.target_namespace}/{SERVICE} "
            f"{'has none' if found else 'is not there'}: name it ({context.spelling(Said.TARGET_URL)})"
        )
    return _under_its_name(_trusting(door, context), context, address, PORT)


def by_address(door: RegistryDoor, context: Context) -> RegistryDoor:
    """The door at an address that somebody has named; as it is where the cluster does not tell who that is."""
    parts = urlsplit(door.url if "://" in door.url else f"https://{door.url}")
    if parts.scheme != "https":
        return door
    try:
        trusting, address = _trusting(door, context), _address(_service(context))
    except (KubeError, ClusterUnreachable):
        return door
    if address and parts.hostname in (address, _host(context)):
        return _under_its_name(trusting, context, address, parts.port or 443)
    return trusting


def _service(context: Context) -> Any:
    return context.client.find(object_path("v1", "services", SERVICE, namespace=context.plan.target_namespace))


def _address(service: Any) -> str:
    found = str(((service or {}).get("spec") or {}).get("clusterIP") or "")
    return "" if found == "None" else found


def _host(context: Context) -> str:
    return f"{SERVICE}.{context.plan.target_namespace}.svc"


def _trusting(door: RegistryDoor, context: Context) -> RegistryDoor:
    path = object_path("v1", "configmaps", AUTHORITIES, namespace=context.plan.target_namespace)
    own = str(((context.client.find(path) or {}).get("data") or {}).get(KEY) or "")
    return replace(door, authorities="\n".join(text for text in (door.authorities, own) if text))


def _under_its_name(door: RegistryDoor, context: Context, address: str, port: int) -> RegistryDoor:
    host = _host(context)
    return replace(door, url=f"https://{host}:{port}", known={host: address})
