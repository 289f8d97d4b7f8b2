"""The ways in which legacy registries differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

NAMESPACE = "cpaas-system"
HOST = "registry.legacy.test"
TEAMS = ("team-a", "team-b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One of them. ``module_info`` puts the objects of the global cluster into the same one."""

    name: str = "image-registry"
    storage: str = "pvc"
    """``pvc``, ``local`` or ``s3``."""
    gateway: bool = False
    tls: bool = True
    module_info: bool = True
    partial: bool = False
    """The Deployment and the install record are gone; Service and storage are left."""
    synced: bool = False
    """The platform applies the release again and again, as its annotation asks."""
    endpoint: str = "minio.example.com:9000"
    """Of the bucket."""
    bucket: str = "images"
    path: str = ""
    """Of a LocalVolume; by default the documented one."""
    storage_class: str = "nfs"
    access_mode: str = "ReadWriteMany"
    registry_image: str = "registry.example.com/3rdparty/registry:v4.2.0"
    proxy_image: str = "registry.example.com/acp/oidc-rbac-proxy:v4.2.0"
    idle_image: str = "registry.example.com/acp/sa-imagepullsecret-controller:v4.2.0"

    @property
    def local_path(self) -> str:
        """Where a LocalVolume has its bytes on the node."""
        return self.path or f"/cpaas/{self.name}"

    @property
    def service_host(self) -> str:
        """How images are named in the cluster."""
        return f"{self.name}.{NAMESPACE}.svc"


VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {
        "4.2-pvc": Variant(),
        "4.1-pvc": Variant(name="internal-docker-registry"),
        "4.2-local": Variant(storage="local"),
        "4.2-s3": Variant(storage="s3"),
        "4.2-gateway": Variant(gateway=True),
        "4.2-synced": Variant(synced=True),
        "4.2-http": Variant(tls=False),
        "4.2-no-module-info": Variant(module_info=False),
        "4.2-partial": Variant(partial=True),
    }
)
"""By generation and what is particular."""
