"""What the two generations are called, and every spelling under which an image of theirs can be named.

The platform's own registry in ``kube-system`` is neither of them and belongs to somebody else: it is never looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

NAMESPACE = "cpaas-system"
FORBIDDEN = frozenset({"kube-system"})
"""Namespaces of the platform's own registry."""

CONTROLLER = "sa-imagepullsecret-controller"
"""The Deployment that makes pull Secrets, and the value of the label ``alauda.io/managed-by`` on them."""
MANAGED_BY = "alauda.io/managed-by"
PULLER_BINDING = "default-sa-image-puller-rolebinding"
GATEWAY_DEPLOYMENT, GATEWAY_SERVICE = "registry-gateway-gateway", "registry-gateway-service"
GATEWAY_LIMITS, GATEWAY_LOGIN = "registry-gateway-config", "registry-gateway-external-registry-secret"
"""A ConfigMap; and a Secret, which one has that stands before another registry. (Facts, section 6)"""
GATEWAY_PLUGIN = "registry-gateway"
"""What names of the gateway's module, release and record begin with; the rest of them is documented nowhere."""
LIMIT_MAPS = ("image-registry-limit-config", "registry-gateway-config")
"""ConfigMaps with push limits; the second is of the gateway, and its name is still accepted by the first's reader."""
CLEANUP_LABEL = ("cpaas.io/cleanup", "ac-images-pruner")
CLEANUP_IMAGE = "alauda/ac"
"""The repository, on whatever host, of the program that prunes."""
VELERO_MAP = "change-registry-config"
RIGHTS_GROUP, RIGHTS_RESOURCE = "registry.alauda.io", "images"
"""Whom the legacy registry asks about: a name of rights alone, no resource is served under it."""
ROLES = ("system:image-puller", "system:image-pusher")
"""ClusterRoles of the legacy registry, and of this one."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One name stands for everything: plugin, Service, Deployment, claim, label of Pods, folder on the node."""

    name: str
    versions: str

    @property
    def config_map(self) -> str:
        """Where the configuration of distribution is."""
        return f"{self.name}-config"

    @property
    def host_path(self) -> str:
        """The folder of a LocalVolume, unless another was chosen."""
        return f"/cpaas/{self.name}"

    @property
    def direct_service(self) -> str:
        """A Service to the registry itself, past the proxy that asks for rights; seen on some clusters."""
        return f"{self.name}-direct"

    def hosts(self, namespace: str, addresses: Iterable[str] = ()) -> tuple[str, ...]:
        """Names in the cluster, with and without the port of HTTP; ``addresses`` are those of its Service."""
        service = f"{self.name}.{namespace}"
        names = [service, f"{service}.svc", f"{service}.svc.cluster.local", *addresses]
        return tuple(name if port == "" else f"{name}:{port}" for name in names for port in ("", "80"))


GENERATIONS = (
    Generation("image-registry", "4.2 and 4.3"),
    Generation("internal-docker-registry", "4.0 and 4.1"),
)


def generation(name: str) -> Generation:
    """By its name. Raises KeyError."""
    return next(known for known in GENERATIONS if known.name == name)
