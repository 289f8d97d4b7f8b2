"""Under which names the registry of a cluster is reached: in a Pod its Service, elsewhere as its streams show them.

Every stream says where its images are; who has no stream yet asks for one in a dry run, which says it as well and
leaves nothing behind. This is the one rule; every command that needs the registry itself asks here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from image_registry.cli.connection import Place
from image_registry.cli.failures import NotThere, RightsError
from image_registry.cli.image_api import GROUP, VERSION, dry, path
from image_registry.cli.inside import SERVICE, SYSTEM
from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import ClusterUnreachable, KubeError, NoRegistry

CA = "image-registry-ca"
"""The ConfigMap with the CA of the registry."""


@dataclass(frozen=True, slots=True)
class RegistryHosts:
    """``public`` is empty where no route leads to the registry."""

    internal: str
    public: str = ""

    @property
    def best(self) -> str:
        """For people outside of the cluster, if it can be."""
        return self.public or self.internal


def reached(place: Place) -> str:
    """The name to reach it by from here: the internal one where there is no other. Raises as :func:`find`."""
    return SERVICE if place.client.in_pod else find(place).best


def find(place: Place) -> RegistryHosts:
    """Names of the registry. Raises :class:`NoRegistry`, :class:`RightsError`, :class:`NotThere`."""
    refused: list[str] = []
    for status in _statuses(place, refused):
        internal, public = (
            str(status.get(member, "")).partition("/")[0]
            for member in ("dockerImageRepository", "publicDockerImageRepository")
        )
        if internal or public:
            return RegistryHosts(internal, public)
    if refused:
        raise RightsError(
            "the name of the registry is shown by every image stream, and none may be seen:\n"
            + "\n".join(f"  {text}" for text in refused)
            + f"\none of these rights is enough; the ClusterRole view has them, in the namespace {place.namespace}. Or "
            "name the registry yourself"
        )
    raise NotThere(f"no image stream of {place.client.server} says where its images are; name the registry yourself")


def _statuses(place: Place, refused: list[str]) -> Iterator[Mapping[str, Any]]:
    for namespace in (place.namespace, ""):
        where = path("imagestreams", namespace=namespace)
        try:
            for item in place.client.get(where, query={"limit": "1"}).get("items") or ():
                yield item.get("status", {})
        except KubeError as error:
            _note(error, f"list imagestreams.{GROUP}" + (f" in namespace {namespace}" if namespace else ""), refused)
    stream = {"apiVersion": VERSION, "kind": "ImageStream", "metadata": {"name": "where-are-its-images"}}
    try:
        made = place.client.create(path("imagestreams", namespace=place.namespace), stream, query=dry(run=True))
        yield made.get("status", {})
    except KubeError as error:
        _note(error, f"create imagestreams.{GROUP} in namespace {place.namespace}", refused)


def _note(error: KubeError, right: str, refused: list[str]) -> None:
    if error.forbidden:
        refused.append(right)
    elif error.passing or (error.not_found and "namespace" not in str(error).lower()):
        raise NoRegistry(
            f"the Image API does not answer ({error}): look at `kubectl get apiservice v1.{GROUP}` and at the "
            "Deployment image-api-server"
        ) from None
    elif not error.not_found and not error.conflict:
        raise error


def authority(client: ClusterClient) -> str:
    """The CA of the registry's own certificate, in PEM; empty if we may not read it, or there is none."""
    try:
        found = client.find(object_path("v1", "configmaps", CA, namespace=SYSTEM))
    except (KubeError, ClusterUnreachable):
        return ""
    data = (found or {}).get("data")
    return str(data.get("ca-bundle.crt", "")) if isinstance(data, dict) else ""
