"""Where this registry is asked when nobody names an address: by its Service, under the name that its certificate has.

A migration installs this registry, so its address is not known when the migration begins. Names of Services mean
something in the cluster alone; their addresses are reached from machines of the cluster's network, too.
"""

from __future__ import annotations

from dataclasses import replace

from image_registry.kube.client import object_path
from image_registry.migration.actions import Context, RegistryDoor, StepFailed
from image_registry.migration.spelling import Said

SERVICE, PORT = "image-registry", 5000
AUTHORITIES, KEY = "image-registry-ca", "ca-bundle.crt"


def by_service(door: RegistryDoor, context: Context) -> RegistryDoor:
    """The door with an address, and with this registry's own CA. Raises :class:`StepFailed` without a Service."""
    namespace = context.plan.target_namespace
    found = context.client.find(object_path("v1", "services", SERVICE, namespace=namespace))
    address = str(((found or {}).get("spec") or {}).get("clusterIP") or "")
    if address in ("", "None"):
        raise StepFailed(
            f"the address of this registry is not known, because Service {namespace}/{SERVICE} "
            f"{'has none' if found else 'is not there'}: name it ({context.spelling(Said.TARGET_URL)})"
        )
    bundle = context.client.find(object_path("v1", "configmaps", AUTHORITIES, namespace=namespace)) or {}
    own = str((bundle.get("data") or {}).get(KEY) or "")
    host = f"{SERVICE}.{namespace}.svc"
    authorities = "\n".join(text for text in (door.authorities, own) if text)
    return replace(door, url=f"https://{host}:{PORT}", authorities=authorities, known={host: address})
